"""Limits the turns that run at once in this process and picks the next fairly: by tenant, then by person.

Starting a turn takes CPU time. A process that starts all its turns at once, for example after a restart, finishes none
of them soon. So turns of dead processes are started a few at a time, and very few turns run while the event loop is
late.

A tenant that asks a lot leaves a share of the slots to the others, so that their questions start at once and not only
when one of its answers ends. A tenant that is alone may use them all.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.types.bounded_mapping import RecentEntries
from bot.types.turns import TenantRoom, Turn

PROBE_SECONDS = 0.1
"""Seconds between two measurements of how late the event loop is."""
STARTS_PER_PROBE = 8
"""Turns of other processes that may be started between two measurements."""
LATE_SECONDS = 0.15
"""Delay in seconds, smoothed over about half a second, above which the event loop counts as late."""
MAX_WHEN_LATE = 16
"""Turns that may run in a process whose event loop is late."""
KEPT_FREE = 4
"""One slot in so many is kept free for the other tenants while they ask."""
OTHERS_SECONDS = 600.0
"""How long slots are kept free after another tenant's last question, in seconds."""


def fairest(waiting: Sequence[Turn], running: Iterable[Turn], served: Mapping[str, int]) -> Turn:
    """Return the next of ``waiting``, which is in order of arrival and not empty.

    The tenant with the fewest running turns comes first, then its person with the fewest; ties go to the one served
    longest ago. ``served`` holds when tenants, and people as ``TENANT/PERSON``, last got a slot, as a growing number.
    """
    active: Counter[str] = Counter()
    for turn in running:
        active[tenant_of(turn)] += 1
        active[person_of(turn)] += 1

    def key(turn: Turn) -> tuple[int, int, int, int]:
        tenant, person = tenant_of(turn), person_of(turn)
        return active[tenant], served.get(tenant, 0), active[person], served.get(person, 0)

    return min(waiting, key=key)


def tenant_of(turn: Turn) -> str:
    """Return the turn's tenant."""
    return turn.thread.tenant_id


def person_of(turn: Turn) -> str:
    """Return a key for the turn's asker."""
    return f"{turn.thread.tenant_id}/{turn.author.id}"


@dataclass(slots=True)
class LoopDelay:
    """The event loop's smoothed delay in seconds, and the number of turns started since the last measurement."""

    late: float = 0.0
    started: int = 0

    def measured(self, late: float) -> None:
        """Record a measured delay, in seconds."""
        self.late = max(late, 0.8 * self.late)
        self.started = 0

    def room(self, running: int, most: int) -> int:
        """Return how many more turns may run if ``running`` turns already do."""
        return max(0, self.limit(most) - running)

    def limit(self, most: int) -> int:
        """Return how many turns may run at once: ``most``, or fewer while the loop is late."""
        return most if self.late < LATE_SECONDS else min(most, MAX_WHEN_LATE)

    def admits(self, running: int, most: int) -> int:
        """Return how many turns may start now: one at a time while the loop is late."""
        room = self.room(running, most)
        return room if self.late < LATE_SECONDS else min(room, int(not self.started))


class TurnSlots:
    """A bounded number of slots, assigned fairly. Cancelling a waiter releases its place in the queue."""

    def __init__(self, most: int, *, changed: Callable[[], None] = lambda: None) -> None:
        self._most = most
        self._changed = changed
        self._delay = LoopDelay()
        self._due: float | None = None
        self._taken: dict[str, Turn] = {}
        self._running_of: Counter[str] = Counter()
        """The turns with a slot, by tenant."""
        self._waiting: dict[str, tuple[Turn, asyncio.Future[None]]] = {}
        self._served: RecentEntries[str, int] = RecentEntries()
        self._asked_at: RecentEntries[str, float] = RecentEntries()
        """When each tenant last asked, in seconds of the event loop's clock; the latest comes last."""
        self._count = 0

    @property
    def free(self) -> int:
        """Slots for orphaned turns: a few at a time, and none while a turn of this process waits for a free slot."""
        if any(self._has_room(tenant_of(turn)) for turn, _ in self._waiting.values()):
            return 0
        return max(0, min(self._delay.room(len(self._taken), self._most), STARTS_PER_PROBE - self._delay.started))

    @property
    def tenant_room(self) -> TenantRoom:
        """How many turns of each tenant may start now, so that the slots stay free that are kept for the others."""
        latest = next(reversed(self._asked_at), "")
        of = {tenant: self._room(tenant) for tenant in {*self._running_of, latest}}
        return TenantRoom(of, otherwise=self._room(""))

    def ahead(self, turn: Turn) -> int:
        """Return the approximate number of turns ahead of this one: those that have waited longer."""
        return next((n for n, other in enumerate(self._waiting) if other == turn.id), 0)

    async def take(self, turn: Turn) -> None:
        """Wait for a slot. A turn that already has a slot keeps it."""
        if turn.id in self._taken:
            return
        self._asked_at[tenant_of(turn)] = asyncio.get_running_loop().time()
        waits = any(self._has_room(tenant_of(other)) for other, _ in self._waiting.values())
        if not waits and self._grantable() and self._has_room(tenant_of(turn)):
            self._grant(turn)
            return
        self._schedule_probe()
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[turn.id] = (turn, granted)
        try:
            await granted
        except asyncio.CancelledError:
            self._waiting.pop(turn.id, None)
            self.give(turn)
            raise

    def give(self, turn: Turn) -> None:
        """Release the turn's slot, if it has one."""
        given = self._taken.pop(turn.id, None)
        if given is not None:
            self._running_of[tenant_of(given)] -= 1
            self._running_of += Counter()  # Removes the tenants with none.
            self._fill()

    def _grantable(self) -> int:
        return self._delay.admits(len(self._taken), self._most)

    def _has_room(self, tenant: str) -> bool:
        return self._room(tenant) > 0

    def _room(self, tenant: str) -> int:
        """Return how many more turns of the tenant would leave the slots free that are kept for the others."""
        now = asyncio.get_running_loop().time()
        others = next((at for other, at in reversed(self._asked_at.items()) if other != tenant), None)
        if others is None or now - others > OTHERS_SECONDS:
            return self._most
        limit = self._delay.limit(self._most)
        return max(0, limit - limit // KEPT_FREE - self._running_of[tenant])

    def _fill(self) -> None:
        while self._grantable():
            waiting = [waits for waits, _ in self._waiting.values() if self._has_room(tenant_of(waits))]
            if not waiting:
                break
            chosen = fairest(waiting, self._taken.values(), self._served)
            _, granted = self._waiting.pop(chosen.id)
            self._grant(chosen)
            if not granted.done():
                granted.set_result(None)
        if self.free:
            self._changed()

    def _grant(self, turn: Turn) -> None:
        self._taken[turn.id] = turn
        self._running_of[tenant_of(turn)] += 1
        self._count += 1
        self._delay.started += 1
        self._served[tenant_of(turn)] = self._served[person_of(turn)] = self._count
        self._schedule_probe()

    def _schedule_probe(self) -> None:
        """Measure the event loop's delay for as long as a turn runs or waits."""
        if self._due is None:
            loop = asyncio.get_running_loop()
            self._due = loop.time() + PROBE_SECONDS
            loop.call_at(self._due, self._probe)

    def _probe(self) -> None:
        assert self._due is not None
        self._delay.measured(max(0.0, asyncio.get_running_loop().time() - self._due))
        self._due = None
        if self._taken or self._waiting:
            self._schedule_probe()
        else:
            self._delay = LoopDelay()
        self._fill()
