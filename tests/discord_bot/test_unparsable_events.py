"""An event that discord.py cannot parse costs that event, not the connection."""

from __future__ import annotations

from typing import Any

import pytest

from tests.discord_bot.conftest import Connect
from tests.discord_bot.fake_dispatcher import ScriptedDispatcher
from tests.discord_bot.test_conversation import answered
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_models import Json

UNPARSABLE: dict[str, tuple[str, Any]] = {
    "a message without an author": ("MESSAGE_CREATE", {"id": "1", "channel_id": "2", "content": "?"}),
    "a message that is no object": ("MESSAGE_CREATE", None),
    "an edit without an id": ("MESSAGE_UPDATE", {"channel_id": "2"}),
    "a server that is a list": ("GUILD_UPDATE", ["?"]),
    "a thread without a parent": ("THREAD_CREATE", {"id": "5", "guild_id": "not a number"}),
    "an interaction of an unknown form": ("INTERACTION_CREATE", {"type": "?"}),
    "an interaction that names nobody": ("INTERACTION_CREATE", {"id": "6", "type": 3, "token": "x", "version": 1}),
}


@pytest.mark.parametrize("name", UNPARSABLE)
async def test_the_next_question_is_answered_on_the_same_connection(
    name: str, discord: DiscordDouble, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    await connect()
    event, data = UNPARSABLE[name]

    def malformed(_: object) -> Json:
        return data  # type: ignore[no-any-return]

    await discord.gateway.dispatch(event, malformed, needs=0)
    general, ada = discord.channel("general"), discord.user("Ada")
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.until(lambda: answered(discord, asked))
    assert discord.gateway.identified == 1
    assert discord.gateway.resumed == 0
    assert f"an event {event} could not be read and is left out" in caplog.text


async def test_a_message_of_a_server_that_was_not_sent_yet_is_no_direct_message(
    discord: DiscordDouble, connect: Connect, dispatcher: ScriptedDispatcher
) -> None:
    await connect()
    general, ada = discord.channel("general"), discord.user("Ada")
    text = f"{discord.bot.mention} how many days of leave?"
    asked = await discord.say(general, ada, text)
    await discord.until(lambda: answered(discord, asked))
    known = len(dispatcher.incoming)
    unknown = discord.world.message_payload(asked) | {"id": "77", "guild_id": "78", "channel_id": "79", "content": text}
    await discord.gateway.dispatch("MESSAGE_CREATE", lambda _: unknown, needs=0)
    later = await discord.say(general, ada, text)
    await discord.until(lambda: answered(discord, later))
    assert [one.message_id for one in dispatcher.incoming[known:]] == [str(later.id)]
    assert {one.kind for one in dispatcher.incoming} == {"mention"}
