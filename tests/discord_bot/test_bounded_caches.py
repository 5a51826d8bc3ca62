"""What discord.py keeps about threads, people and messages does not grow with the questions that were asked."""

from __future__ import annotations

import gc
from collections import Counter

import pytest

from benchmarks.chaos.heap_log import container_sizes
from tests.discord_bot.conftest import Connect
from tests.discord_bot.fake_dispatcher import ScriptedDispatcher
from tests.doubles import discord_events
from tests.doubles.discord import DiscordDouble

BATCH, ACTIVE = 12, 6
"""Questions of each batch, and the threads that the server keeps active in this test."""
FOR_MINUTES = "discord.http.HTTPClient._buckets"
"""Rate limits by thread. discord.py deletes those of the last five minutes once there are 256."""


async def test_the_cache_of_the_client_does_not_grow_with_threads_people_and_messages(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discord_events, "MOST_ACTIVE_THREADS", ACTIVE)
    await connect()

    async def batch(first: int) -> Counter[str]:
        for number in range(first, first + BATCH):
            channel = discord.channel(f"channel-{number % 3}")
            asked = await discord.say(channel, discord.user(f"Person {number}"), f"{discord.bot.mention} leave?")
            await discord.until(lambda asked=asked: [one for one in discord.answers(asked) if one.embeds])  # type: ignore[misc]
        gc.collect()
        return container_sizes(gc.get_objects(), ("discord.",))

    await batch(0)
    before = await batch(BATCH)
    after = await batch(2 * BATCH)
    assert 0 < after["discord.guild.Guild._threads"] <= ACTIVE, "threads are cached until Discord archives them"
    del after[FOR_MINUTES]
    grown = {name: (before[name], count) for name, count in after.items() if count >= before[name] + BATCH // 2}
    assert grown == {}
