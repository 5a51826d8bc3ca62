"""A server in a temporary folder, for tests and benchmarks. It ends with the process that started it, even if killed.

A process that is killed cannot stop its server. So a second process holds the reading end of a pipe and cleans up when
the writing end closes, which the kernel does for a process that dies.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bot.store.embedded import server
from bot.store.embedded.server import EmbeddedServer


@contextmanager
def temporary_server(prefix: str, *, options: Mapping[str, str] | None = None) -> Iterator[EmbeddedServer]:
    """Run a server in a folder whose name begins with ``prefix``. Raises ConfigError."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    command = [sys.executable, "-m", "bot.store.embedded.temporary", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as watching:  # noqa: S603
        try:
            running = server.start(folder, options=options)
            try:
                yield running
            finally:
                running.release()
        finally:
            if watching.stdin is not None:
                watching.stdin.close()


def _clean_up(folder: Path) -> None:
    """Stop the server without a checkpoint, because its data is deleted."""
    server.stop_cluster(folder / "postgres", signal.SIGQUIT)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.stdin.buffer.read()
    _clean_up(Path(sys.argv[1]).resolve())
