"""What a process keeps about turns, people, channels and threads does not grow with their number."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from dataclasses import replace

import pytest

from benchmarks.chaos.heap_log import container_sizes
from bot.config import Settings
from bot.types import bounded_mapping
from bot.types.bounded_mapping import RecentEntries
from bot.types.conversation import Author
from tests.app.test_processes import Channel, accepted, processes, question
from tests.doubles.models import ModelDouble, Reply

BATCH, SMALL = 16, 4
"""Turns in each batch, and the entries that a map may keep in these tests."""
OURS = ("bot.", "knowledge.")


def sizes() -> Counter[str]:
    """Return the number of entries in all containers that objects of the application hold, by class and attribute."""
    gc.collect()
    return container_sizes(gc.get_objects(), OURS)


def test_recent_entries_keep_those_that_were_set_last() -> None:
    recent: RecentEntries[str, int] = RecentEntries(2)
    for key in "abacb":
        recent[key] = recent.get(key, 0) + 1
    assert dict(recent) == {"c": 1, "b": 1}
    recent.update(d=1, e=1)
    assert list(recent) == ["d", "e"]


@pytest.mark.usefixtures("unhurried_acceptance")
async def test_a_process_that_answered_many_people_in_many_threads_keeps_nothing_about_them(
    both: Settings, models: ModelDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_mapping, "MOST_ENTRIES", SMALL)
    models.script = lambda _: Reply("Dogs are welcome on Fridays.")
    channel = Channel()
    async with processes(both, channel, 1) as (app,):

        async def ask(number: int) -> None:
            asked = question(f"May dog {number} come?", f"{number}.0")
            key = replace(asked.thread, channel_id=f"C{number}")
            turn = await accepted(app, replace(asked, thread=key, author=Author(f"U{number}", f"Person {number}")))
            await app.dispatcher.start(turn, channel.surface(turn))

        async def batch(first: int) -> Counter[str]:
            for number in range(first, first + BATCH, 8):
                await asyncio.gather(*(ask(one) for one in range(number, number + 8)))
            await app.dispatcher.settled()
            return sizes()

        await batch(0)
        before = await batch(BATCH)
        after = await batch(2 * BATCH)
    grown = {name: (before[name], count) for name, count in after.items() if count >= before[name] + BATCH // 2}
    assert grown == {}
