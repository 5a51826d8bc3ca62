"""The paces of all workspaces, shared by all processes: what each does is told to the others beside its edits.

An edit never waits for another process. A process tells how many streams it has under way in a workspace, how many it
started within the minute, and how it was refused; the others count that in. They hear of it within half a second. Who
is silent for some seconds counts no more, be it dead, paused, or away from the database: each process then goes by what
it sees itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from bot.engine.display.edit_pacing import SharedPacing
from bot.errors import ParleyError
from bot.types.display import Pacing

log = logging.getLogger(__name__)

REST, REPEAT, LAPSES = 0.3, 3.0, 10.0
"""Seconds between two tellings; after which what still holds is told again; after which what was told holds no more."""
MINUTE = 60.0

Key = tuple[str, str]
Send = Callable[[Sequence[Pacing]], Awaitable[None]]


class WorkspacePacing:
    """The paces of this process, by tenant and platform. ``process_id`` is the number that other processes know."""

    def __init__(
        self,
        process_id: int = 0,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._process = process_id
        self._monotonic = monotonic
        self._sleep = sleep
        self._known: dict[Key, SharedPacing] = {}
        self._heard: dict[Key, dict[int, tuple[float, Pacing]]] = {}
        self._told: dict[Key, float] = {}
        self._stirring: set[Key] = set()

    def of(self, tenant_id: str, platform: str, per_minute: float | None = None) -> SharedPacing:
        """The pace of a workspace; ``per_minute`` is what its platform promises, where it is known."""
        key = (tenant_id, platform)
        if key not in self._known:
            self._known[key] = SharedPacing(news=partial(self._stirring.add, key))
        if per_minute is not None:
            self._known[key].promise(per_minute)
        return self._known[key]

    def hear(self, pacing: Pacing) -> None:
        """Another process told something; one's own words come back too, and are passed over. Never blocks."""
        if pacing.process_id == self._process:
            return
        now, key = self._monotonic(), (pacing.tenant_id, pacing.platform)
        self._heard.setdefault(key, {})[pacing.process_id] = (now, pacing)
        self._stirring.add(key)
        self.of(pacing.tenant_id, pacing.platform).told(now, pacing.slow, pacing.pause)
        self._count(key, now)

    async def serve(self, send: Send) -> None:
        """Tell the others until cancelled. What could not be sent is told again as long as it holds."""
        while True:
            await self._sleep(REST)
            try:
                if due := self.due(self._monotonic()):
                    await send(due)
            except ParleyError as error:
                log.debug("the other processes were not told of this one's edits: %s", error)
            except Exception:
                log.exception("the other processes were not told of this one's edits")

    def due(self, now: float) -> list[Pacing]:
        """What the others should be told now; taken as told. Costs as much as there are workspaces with edits."""
        found = []
        for key in sorted(self._stirring):
            shared = self._known[key]
            self._count(key, now)
            pacing = self._pacing(key, shared, now)
            holds = shared.is_promised and bool(pacing.streams or pacing.starts or pacing.pause)
            if shared.changed or (holds and now - self._told.get(key, float("-inf")) >= REPEAT):
                shared.changed, self._told[key] = False, now
                found.append(pacing)
            if not holds and not self._heard[key]:
                self._stirring.discard(key)
        return found

    def _pacing(self, key: Key, shared: SharedPacing, now: float) -> Pacing:
        return Pacing(
            tenant_id=key[0],
            platform=key[1],
            process_id=self._process,
            streams=shared.streams,
            starts=shared.started(now),
            slow=shared.slow,
            pause=shared.blocked(now),
        )

    def _count(self, key: Key, now: float) -> None:
        """Add up what the others told of a workspace; starts count for a minute, even those of the dead."""
        heard = {who: told for who, told in self._heard.get(key, {}).items() if told[0] > now - MINUTE}
        self._heard[key] = heard
        shared = self._known[key]
        live = {who: pacing.streams for who, (at, pacing) in heard.items() if at > now - LAPSES}
        shared.elsewhere = sum(live.values())
        shared.before = sum(who < self._process and streams > 0 for who, streams in live.items())
        shared.started_elsewhere = sum(pacing.starts for _, pacing in heard.values())
