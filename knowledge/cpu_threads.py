"""How this process shares the processor with others.

Threads that compute a product together wait for each other, and torch's (GNU OpenMP) and numpy's (OpenBLAS) spin while
they do. Where anything else wants the processor, the spinning keeps it from the thread that is waited for: on two busy
cores a question took a second to encode and to rerank instead of twenty milliseconds.
"""

from __future__ import annotations

import os
from functools import cache

from threadpoolctl import threadpool_limits


@cache
def share_the_processor() -> None:
    """Let torch's threads sleep while they wait, and numpy compute in one thread; the second call does nothing.

    What the operator has set (``OMP_WAIT_POLICY``, ``OPENBLAS_NUM_THREADS``) stays. OpenMP reads its setting once, when
    torch is imported, so this comes before.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if "OPENBLAS_NUM_THREADS" not in os.environ:
        threadpool_limits(limits=1, user_api="blas")
