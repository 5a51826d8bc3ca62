"""How many turns run at once in this process, and who is next: tenants take turns, and within a tenant its people."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from bot.types import Turn


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


class Places:
    """A bounded number of places. Whoever waits is let in fairly; one that gives up waiting leaves nothing behind."""

    def __init__(self, most: int, *, changed: Callable[[], None] = lambda: None) -> None:
        self._most = most
        self._changed = changed
        self._taken: dict[str, Turn] = {}
        self._waiting: dict[str, tuple[Turn, asyncio.Future[None]]] = {}
        self._served: dict[str, int] = {}
        self._count = 0

    @property
    def free(self) -> int:
        """Places that nobody has or waits for."""
        return max(0, self._most - len(self._taken) - len(self._waiting))

    def ahead(self, turn: Turn) -> int:
        """About how many come before this one: all that have waited longer, unless they are of a busier tenant."""
        return next((n for n, other in enumerate(self._waiting) if other == turn.id), 0)

    async def take(self, turn: Turn) -> None:
        """Wait for a place; a turn that has one keeps it."""
        if turn.id in self._taken:
            return
        if len(self._taken) < self._most and not self._waiting:
            self._let_in(turn)
            return
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
        if self._taken.pop(turn.id, None) is None:
            return
        while self._waiting and len(self._taken) < self._most:
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
        self._served[tenant_of(turn)] = self._served[person_of(turn)] = self._count
