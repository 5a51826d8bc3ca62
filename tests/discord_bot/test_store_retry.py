"""Retries a message that cannot be stored, and notifies its author if that takes long."""

from __future__ import annotations

import pytest

from bot.errors import PlatformAway, StoreAway
from bot.platforms.discord import store_retry, user_messages


class FlakyStore:
    """A store that accepts a message at the ``succeeds_at``-th attempt, on a clock of its own."""

    def __init__(self, succeeds_at: int, error: Exception | None = None) -> None:
        self.error = error or StoreAway("gone")
        self.succeeds_at, self.attempts, self.now = succeeds_at, 0, 0.0
        self.notifications: list[tuple[float, str]] = []

    async def store(self) -> None:
        self.attempts += 1
        if self.attempts < self.succeeds_at:
            raise self.error

    async def notify(self, text: str) -> None:
        self.notifications.append((self.now, text))

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def run(self) -> None:
        await store_retry.retry_until_stored(
            self.store, self.notify, monotonic=lambda: self.now, sleep=self.sleep, rand=lambda: 0.5
        )


@pytest.mark.parametrize("error", [StoreAway("gone"), PlatformAway("gone")])
async def test_a_short_outage_passes_without_a_notification(error: Exception) -> None:
    flaky = FlakyStore(4, error)
    await flaky.run()
    assert (flaky.attempts, flaky.notifications) == (4, [])


async def test_a_longer_outage_is_reported_once() -> None:
    flaky = FlakyStore(30)
    await flaky.run()
    ((at, text),) = flaky.notifications
    assert text == user_messages.NOT_STORED_YET
    assert store_retry.NOTIFY_AFTER < at < store_retry.NOTIFY_AFTER + 2 * store_retry.MAX_PAUSE


async def test_retrying_ends() -> None:
    flaky = FlakyStore(10**6)
    with pytest.raises(StoreAway):
        await flaky.run()
    assert store_retry.RETRY_SECONDS - 2 * store_retry.MAX_PAUSE < flaky.now < store_retry.RETRY_SECONDS
