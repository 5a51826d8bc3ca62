"""A process that is told to stop ends in time: real processes, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.cli import user_messages

STUBBORN = """
import asyncio, time
from bot.cli.command_runtime import run

async def work():
    print("started", flush=True)
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            print("closing", flush=True)
            {then}

run(work(), close_within={seconds})
"""

WAITING = """
import asyncio, time
from bot.cli.command_runtime import run

async def work():
    waiting = asyncio.create_task(asyncio.to_thread(time.sleep, 3600))
    await asyncio.sleep(0)
    print("started", flush=True)
    try:
        await waiting
    finally:
        print("closed", flush=True)

run(work(){limit})
"""

SERVING = """
import atexit
from bot.cli import main

class Loud:
    def __del__(self):
        print("collected", flush=True)

loud = Loud()
atexit.register(print, "exit handlers ran")
main({arguments})
"""


@contextmanager
def started(code: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run the code in a process of its own, and kill that process in the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PARLEY_EMBEDDING_MODEL": "all-MiniLM-L6-v2", **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_second_signal_ends_the_process_at_once() -> None:
    with started(STUBBORN.format(then="pass", seconds=3600)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "closing\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 128 + signal.SIGTERM


def test_a_process_ends_in_time_although_its_event_loop_hangs() -> None:
    with started(STUBBORN.format(then="time.sleep(3600)", seconds=2)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out) == (1, "closing\n")
        assert err.splitlines()[-1] == user_messages.STOPPED_EARLY


@pytest.mark.parametrize("limit", ["", ", close_within=2"], ids=["a command", "a server"])
def test_a_process_ends_in_time_although_a_thread_does_not(limit: str) -> None:
    with started(WAITING.format(limit=limit)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out) == (1, "closed\n")
        assert err.splitlines()[-1] == user_messages.STOPPED_EARLY


def test_a_stopped_process_closes_everything_and_collects_no_garbage(bare: Path, database_url: str) -> None:
    code = SERVING.format(arguments=["web", "--port", "0"])
    with started(code, DATABASE_URL=database_url, PYTHONPATH=os.pathsep.join(sys.path)) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "Ctrl-C" in line:
                break
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out) == (0, "exit handlers ran\n")
        assert err.splitlines()[-1] == user_messages.STOPPED
