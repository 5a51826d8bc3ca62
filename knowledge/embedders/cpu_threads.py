"""Configures the CPU threads of torch and numpy so that they do not slow each other down on a busy machine.

Threads that compute a matrix product together wait for each other. The threads of torch (GNU OpenMP) and numpy
(OpenBLAS) use a spin lock while they wait. On a busy machine, this takes CPU time from the thread that they wait for:
on two busy cores, encoding and reranking a question took a second instead of 20 milliseconds.
"""

from __future__ import annotations

import os
from functools import cache

from threadpoolctl import threadpool_limits


@cache
def share_the_processor() -> None:
    """Let torch's threads sleep while they wait, and let numpy use one thread. A second call does nothing.

    ``OMP_WAIT_POLICY`` and ``OPENBLAS_NUM_THREADS`` override this if they are set. Call it before torch is imported:
    OpenMP reads its setting only then.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if "OPENBLAS_NUM_THREADS" not in os.environ:
        threadpool_limits(limits=1, user_api="blas")
