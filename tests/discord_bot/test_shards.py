"""Two shards of one bot: each receives the events of its guilds and reconnects independently."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import discord as library
import pytest

from tests.discord_bot.conftest import FAST_LIMITS, serving, settings_for
from tests.discord_bot.fake_dispatcher import ScriptedDispatcher
from tests.discord_bot.test_conversation import answered
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_interactions import Interaction
from tests.doubles.discord_models import Channel, Message


@dataclass
class TwoShards:
    """A bot on two shards; ``channels`` holds one channel for each."""

    discord: DiscordDouble
    dispatcher: ScriptedDispatcher
    channels: tuple[Channel, Channel]

    async def ask(self, shard: int, text: str = "how many days of leave?") -> Message:
        ada = self.discord.user("Ada")
        return await self.discord.say(self.channels[shard], ada, f"{self.discord.bot.mention} {text}")

    async def answered(self, *asked: Message) -> None:
        for message in asked:
            await self.discord.until(partial(answered, self.discord, message))

    @property
    def received(self) -> list[str]:
        return [incoming.message_id for incoming in self.dispatcher.incoming]


def _response_contains(interaction: Interaction, text: str) -> bool:
    return interaction.response is not None and text in interaction.response.content


@pytest.fixture
async def two(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TwoShards]:
    """Two connected shards, without the pause of five seconds that Discord requires between two logins."""

    async def at_once(self: object, shard_id: int | None, *, initial: bool = False) -> None:
        return None

    monkeypatch.setattr(library.Client, "before_identify_hook", at_once)
    dispatcher = ScriptedDispatcher()
    async with DiscordDouble(limits=FAST_LIMITS, shards=2) as discord, contextlib.AsyncExitStack() as stack:
        guilds = [discord.add_guild(name, shard) for shard, name in enumerate(("Anglers", "Divers"))]
        channels = [discord.channel("general", guild_id=guild) for guild in guilds]
        await stack.enter_async_context(serving(discord, dispatcher, settings_for(discord)))
        await discord.until(lambda: dispatcher.served == ["discord"])
        yield TwoShards(discord, dispatcher, (channels[0], channels[1]))
    await dispatcher.close(grace=0.0)
    assert discord.violations == []


async def test_mentions_on_both_shards_are_answered_and_commands_are_synced_once(two: TwoShards) -> None:
    asked = [await two.ask(shard) for shard in (0, 1)]
    private = await two.discord.dm(two.discord.user("Ada"), "how many days of leave?")
    await two.answered(*asked)
    await two.discord.until(lambda: answered(two.discord, private.channel_id))
    assert sorted(two.received) == sorted(str(message.id) for message in [*asked, private])
    tenants = {incoming.thread.tenant_id for incoming in two.dispatcher.incoming}
    assert tenants >= {f"discord:{place.guild_id}" for place in two.channels}
    assert sorted((session.shard, session.shards) for session in two.discord.gateway.sessions.values()) == [
        (0, 2),
        (1, 2),
    ]
    assert two.discord.command_syncs == 1


async def test_buttons_and_slash_commands_reach_the_shard_of_their_guild(two: TwoShards) -> None:
    ada = two.discord.user("Ada")
    for place in two.channels:
        interaction = await two.discord.slash("budget show", user=ada, channel=place)
        await two.discord.until(partial(_response_contains, interaction, f"discord:{place.guild_id}"))


@pytest.mark.parametrize("shard", [0, 1])
async def test_an_aborted_shard_is_resumed_without_lost_or_repeated_messages(two: TwoShards, shard: int) -> None:
    first = [await two.ask(number) for number in (0, 1)]
    await two.answered(*first)
    await two.discord.gateway.drop(shard)
    second = [await two.ask(number, "and for interns?") for number in (0, 1)]
    await two.answered(*second)
    assert two.discord.gateway.resumed == 1
    assert two.discord.gateway.identified == 2
    assert sorted(two.received) == sorted(str(message.id) for message in [*first, *second])
    assert [len(two.discord.answers(message)) for message in [*first, *second]] == [1] * 4


@pytest.mark.parametrize("shard", [0, 1])
async def test_messages_that_a_shard_missed_are_answered_while_the_other_shard_resumes(
    two: TwoShards, shard: int
) -> None:
    first = await two.ask(shard)
    await two.answered(first)
    two.discord.gateway.end_sessions(shard)
    ada = two.discord.user("Ada")
    missed = await two.discord.say_undelivered(two.channels[shard], ada, f"{two.discord.bot.mention} and for interns?")
    await two.discord.gateway.drop(1 - shard)
    await two.answered(missed)
    other = await two.ask(1 - shard)
    await two.answered(other)
    assert (two.discord.gateway.resumed, two.discord.gateway.identified) == (1, 3)
    assert sorted(two.received) == sorted(str(message.id) for message in [first, missed, other])


async def test_direct_messages_that_the_first_shard_missed_are_answered(two: TwoShards) -> None:
    ada = two.discord.user("Ada")
    private = await two.discord.dm(ada, "how many days of leave?")
    await two.discord.until(lambda: answered(two.discord, private.channel_id))
    two.discord.gateway.end_sessions(0)
    place = two.discord.world.channels[private.channel_id]
    await two.discord.say_undelivered(place, ada, "and for interns?")
    await two.discord.until(lambda: answered(two.discord, private.channel_id, 2))
    assert len(two.received) == 2
