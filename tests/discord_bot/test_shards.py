"""Two shards of one bot: each hears of its own guilds, and is resumed or begun anew without the other."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import discord as library
import pytest

from tests.discord_bot.conftest import BRISK, serving, settings_for
from tests.discord_bot.fake_dispatcher import ScriptedDispatcher
from tests.discord_bot.test_conversation import answered
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_interactions import Interaction
from tests.doubles.discord_world import Channel, Message


@dataclass
class Two:
    """A bot on two shards; ``places`` is a channel for each."""

    discord: DiscordDouble
    dispatcher: ScriptedDispatcher
    places: tuple[Channel, Channel]

    async def ask(self, shard: int, text: str = "how many days of leave?") -> Message:
        ada = self.discord.user("Ada")
        return await self.discord.say(self.places[shard], ada, f"{self.discord.bot.mention} {text}")

    async def answered(self, *asked: Message) -> None:
        for message in asked:
            await self.discord.until(partial(answered, self.discord, message))

    @property
    def heard(self) -> list[str]:
        return [incoming.message_id for incoming in self.dispatcher.incoming]


def _says(interaction: Interaction, words: str) -> bool:
    return interaction.response is not None and words in interaction.response.content


@pytest.fixture
async def two(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Two]:
    """The library waits five seconds before a further shard logs in, as Discord wants it; here it waits no time."""

    async def at_once(self: object, shard_id: int | None, *, initial: bool = False) -> None:
        return None

    monkeypatch.setattr(library.Client, "before_identify_hook", at_once)
    dispatcher = ScriptedDispatcher()
    async with DiscordDouble(limits=BRISK, shards=2) as discord, contextlib.AsyncExitStack() as stack:
        guilds = [discord.guild(name, shard) for shard, name in enumerate(("Anglers", "Divers"))]
        places = [discord.channel("general", guild_id=guild) for guild in guilds]
        await stack.enter_async_context(serving(discord, dispatcher, settings_for(discord)))
        await discord.until(lambda: dispatcher.served == ["discord"])
        yield Two(discord, dispatcher, (places[0], places[1]))
    await dispatcher.close(grace=0.0)
    assert discord.violations == []


async def test_mentions_in_the_guilds_of_both_shards_are_answered_and_commands_told_once(two: Two) -> None:
    asked = [await two.ask(shard) for shard in (0, 1)]
    private = await two.discord.dm(two.discord.user("Ada"), "how many days of leave?")
    await two.answered(*asked)
    await two.discord.until(lambda: answered(two.discord, private.channel_id))
    assert sorted(two.heard) == sorted(str(message.id) for message in [*asked, private])
    tenants = {incoming.thread.tenant_id for incoming in two.dispatcher.incoming}
    assert tenants >= {f"discord:{place.guild_id}" for place in two.places}
    assert sorted((session.shard, session.shards) for session in two.discord.gateway.sessions.values()) == [
        (0, 2),
        (1, 2),
    ]
    assert two.discord.synced == 1


async def test_buttons_and_slash_commands_reach_the_shard_of_their_guild(two: Two) -> None:
    ada = two.discord.user("Ada")
    for place in two.places:
        interaction = await two.discord.slash("budget show", user=ada, channel=place)
        await two.discord.until(partial(_says, interaction, f"discord:{place.guild_id}"))


@pytest.mark.parametrize("shard", [0, 1])
async def test_a_shard_that_is_cut_is_resumed_and_nothing_is_lost_or_heard_twice(two: Two, shard: int) -> None:
    first = [await two.ask(number) for number in (0, 1)]
    await two.answered(*first)
    await two.discord.gateway.drop(shard)
    second = [await two.ask(number, "and for interns?") for number in (0, 1)]
    await two.answered(*second)
    assert two.discord.gateway.resumed == 1
    assert two.discord.gateway.identified == 2
    assert sorted(two.heard) == sorted(str(message.id) for message in [*first, *second])
    assert [len(two.discord.answers(message)) for message in [*first, *second]] == [1] * 4


@pytest.mark.parametrize("shard", [0, 1])
async def test_what_a_shard_missed_is_heard_though_the_other_one_was_resumed_meanwhile(two: Two, shard: int) -> None:
    first = await two.ask(shard)
    await two.answered(first)
    two.discord.gateway.forget(shard)
    ada = two.discord.user("Ada")
    missed = await two.discord.missed(two.places[shard], ada, f"{two.discord.bot.mention} and for interns?")
    await two.discord.gateway.drop(1 - shard)
    await two.answered(missed)
    other = await two.ask(1 - shard)
    await two.answered(other)
    assert (two.discord.gateway.resumed, two.discord.gateway.identified) == (1, 3)
    assert sorted(two.heard) == sorted(str(message.id) for message in [first, missed, other])


async def test_direct_messages_that_the_first_shard_missed_are_heard(two: Two) -> None:
    ada = two.discord.user("Ada")
    private = await two.discord.dm(ada, "how many days of leave?")
    await two.discord.until(lambda: answered(two.discord, private.channel_id))
    two.discord.gateway.forget(0)
    place = two.discord.world.channels[private.channel_id]
    await two.discord.missed(place, ada, "and for interns?")
    await two.discord.until(lambda: answered(two.discord, private.channel_id, 2))
    assert len(two.heard) == 2
