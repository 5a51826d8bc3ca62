"""A private question whose process died is answered by direct message, whatever that process had recorded."""

from __future__ import annotations

import dataclasses

from bot.config import Settings
from bot.engine.display.stream import Display
from bot.platforms.discord.surface import DiscordSurface
from bot.types.conversation import Author, ThreadKey
from bot.types.turns import Turn
from tests.discord_bot.conftest import serving
from tests.discord_bot.fake_dispatcher import ScriptedDispatcher
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_models import Channel, User

ANSWER = "You earn 4,000 euros a month."


async def recorded(index: int, ref: str | None, *, replaced: str | None = None) -> None:
    return None


async def shown(discord: DiscordDouble, dispatcher: ScriptedDispatcher, turn: Turn) -> list[str]:
    """Answer the turn as the next process does; return the direct messages."""
    await discord.until(lambda: dispatcher.started)
    _, surface = dispatcher.started[0]
    assert isinstance(surface, DiscordSurface)
    fresh = DiscordSurface(surface._client, turn, surface._reader)
    async with Display(
        fresh, turn_id=turn.id, record=recorded, parts=turn.parts, recorded=turn.recorded, deadline=0.0
    ) as display:
        await display.open("Searching")
        await display.close(ANSWER)
    dm = discord.world.dm(discord.user("Ada"))
    return [one.content for one in discord.answers(dm) if one.content == ANSWER]


async def test_a_message_that_was_recorded_and_has_no_reference(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings, general: Channel, ada: User
) -> None:
    key = ThreadKey(f"discord:{discord.world.guild_id}", "discord", str(general.id), "ask:1f")
    turn = dispatcher.keep(key, "ask:1f", Author(str(ada.id), "Ada"), "what do I earn?")
    dispatcher.orphaned = [turn]
    async with serving(discord, dispatcher, settings):
        known = dataclasses.replace(turn, id="turn-9", recorded=1)
        assert await shown(discord, dispatcher, known) == [ANSWER]


async def test_a_reference_of_the_place_where_the_command_waited(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings, general: Channel, ada: User
) -> None:
    key = ThreadKey(f"discord:{discord.world.guild_id}", "discord", str(general.id), "ask:1f")
    turn = dispatcher.keep(key, "ask:1f", Author(str(ada.id), "Ada"), "what do I earn?")
    dispatcher.orphaned = [turn]
    async with serving(discord, dispatcher, settings):
        known = dataclasses.replace(turn, id="turn-9", recorded=1, parts=("turn-9:0",))
        assert await shown(discord, dispatcher, known) == [ANSWER]
