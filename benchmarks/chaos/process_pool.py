"""Starts, watches, kills and restarts the worker processes of the bot."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.chaos.worker import Spec

ROOT = Path(__file__).resolve().parents[2]
RESTART_DELAY, TIMEOUT = 0.2, 30.0


@dataclass
class Process:
    """One worker from its fork to its end. Times are monotonic."""

    pid: int
    spec: Spec
    forked_at: float
    ready_at: float = 0.0
    gone_at: float = 0.0
    status: int | None = None
    died_at: str = ""
    running: dict[str, int] = field(default_factory=dict)
    """The turns that it runs, each with the fence of its lease."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    load_samples: list[dict[str, Any]] = field(default_factory=list)

    def signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if not self.gone.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass
class OrphanedTurn:
    """A turn whose process died, with its fence. ``taken_at`` is when another process took it over."""

    turn_id: str
    by: Process
    at: float
    fence: int
    taken_at: float = 0.0


class ForkServer:
    """Forks workers through the fork server. An async context manager that kills them all on exit."""

    def __init__(self) -> None:
        self.processes: dict[int, Process] = {}
        self.orphaned: list[OrphanedTurn] = []
        self.taken_from_living = 0
        """Turns that a process leased while another one that lived ran them: it was paused or cut off, or the question
        was edited."""
        self._open: dict[str, OrphanedTurn] = {}
        self._forks: dict[int, tuple[Spec, asyncio.Future[Process]]] = {}
        self._number = 0
        self._loaded = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.chaos.fork_server",
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**20,
        )
        self._reading = asyncio.create_task(self._read())
        await self._loaded.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        await self._server.wait()
        await self._reading

    async def fork(self, spec: Spec) -> Process:
        """Start a worker."""
        assert self._server.stdin is not None
        self._number += 1
        forked: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        self._forks[self._number] = (spec, forked)
        self._server.stdin.write(json.dumps({"fork": self._number, "spec": asdict(spec)}).encode() + b"\n")
        await self._server.stdin.drain()
        return await forked

    async def _read(self) -> None:
        assert self._server.stdout is not None
        async for line in self._server.stdout:
            self._receive(json.loads(line), time.monotonic())
        self._loaded.set()

    def _receive(self, message: dict[str, Any], now: float) -> None:
        if "loaded" in message:
            self._loaded.set()
        elif "fork" in message:
            spec, forked = self._forks.pop(message["fork"])
            process = self.processes[message["pid"]] = Process(message["pid"], spec, now)
            forked.set_result(process)
        elif (existing := self.processes.get(message["pid"])) is not None:
            self._update(existing, message, now)

    def _update(self, process: Process, message: dict[str, Any], now: float) -> None:
        if "ready" in message:
            process.ready_at = now
            process.ready.set()
        elif "leased" in message:
            runs_it = [
                one for one in self.processes.values() if one is not process and message["leased"] in one.running
            ]
            self.taken_from_living += len(runs_it)
            self._remove_running(message["leased"])
            process.running[message["leased"]] = message["fence"]
            if (orphan := self._open.pop(message["leased"], None)) is not None:
                orphan.taken_at = now
        elif "ended" in message:
            self._remove_running(message["ended"])
            if (orphan := self._open.pop(message["ended"], None)) is not None:
                orphan.taken_at = now
        elif "died_at" in message:
            process.died_at = message["died_at"]
        elif "late_ms" in message:
            process.load_samples.append(message | {"at": now})
        elif "gone" in message:
            self._end(process, message["gone"], now)

    def _remove_running(self, turn_id: str) -> None:
        """Remove the turn from every process: one that lost it learns this only when it writes."""
        for process in self.processes.values():
            process.running.pop(turn_id, None)

    def _end(self, process: Process, status: int, now: float) -> None:
        process.status, process.gone_at = status, now
        for turn_id, fence in process.running.items() if status == -signal.SIGKILL else ():
            self._open[turn_id] = OrphanedTurn(turn_id, process, now, fence)
            self.orphaned.append(self._open[turn_id])
        process.running.clear()
        process.gone.set()
        process.ready.set()


@dataclass
class Slot:
    """A place in the pool that is always filled, as a supervisor does."""

    spec: Callable[[], Spec]
    process: Process | None = None
    pause: float = RESTART_DELAY
    """Seconds between the end of a process and the start of the next one."""


class ProcessPool:
    """Keeps every slot filled until it is closed."""

    def __init__(self, fork_server: ForkServer, specs: list[Callable[[], Spec]]) -> None:
        self.fork_server = fork_server
        self.slots = [Slot(spec) for spec in specs]
        self.history: list[Process] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False

    @property
    def ready(self) -> list[Process]:
        """Return the processes that serve."""
        found = [slot.process for slot in self.slots if slot.process is not None]
        return [process for process in found if process.ready_at and not process.gone.is_set()]

    async def start(self) -> None:
        """Fill every slot and wait until all processes serve."""
        self._tasks = [asyncio.create_task(self._keep(slot)) for slot in self.slots]
        until = time.monotonic() + TIMEOUT
        while len(self.ready) < len(self.slots) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        if not self.ready:
            raise RuntimeError(f"No process started; see {self.slots[0].spec().log}")

    async def _keep(self, slot: Slot) -> None:
        while not self._closing:
            if slot.process is None or slot.process.gone.is_set():
                slot.process = await self._fork(slot)
            await slot.process.gone.wait()
            if slot.process.gone.is_set():
                pause, slot.pause = slot.pause, RESTART_DELAY
                await asyncio.sleep(pause)

    async def _fork(self, slot: Slot) -> Process:
        process = await self.fork_server.fork(slot.spec())
        self.history.append(process)
        return process

    async def replace(self, slot: Slot) -> Process:
        """Replace a process without downtime: start the next one, then send SIGTERM to the old one. Return the old
        one."""
        old = slot.process
        assert old is not None
        slot.process = await self._fork(slot)
        async with asyncio.timeout(TIMEOUT):
            await slot.process.ready.wait()
        old.signal(signal.SIGTERM)
        async with asyncio.timeout(TIMEOUT):
            await old.gone.wait()
        return old

    async def close(self, number: int = signal.SIGTERM) -> None:
        """End every process, and wait."""
        self._closing = True
        alive = [process for process in self.history if not process.gone.is_set()]
        for process in alive:
            process.signal(number)
        try:
            async with asyncio.timeout(TIMEOUT):
                for process in alive:
                    await process.gone.wait()
        except TimeoutError:
            for process in alive:
                process.signal(signal.SIGKILL)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
