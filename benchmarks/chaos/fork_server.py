"""A process that has imported everything and forks workers, so that a restart takes a fraction of a second.

    python -m benchmarks.chaos.fork_server

It reads one JSON document a line: ``{"fork": N, "spec": {...}}``. On standard output it says ``{"fork": N, "pid": P}``,
``{"pid": P, "gone": STATUS}``, and passes on what its children say of themselves, ``{"pid": P, ...}``. At the end of
its input it kills its children and ends. It has no thread, no event loop and no connection, so a fork is safe.
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

ALONE = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
PRELOAD = (
    "benchmarks.chaos.worker",
    "bot.cli.command_runtime",
    "anthropic",
    "openai",
    "anthropic.types",
    "openai.types.chat",
    "bot.llm.anthropic",
    "bot.llm.openai",
    "sqlalchemy.dialects.postgresql.psycopg",
    "psycopg_binary",
    "alembic.command",
)
DIE_WITH_PARENT = 1


def main() -> None:
    """Serve until the input ends."""
    for name in ALONE:
        os.environ[name] = "1"
    for module in PRELOAD:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(module)
    assert threading.active_count() == 1, "a thread would be lost in a fork"
    gc.freeze()
    tell({"loaded": True})
    children: set[int] = set()
    rest = b""
    while True:
        readable, _, _ = select.select([0], [], [], 0.02)
        _bury(children)
        if not readable:
            continue
        read = os.read(0, 65536)
        if not read:
            break
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            order = json.loads(line)
            pid = os.fork()
            if pid == 0:
                _become(order["spec"])
            children.add(pid)
            tell({"fork": order["fork"]}, pid)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def tell(said: Mapping[str, object], pid: int | None = None) -> None:
    """Send one line to the parent. The line is short enough to be written atomically."""
    line = json.dumps({"pid": pid or os.getpid(), **said}, separators=(",", ":"))
    os.write(1, line.encode() + b"\n")


def _bury(children: set[int]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        children.discard(pid)
        tell({"gone": os.waitstatus_to_exitcode(status)}, pid)


def _become(given: Mapping[str, object]) -> None:
    """Run the child process, and exit without the parent's clean-up."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        random.seed()
        status = _serve(given)
    except BaseException:
        logging.getLogger("worker").exception("the worker broke")
    finally:
        os._exit(status)


def _serve(given: Mapping[str, object]) -> int:
    from benchmarks.chaos.worker import Spec, work
    from bot.cli.command_runtime import explain, run

    spec = Spec(**given)  # type: ignore[arg-type]
    form = f"%(asctime)s {spec.name}[{os.getpid()}] %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(filename=spec.log, level=logging.WARNING, format=form, force=True)
    warnings.simplefilter("ignore")
    try:
        run(work(spec, tell))
    except KeyboardInterrupt:
        return 0
    except Exception as error:
        logging.getLogger("worker").error("%s", explain(error))
        return 1
    return 0


if __name__ == "__main__":
    main()
