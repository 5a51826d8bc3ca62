"""Ingesting the history of a channel: who may do it, who can ask about it, and that nothing bypasses these rules."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.app import open_app
from bot.cli.ingest import _default_audience
from bot.commands import registry as commands
from bot.commands.arguments import mentioned_channel
from bot.commands.base import Context
from bot.config import Settings
from bot.errors import NotAllowed, UsageError
from bot.jobs import working
from bot.platforms.slack import web_client
from bot.platforms.slack.bot_tokens import StaticToken
from bot.platforms.slack.channel_history import ChannelAccess
from bot.types.audience import MEMBERS
from bot.types.conversation import LOCAL_TENANT, Author, Platform
from tests.doubles.slack import SlackDouble
from tests.knowledge.fakes import ListSource
from tests.slack.conftest import installed

ALICE = Author("U0ALICE", "alice")
BOB = Author("U0BOB", "bob")
ADA = Author("U0ADA", "ada", is_admin=True)


@pytest.fixture
async def slack() -> AsyncIterator[SlackDouble]:
    async with SlackDouble(**installed(), pace=600.0) as double:
        double.add_past("general", "alice", "The espresso machine is serviced on Tuesdays.", time.time() - 86_400)
        double.add_past("secret", "alice", "The merger is called Bluebird.", time.time() - 86_400)
        yield double


@pytest.fixture
async def room(slack: SlackDouble, database_url: str, tmp_path: Path) -> AsyncIterator[Context]:
    """Return the context of Alice in #general."""
    made = Settings(
        _env_file=None,
        database_url=SecretStr(database_url),
        data_dir=tmp_path,
        reranker="none",
        slack_bot_token=SecretStr(slack.bot_token),
        slack_app_token=SecretStr(slack.app_token),
        slack_api_url=slack.api_url,
    )
    async with web_client.http_session() as session, open_app(made) as app, working(app.services):
        channels = ChannelAccess(web_client.create_clients(made, session, StaticToken(slack.bot_token)).retrying)
        yield Context(
            LOCAL_TENANT, "slack", "C0GENERAL", None, ALICE, app.services, audience=MEMBERS, channels=channels
        )


async def asked(room: Context, question: str, channel: str) -> str:
    return (await commands.run("ask", question, replace(room, channel_id=channel))).text


async def test_a_channel_is_for_the_people_in_it(room: Context) -> None:
    reply = await commands.run("ingest", "C0GENERAL", room)
    assert "Added 1 document" in reply.text
    assert "People in this channel can ask" in reply.text
    question = "When is the espresso machine serviced?"
    assert "Tuesdays" in await asked(room, question, "C0GENERAL")
    assert "Tuesdays" not in await asked(room, question, "C0RANDOM")
    assert "unchanged" in (await commands.run("docs", "refresh", room)).text


async def test_a_private_channel_stays_with_its_people(room: Context) -> None:
    with pytest.raises(NotAllowed, match="not in that channel"):
        await commands.run("ingest", "C0SECRET", replace(room, author=BOB))
    reply = await commands.run("ingest", "<#C0SECRET|secret>", room)
    assert "People in that channel can ask" in reply.text
    assert "Bluebird" not in await asked(room, "What is the merger called?", "C0GENERAL")
    assert "Bluebird" in await asked(room, "What is the merger called?", "C0SECRET")


async def test_only_an_admin_opens_a_public_channel_to_everybody(room: Context, slack: SlackDouble) -> None:
    with pytest.raises(NotAllowed, match="Only an admin"):
        await commands.run("ingest", "--tenant C0GENERAL", room)
    slack.channel("secret").members.add(ADA.id)
    with pytest.raises(NotAllowed, match="private"):
        await commands.run("ingest", "--tenant C0SECRET", replace(room, author=ADA))
    await commands.run("ingest", "--tenant C0GENERAL", replace(room, author=ADA))
    assert "Tuesdays" in await asked(room, "When is the espresso machine serviced?", "C0RANDOM")


@pytest.mark.parametrize(
    "spec", ["slack:C0SECRET", "<slack:C0SECRET|x>", "' slack:C0SECRET'", "discord:1", "SLACK:C0SECRET"]
)
async def test_a_channel_is_not_named_as_an_address(room: Context, slack: SlackDouble, spec: str) -> None:
    reply = await commands.run("ingest", spec, replace(room, author=BOB))
    assert "could not be read" in reply.text
    assert not any(method == "conversations.history" for method, _ in slack.calls)


async def test_a_channel_without_the_bot_asks_for_an_invitation(room: Context) -> None:
    with pytest.raises(UsageError, match=r"not in #random. Invite me"):
        await commands.run("ingest", "C0RANDOM", room)


async def test_where_there_are_no_channels(room: Context) -> None:
    with pytest.raises(UsageError, match="no channels here"):
        await commands.run("ingest", "<#C0GENERAL>", replace(room, platform="web", channels=None))


@pytest.mark.parametrize(
    ("spec", "platform", "channel"),
    [
        ("<#C0GENERAL|general>", "slack", "C0GENERAL"),
        ("C0GENERAL", "slack", "C0GENERAL"),
        ("C0GENERAL", "web", ""),
        ("<#1234567890>", "discord", "1234567890"),
        ("https://example.org/#C0GENERAL", "slack", ""),
        ("slack:C0GENERAL", "slack", ""),
    ],
)
def test_how_a_channel_is_mentioned(spec: str, platform: Platform, channel: str) -> None:
    assert mentioned_channel(spec, platform) == channel


def test_the_terminal_keeps_a_channel_to_its_people_too() -> None:
    channel = ListSource("slack:C0GENERAL")
    channel.kind = "slack"
    assert _default_audience(channel) == "C0GENERAL"
    assert _default_audience(ListSource("https://example.org/")) == "tenant"
