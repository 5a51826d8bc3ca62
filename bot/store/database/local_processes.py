"""Watches the other processes of Parley on this machine. The kernel tells at once, and for certain, when one ends.

A process is on this machine if it has the same PID namespace: processes on other hosts and in other containers have
another one. Where the system has no such names (it is not Linux), nothing is known about the other processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

LOCK_RELEASE_SECONDS = (0.0, 0.1, 0.3, 0.7)
"""Seconds after the end of a process at which ``ended`` is called: the database needs a moment to release its lock."""

_STARTED = 19
"""Position of the start time in ``/proc/PID/stat``, counted from the process's state."""


class LocalProcess(NamedTuple):
    """A process by its number in the database, its PID, and when it started, in clock ticks since the boot."""

    process_id: int
    pid: int
    started: int


def pid_namespace() -> str:
    """Return a name for the space in which each PID names one process: a container during one boot of its machine.

    Return an empty string where that is unknown.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def started_at(pid: int) -> int:
    """Return when the process started, in clock ticks since the boot; 0 if that is unknown."""
    try:
        # The name of the program, in parentheses, may contain spaces and parentheses.
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[_STARTED])
    except (OSError, ValueError, IndexError):
        return 0


class LocalProcesses:
    """Calls ``ended``, on the event loop, once a watched process has ended, and a few times soon afterwards."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._watched: dict[LocalProcess, int] = {}
        self._gone: set[LocalProcess] = set()
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def alive(self) -> frozenset[int]:
        """The numbers of the processes that run."""
        return frozenset(one.process_id for one in self._watched)

    @property
    def gone(self) -> frozenset[int]:
        """The numbers of the processes that have ended."""
        return frozenset(one.process_id for one in self._gone)

    def watch(self, processes: Iterable[LocalProcess]) -> None:
        """Watch exactly these processes, and stop watching others."""
        wanted = set(processes)
        for one in [one for one in self._watched if one not in wanted]:
            self._unwatch(one)
        self._gone &= wanted
        for one in wanted - self._gone - self._watched.keys():
            self._begin(one)

    def close(self) -> None:
        """Stop watching all processes."""
        self.watch(())
        for timer in self._timers:
            timer.cancel()

    def _begin(self, one: LocalProcess) -> None:
        try:
            watched = os.pidfd_open(one.pid)
        except ProcessLookupError:
            self._end(one)
            return
        except (AttributeError, OSError):  # Not Linux, or a sandbox forbids it: nothing is known about the process.
            return
        started = started_at(one.pid)
        if started == one.started != 0:
            self._watched[one] = watched
            asyncio.get_running_loop().add_reader(watched, self._end, one)
            return
        os.close(watched)
        if started and one.started:  # The PID belongs to another process by now.
            self._end(one)

    def _end(self, one: LocalProcess) -> None:
        self._unwatch(one)
        self._gone.add(one)
        loop, now = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        self._timers = [timer for timer in self._timers if timer.when() > now]
        self._timers += [loop.call_later(seconds, self._ended) for seconds in LOCK_RELEASE_SECONDS]

    def _unwatch(self, one: LocalProcess) -> None:
        watched = self._watched.pop(one, None)
        if watched is not None:
            asyncio.get_running_loop().remove_reader(watched)
            with contextlib.suppress(OSError):
                os.close(watched)
