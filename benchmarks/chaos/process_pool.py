"""The processes of the bot: forked, watched, killed and started again."""

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
SOON, PATIENCE = 0.2, 30.0


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
    holds: dict[str, int] = field(default_factory=dict)
    """The turns that it runs, each with the fence of its lease."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    gauges: list[dict[str, Any]] = field(default_factory=list)

    def signal(self, number: int) -> None:
        """Send a signal, unless it is gone."""
        if not self.gone.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass
class Interrupted:
    """A turn whose process died, with the fence it ran under. ``taken_at`` is when another began to go on with it."""

    turn_id: str
    by: Process
    at: float
    fence: int
    taken_at: float = 0.0


class Zygote:
    """Forks workers. An async context manager; leaving it kills them all."""

    def __init__(self) -> None:
        self.processes: dict[int, Process] = {}
        self.interrupted: list[Interrupted] = []
        self._open: dict[str, Interrupted] = {}
        self._forks: dict[int, tuple[Spec, asyncio.Future[Process]]] = {}
        self._number = 0
        self._loaded = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._zygote = await asyncio.create_subprocess_exec(
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
        assert self._zygote.stdin is not None
        self._zygote.stdin.close()
        await self._zygote.wait()
        await self._reading

    async def fork(self, spec: Spec) -> Process:
        """Start a worker."""
        assert self._zygote.stdin is not None
        self._number += 1
        forked: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        self._forks[self._number] = (spec, forked)
        self._zygote.stdin.write(json.dumps({"fork": self._number, "spec": asdict(spec)}).encode() + b"\n")
        await self._zygote.stdin.drain()
        return await forked

    async def _read(self) -> None:
        assert self._zygote.stdout is not None
        async for line in self._zygote.stdout:
            self._heard(json.loads(line), time.monotonic())
        self._loaded.set()

    def _heard(self, said: dict[str, Any], now: float) -> None:
        if "loaded" in said:
            self._loaded.set()
        elif "fork" in said:
            spec, forked = self._forks.pop(said["fork"])
            process = self.processes[said["pid"]] = Process(said["pid"], spec, now)
            forked.set_result(process)
        elif (process_or_none := self.processes.get(said["pid"])) is not None:
            self._of(process_or_none, said, now)

    def _of(self, process: Process, said: dict[str, Any], now: float) -> None:
        if "ready" in said:
            process.ready_at = now
            process.ready.set()
        elif "leased" in said:
            self._nobody_holds(said["leased"])
            process.holds[said["leased"]] = said["fence"]
            if (known := self._open.pop(said["leased"], None)) is not None:
                known.taken_at = now
        elif "ended" in said:
            self._nobody_holds(said["ended"])
            if (known := self._open.pop(said["ended"], None)) is not None:
                known.taken_at = now
        elif "died_at" in said:
            process.died_at = said["died_at"]
        elif "late_ms" in said:
            process.gauges.append(said | {"at": now})
        elif "gone" in said:
            self._buried(process, said["gone"], now)

    def _nobody_holds(self, turn_id: str) -> None:
        """A process that lost a turn to another one learns of it only when it writes."""
        for process in self.processes.values():
            process.holds.pop(turn_id, None)

    def _buried(self, process: Process, status: int, now: float) -> None:
        process.status, process.gone_at = status, now
        for turn_id, fence in process.holds.items() if status == -signal.SIGKILL else ():
            self._open[turn_id] = Interrupted(turn_id, process, now, fence)
            self.interrupted.append(self._open[turn_id])
        process.holds.clear()
        process.gone.set()
        process.ready.set()


@dataclass
class Slot:
    """A slot of the pool that is always kept filled, as by a supervisor."""

    spec: Callable[[], Spec]
    process: Process | None = None
    pause: float = SOON
    """Seconds until the next one is started after one has gone."""


class ProcessPool:
    """Keeps every slot filled until it is closed."""

    def __init__(self, zygote: Zygote, specs: list[Callable[[], Spec]]) -> None:
        self.zygote = zygote
        self.slots = [Slot(spec) for spec in specs]
        self.history: list[Process] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False

    @property
    def ready(self) -> list[Process]:
        """The processes that serve."""
        found = [slot.process for slot in self.slots if slot.process is not None]
        return [process for process in found if process.ready_at and not process.gone.is_set()]

    async def start(self) -> None:
        """Fill every slot and wait until all serve."""
        self._tasks = [asyncio.create_task(self._keep(slot)) for slot in self.slots]
        until = time.monotonic() + PATIENCE
        while len(self.ready) < len(self.slots) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        if not self.ready:
            raise RuntimeError(f"No process came up; see {self.slots[0].spec().log}")

    async def _keep(self, slot: Slot) -> None:
        while not self._closing:
            if slot.process is None or slot.process.gone.is_set():
                slot.process = await self._forked(slot)
            await slot.process.gone.wait()
            if slot.process.gone.is_set():
                pause, slot.pause = slot.pause, SOON
                await asyncio.sleep(pause)

    async def _forked(self, slot: Slot) -> Process:
        process = await self.zygote.fork(slot.spec())
        self.history.append(process)
        return process

    async def replace(self, slot: Slot) -> Process:
        """A rolling restart of one slot: the next one up first, then SIGTERM to the old one; returns the old one."""
        old = slot.process
        assert old is not None
        slot.process = await self._forked(slot)
        async with asyncio.timeout(PATIENCE):
            await slot.process.ready.wait()
        old.signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            await old.gone.wait()
        return old

    async def close(self, number: int = signal.SIGTERM) -> None:
        """End every process, and wait."""
        self._closing = True
        alive = [process for process in self.history if not process.gone.is_set()]
        for process in alive:
            process.signal(number)
        try:
            async with asyncio.timeout(PATIENCE):
                for process in alive:
                    await process.gone.wait()
        except TimeoutError:
            for process in alive:
                process.signal(signal.SIGKILL)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
