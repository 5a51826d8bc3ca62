"""Reading the messages above a question in a long Slack thread, with the real SDK."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from slack_sdk.web.async_client import AsyncWebClient

from bot.platforms.slack.name_directory import NameDirectory
from bot.platforms.slack.shared_files import SharedFiles
from bot.platforms.slack.thread_context import MAX_MESSAGES, ThreadContext
from bot.platforms.slack.users import UserDirectory
from bot.types.conversation import Author
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import BOT_ID

LONG_AGO = 1_700_000_000.0


def reader(slack: SlackDouble) -> ThreadContext:
    async def author(user_id: str) -> Author:
        return Author(user_id, "ann")

    async def own_bot_id() -> str:
        return BOT_ID

    client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
    users = cast(UserDirectory, SimpleNamespace(author=author))
    names = NameDirectory(client, users)
    return ThreadContext(client, cast(SharedFiles, None), users, names, own_bot_id=own_bot_id)


async def test_a_long_thread_is_read_from_its_first_and_its_last_messages(slack: SlackDouble) -> None:
    root = slack.add_past("general", "ada", "Where do we meet?", LONG_AGO)
    replies = [
        slack.add_past("general", "ada", f"reply {number}", LONG_AGO + number, root.ts) for number in range(1, 1500)
    ]
    found = await reader(slack).above(root.channel, root.ts, replies[1400].ts)
    assert found is not None
    lines = found.text.splitlines()
    assert len(lines) == MAX_MESSAGES
    assert lines[0] == "ann: Where do we meet?"
    assert lines[1:] == [f"ann: reply {number}" for number in range(1400 - MAX_MESSAGES + 2, 1401)]


async def test_a_thread_below_an_own_message_has_no_first_message_of_people(slack: SlackDouble) -> None:
    root = slack.add_past("general", "ada", "a card of this bot", LONG_AGO, bot_id=BOT_ID)
    replies = [
        slack.add_past("general", "ada", f"reply {number}", LONG_AGO + number, root.ts) for number in range(1, 101)
    ]
    found = await reader(slack).above(root.channel, root.ts, replies[-1].ts)
    assert found is not None
    assert found.text.splitlines()[0] == f"ann: reply {99 - MAX_MESSAGES + 2}"
