"""Ends the process in time: the first signal closes everything within a limit, the second ends it at once."""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from bot.cli import user_messages

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def closes_in_time(seconds: float) -> Iterator[None]:
    """Cancel the current task at the first SIGTERM or Ctrl-C; end the process if it is not closed ``seconds`` later.

    A second signal ends the process at once. Whatever is unfinished then goes on in another process, as after a crash.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    # A thread, because the event loop may be what does not end.
    timer = threading.Timer(seconds, _give_up)
    timer.daemon = True

    def on_signal(number: signal.Signals) -> None:
        if timer.ident is not None:
            end_at_once(128 + number)
        timer.start()
        task.cancel()

    try:
        for number in SIGNALS:
            loop.add_signal_handler(number, on_signal, number)
        yield
    finally:
        timer.cancel()


def end_within(seconds: float) -> None:
    """End the process with exit status 1 if it is not closed ``seconds`` later, so that a supervisor restarts it."""
    timer = threading.Timer(seconds, _give_up)
    timer.daemon = True
    timer.start()


def _give_up() -> None:
    sys.stderr.write(f"{user_messages.STOPPED_EARLY}\n")
    end_at_once(1)


def end_at_once(status: int) -> NoReturn:
    """End the process without closing anything."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def leave(status: int) -> NoReturn:
    """End the process after everything is closed.

    Runs exit handlers, but no garbage collection: over everything that the models' libraries load, that takes seconds,
    in which a supervisor may lose its patience.
    """
    atexit._run_exitfuncs()
    end_at_once(status)
