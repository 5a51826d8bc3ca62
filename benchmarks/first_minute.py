"""Measures the first minute: how long starts and short commands take, with the load of the machine beside each time.

    python -m benchmarks.first_minute [--install] [--repeat 3]

Runs ``parley`` in an empty folder, as a newcomer does: ``up --sample`` until the page is there, the first question
until its first citation, the second start, then ``docs``, ``costs`` and ``ask``. ``--install`` makes a virtual
environment with ``scripts/install.sh`` before, as ``make run`` does, from the packages that pip has cached, and uses
the ``parley`` in it. Each line has the seconds, the processor seconds of the process, the load average as it began, and
the aim. On a busy machine, the processor seconds say what an idle one needs at least.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.shared.harness import table
from bot.store.embedded import server
from knowledge import sample

ROOT = Path(__file__).resolve().parents[1]
ANYTHING, CITATION, WELCOME = re.compile(rb"\S"), re.compile(rb"\[1\]"), re.compile(rb"Press Ctrl-C")
Row = tuple[str, str]
"""What was measured, and its figures."""


@contextmanager
def started(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in a folder without the settings of this environment, and stop it as Ctrl-C does."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    with (
        (folder / "stderr").open("wb") as errors,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors) as running,
    ):
        try:
            yield running
        finally:
            running.send_signal(signal.SIGINT)
            running.communicate()


def timed(what: str, command: Sequence[str], folder: Path, until: re.Pattern[bytes] | None, aim: float) -> Row:
    """Return the row of a command, measured until it prints something, or until it ends. Raises SystemExit."""
    load, start, shown, processor = os.getloadavg()[0], time.monotonic(), b"", 0.0
    with started(command, folder) as running:
        process, out = psutil.Process(running.pid), running.stdout
        if out is None:
            raise AssertionError
        os.set_blocking(out.fileno(), False)
        while until is None or not until.search(shown + (folder / "stderr").read_bytes()):
            ended = running.poll() is not None
            shown += out.read() or b""
            if ended:
                break
            processor = sum(process.cpu_times()[:2])
            time.sleep(0.01)
        seconds = time.monotonic() - start
        if running.poll() not in (None, 0):
            raise SystemExit(f"{what}: {(folder / 'stderr').read_text()}")
    return what, f"{seconds:5.1f} s, {processor:4.1f} s of the processor, load {load:.1f}, aim {aim:.0f} s"


def newcomer(parley: Sequence[str], folder: Path, question: str) -> Iterator[Row]:
    """Yield a row for each step of the first minute."""
    up = [*parley, "up", "--sample", "--port", "0"]
    yield timed("parley up --sample, the first start", up, folder, WELCOME, 60)
    yield timed("the first question, until its citation", [*parley, "ask", question], folder, CITATION, 60)
    yield timed("parley up --sample, the second start", up, folder, WELCOME, 5)
    yield timed("parley docs", [*parley, "docs"], folder, None, 1)
    yield timed("parley costs", [*parley, "costs"], folder, None, 1)
    yield timed("parley ask, until its first text", [*parley, "ask", "--fresh", question], folder, ANYTHING, 5)


def installed(folder: Path) -> tuple[Row, list[str]]:
    """Install Parley into a new environment. Return the row of that, and how to run the ``parley`` in it."""
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    row = timed("scripts/install.sh", [str(ROOT / "scripts/install.sh"), str(environment)], folder, None, 60)
    return row, [str(environment / "bin" / "parley")]


def main() -> None:
    """Measure, and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--install", action="store_true", help="install Parley into a new environment first")
    arguments.add_argument("--repeat", type=int, default=1, help="how often to measure, each time in a new folder")
    given = arguments.parse_args()
    rows: list[Row] = []
    for _ in range(given.repeat):
        with tempfile.TemporaryDirectory(prefix="parley-first-minute-") as name:
            folder, parley = Path(name), [sys.executable, "-m", "bot"]
            folder.chmod(0o755)
            if given.install:
                row, parley = installed(folder)
                rows.append(row)
            try:
                rows += newcomer(parley, folder, sample.questions()[0])
            finally:
                server.stop_cluster(folder / ".parley" / "postgres", signal.SIGINT)
    for at in range(0, len(rows), len(rows) // given.repeat):
        print(table(dict(rows[at : at + len(rows) // given.repeat])), "\n")


if __name__ == "__main__":
    main()
