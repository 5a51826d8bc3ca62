"""Ends the process in time: the first signal closes everything within a limit, the second ends it at once."""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from bot.cli import user_messages

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def stop_on_signals(seconds: float) -> None:
    """Cancel the current task at the first SIGTERM or Ctrl-C. End the process if it still runs ``seconds`` later.

    A second signal ends the process at once. Whatever is unfinished then goes on in another process, as after a crash.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    received: list[signal.Signals] = []

    def on_signal(number: signal.Signals) -> None:
        if received:
            end_at_once(128 + number)
        received.append(number)
        end_within(seconds)
        task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal, number)


def end_within(seconds: float) -> None:
    """End the process with exit status 1 if it still runs ``seconds`` later, so that a supervisor restarts it."""
    # A thread, because the event loop may be what does not end.
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

    Exit handlers run. Garbage is not collected, because that takes seconds with everything that the models' libraries
    load, and a supervisor may kill the process meanwhile.
    """
    atexit._run_exitfuncs()
    end_at_once(status)
