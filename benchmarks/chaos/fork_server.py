"""Forks worker processes from a process that has imported everything, so that a restart takes a fraction of a second.

    python -m benchmarks.chaos.fork_server

Reads one JSON document a line: ``{"fork": N, "spec": {...}}``. Writes ``{"fork": N, "pid": P}`` and ``{"pid": P,
"gone": STATUS}`` to standard output, where the workers also report their state: ``{"pid": P, ...}``. At the end of its
input, it kills the workers and ends. It has no thread, no event loop and no connection, so forking is safe.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import logging
import os
import random
import select
import signal
import threading
import warnings
from collections.abc import Mapping

THREAD_COUNT_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
PRELOAD = (
    "benchmarks.chaos.worker",
    "bot.cli.command_runtime",
    "anthropic",
    "openai",
    "anthropic.types",
    "openai.types.chat",
    "bot.llm.providers.anthropic",
    "bot.llm.providers.openai",
    "sqlalchemy.dialects.postgresql.psycopg",
    "psycopg_binary",
    "alembic.command",
)
DIE_WITH_PARENT = 1


def main() -> None:
    """Serve until the input ends."""
    for name in THREAD_COUNT_VARIABLES:
        os.environ[name] = "1"
    for module in PRELOAD:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(module)
    assert threading.active_count() == 1, "threads do not survive a fork"
    gc.freeze()
    send({"loaded": True})
    children: set[int] = set()
    buffer = b""
    while True:
        readable, _, _ = select.select([0], [], [], 0.02)
        _reap(children)
        if not readable:
            continue
        read = os.read(0, 65536)
        if not read:
            break
        *lines, buffer = (buffer + read).split(b"\n")
        for line in lines:
            request = json.loads(line)
            pid = os.fork()
            if pid == 0:
                _run_worker(request["spec"])
            children.add(pid)
            send({"fork": request["fork"]}, pid)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def send(message: Mapping[str, object], pid: int | None = None) -> None:
    """Write one line to the parent, short enough to be written atomically."""
    line = json.dumps({"pid": pid or os.getpid(), **message}, separators=(",", ":"))
    os.write(1, line.encode() + b"\n")


def _reap(children: set[int]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        children.discard(pid)
        send({"gone": os.waitstatus_to_exitcode(status)}, pid)


def _run_worker(spec_fields: Mapping[str, object]) -> None:
    """Serve in the child, and exit without the parent's cleanup."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        random.seed()
        status = _serve(spec_fields)
    except BaseException:
        logging.getLogger("worker").exception("the worker crashed")
    finally:
        os._exit(status)


def _serve(spec_fields: Mapping[str, object]) -> int:
    from benchmarks.chaos.worker import Spec, work
    from bot.cli.command_runtime import explain, run

    spec = Spec(**spec_fields)  # type: ignore[arg-type]
    form = f"%(asctime)s {spec.name}[{os.getpid()}] %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(filename=spec.log, level=logging.WARNING, format=form, force=True)
    warnings.simplefilter("ignore")
    try:
        run(work(spec, send))
    except KeyboardInterrupt:
        return 0
    except Exception as error:
        logging.getLogger("worker").error("%s", explain(error))
        return 1
    return 0


if __name__ == "__main__":
    main()
