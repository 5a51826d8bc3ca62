"""Runs ``parley`` on a real terminal, reads what it shows and types answers."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0
"""Seconds to wait for the next prompt, on a busy machine."""


class Terminal:
    """A program on a terminal of its own. ``shown`` is everything that it has displayed."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self.shown, self.process = "", process
        self._descriptor, self._read = descriptor, 0

    def answer(self, prompt: str, text: str) -> None:
        """Wait for a prompt, and type a line."""
        self.wait_for(prompt)
        os.write(self._descriptor, f"{text}\n".encode())

    def end(self) -> int:
        """Read until the program ends. Return its exit status."""
        while self._more():
            pass
        return self.process.wait(PATIENCE)

    def wait_for(self, prompt: str) -> None:
        """Read until a prompt is shown."""
        while (at := self.shown.find(prompt, self._read)) < 0:
            assert self._more(), f"{prompt!r} was not asked: {self.shown}"
        self._read = at + len(prompt)

    def _more(self) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], PATIENCE)
        assert ready, f"nothing happened after: {self.shown}"
        try:
            block = os.read(self._descriptor, 4096)
        except OSError:  # Linux reports the end of the program on a terminal as an error.
            return False
        self.shown += block.decode()
        return bool(block)


@contextmanager
def on_terminal(folder: Path, *args: str, **environment: str) -> Iterator[Terminal]:
    """Run ``parley ARGS`` in a folder, on a terminal of its own and with this environment alone."""
    ours, theirs = pty.openpty()
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "dumb", **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", *args],
        cwd=folder,
        env=given,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(ours, process)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
