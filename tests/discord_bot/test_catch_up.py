"""Tests since when messages may have been missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.platforms.discord import catch_up

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("last_connected", "since"),
    [
        (None, None),
        (NOON - timedelta(minutes=5), NOON - timedelta(minutes=5) - catch_up.OVERLAP),
        (NOON - timedelta(days=9), NOON - catch_up.MAX_AGE),
    ],
)
def test_missed_since(last_connected: datetime | None, since: datetime | None) -> None:
    assert catch_up.missed_since(last_connected, NOON) == since
