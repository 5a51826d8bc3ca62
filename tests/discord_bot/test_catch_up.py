"""How long a message is tried again that cannot be stored, and what its author hears meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.errors import StoreAway
from bot.platforms.discord import catch_up, user_messages

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Trying:
    """A message that is taken in at the ``good``-th try, on a clock of its own."""

    def __init__(self, good: int) -> None:
        self.good, self.tries, self.now = good, 0, 0.0
        self.told: list[tuple[float, str]] = []

    async def take(self) -> None:
        self.tries += 1
        if self.tries < self.good:
            raise StoreAway("gone")

    async def tell(self, text: str) -> None:
        self.told.append((self.now, text))

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def run(self) -> None:
        await catch_up.persistently(
            self.take, self.tell, monotonic=lambda: self.now, sleep=self.sleep, rand=lambda: 0.5
        )


async def test_a_moment_passes_in_silence() -> None:
    trying = Trying(4)
    await trying.run()
    assert (trying.tries, trying.told) == (4, [])


async def test_a_longer_while_is_told_once() -> None:
    trying = Trying(30)
    await trying.run()
    ((at, text),) = trying.told
    assert text == user_messages.NOT_STORED_YET
    assert catch_up.SAY_AFTER < at < catch_up.SAY_AFTER + 2 * catch_up.LONGEST_PAUSE


async def test_it_ends() -> None:
    trying = Trying(10**6)
    with pytest.raises(StoreAway):
        await trying.run()
    assert catch_up.KEEP_TRYING - 2 * catch_up.LONGEST_PAUSE < trying.now < catch_up.KEEP_TRYING


@pytest.mark.parametrize(
    ("last", "since"),
    [
        (None, None),
        (NOON - timedelta(minutes=5), NOON - timedelta(minutes=5) - catch_up.OVERLAP),
        (NOON - timedelta(days=9), NOON - catch_up.LONGEST_AWAY),
    ],
)
def test_since_when(last: datetime | None, since: datetime | None) -> None:
    assert catch_up.away_since(last, NOON) == since
