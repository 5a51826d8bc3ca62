"""How many turns run at once in this process, and who is next: tenants take turns, and within a tenant its people.

Beginning a turn is work, and a process that begins all it could at once, as after a restart, ends none of them soon.
So turns that others left are taken up a few at a time, and while the event loop is late, very few run at all.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.types.turns import Turn

BEAT = 0.1
"""Seconds between two looks at how late the event loop is."""
AT_ONCE = 8
"""Turns of others that may be taken up between two looks."""
LATE = 0.15
"""Seconds, smoothed over about half a second, from which on the event loop counts as late."""
FEW = 16
"""Turns that may run in a process whose event loop is late."""


def fairest(waiting: Sequence[Turn], running: Iterable[Turn], served: Mapping[str, int]) -> Turn:
    """Who is next among ``waiting``, which stand in the order in which they came and are at least one.

    First the tenant, then its person, with the fewest running turns; among equals the one that was served longest ago.
    ``served`` says when tenants, and people as ``TENANT/PERSON``, were last given a place, in any growing number.
    """
    at_work: Counter[str] = Counter()
    for turn in running:
        at_work[tenant_of(turn)] += 1
        at_work[person_of(turn)] += 1

    def key(turn: Turn) -> tuple[int, int, int, int]:
        tenant, person = tenant_of(turn), person_of(turn)
        return at_work[tenant], served.get(tenant, 0), at_work[person], served.get(person, 0)

    return min(waiting, key=key)


def tenant_of(turn: Turn) -> str:
    """Names the turn's tenant."""
    return turn.thread.tenant_id


def person_of(turn: Turn) -> str:
    """Names the turn's asker."""
    return f"{turn.thread.tenant_id}/{turn.author.id}"


@dataclass(slots=True)
class Ease:
    """How late the event loop is, in seconds, smoothed; and how many were let in since it was last looked at."""

    late: float = 0.0
    begun: int = 0

    def looked(self, late: float) -> None:
        """Take note of how late the event loop was this time, in seconds."""
        self.late = max(late, 0.8 * self.late)
        self.begun = 0

    def room(self, running: int, most: int) -> int:
        """How many may run beside ``running`` turns."""
        return max(0, (most if self.late < LATE else min(most, FEW)) - running)

    def admits(self, running: int, most: int) -> int:
        """How many of those may begin now: one at a time where the loop is late."""
        room = self.room(running, most)
        return room if self.late < LATE else min(room, int(not self.begun))


class TurnSlots:
    """A bounded number of places. Whoever waits is let in fairly; one that gives up waiting leaves nothing behind."""

    def __init__(self, most: int, *, changed: Callable[[], None] = lambda: None) -> None:
        self._most = most
        self._changed = changed
        self._ease = Ease()
        self._due: float | None = None
        self._taken: dict[str, Turn] = {}
        self._waiting: dict[str, tuple[Turn, asyncio.Future[None]]] = {}
        self._served: dict[str, int] = {}
        self._count = 0

    @property
    def free(self) -> int:
        """Places for turns that nobody runs yet: few at a time, and none while somebody here waits for one."""
        return (
            0
            if self._waiting
            else max(0, min(self._ease.room(len(self._taken), self._most), AT_ONCE - self._ease.begun))
        )

    def ahead(self, turn: Turn) -> int:
        """About how many come before this one: all that have waited longer, unless they are of a busier tenant."""
        return next((n for n, other in enumerate(self._waiting) if other == turn.id), 0)

    async def take(self, turn: Turn) -> None:
        """Wait for a place; a turn that has one keeps it."""
        if turn.id in self._taken:
            return
        if not self._waiting and self._to_give():
            self._let_in(turn)
            return
        self._watch()
        let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[turn.id] = (turn, let_in)
        try:
            await let_in
        except asyncio.CancelledError:
            self._waiting.pop(turn.id, None)
            self.give(turn)
            raise

    def give(self, turn: Turn) -> None:
        """Give the place back, if the turn has one."""
        if self._taken.pop(turn.id, None) is not None:
            self._fill()

    def _to_give(self) -> int:
        return self._ease.admits(len(self._taken), self._most)

    def _fill(self) -> None:
        while self._waiting and self._to_give():
            waiting = [waits for waits, _ in self._waiting.values()]
            chosen = fairest(waiting, self._taken.values(), self._served)
            _, let_in = self._waiting.pop(chosen.id)
            self._let_in(chosen)
            if not let_in.done():
                let_in.set_result(None)
        if self.free:
            self._changed()

    def _let_in(self, turn: Turn) -> None:
        self._taken[turn.id] = turn
        self._count += 1
        self._ease.begun += 1
        self._served[tenant_of(turn)] = self._served[person_of(turn)] = self._count
        self._watch()

    def _watch(self) -> None:
        """Look at the event loop for as long as anything runs or waits."""
        if self._due is None:
            loop = asyncio.get_running_loop()
            self._due = loop.time() + BEAT
            loop.call_at(self._due, self._look)

    def _look(self) -> None:
        assert self._due is not None
        self._ease.looked(max(0.0, asyncio.get_running_loop().time() - self._due))
        self._due = None
        if self._taken or self._waiting:
            self._watch()
        else:
            self._ease = Ease()
        self._fill()
