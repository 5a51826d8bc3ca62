"""A document that no longer exists is cited as gone on every platform, and `/docs` says so."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.app import App
from bot.commands import registry as commands
from bot.types.conversation import LOCAL_TENANT
from knowledge.types.source_items import Failure
from tests.commands.test_commands import BOSS, by
from tests.discord_bot import test_end_to_end as on_discord
from tests.discord_bot.conftest import FAST_LIMITS
from tests.doubles.discord import DiscordDouble
from tests.doubles.slack import SlackDouble
from tests.knowledge.fakes import ListSource, markdown
from tests.parity.test_attachments import Discord, Platform, Slack
from tests.slack import test_end_to_end as on_slack
from tests.slack.conftest import installed

KEYS = markdown("keys.md", "# Keys\n\nThe key of the boiler room hangs behind the red door.")


async def lose_document(app: App) -> None:
    """Add a document that two later readings of its source no longer find."""
    source = ListSource("https://wiki.example", KEYS)
    gone = Failure("keys.md", "it answered 404.", gone=True)
    for item in (KEYS, gone, gone):
        source.items = [item]
        await app.ingestor.ingest([source], tenant_id=LOCAL_TENANT)


@pytest.mark.parametrize("platform", ["slack", "discord"])
async def test_a_gone_document_says_so_in_citations_and_lists(platform: str, database_url: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        chat: Platform
        if platform == "slack":
            slack = await stack.enter_async_context(SlackDouble(**installed()))
            app = await stack.enter_async_context(on_slack.running(slack, database_url, tmp_path))
            chat = Slack(slack)
        else:
            discord = await stack.enter_async_context(DiscordDouble(limits=FAST_LIMITS))
            discord.channel("general")
            app = await stack.enter_async_context(on_discord.running(discord, database_url, tmp_path, None))
            chat = Discord(discord)
        await lose_document(app)
        answer = await chat.ask("where is the key of the boiler room?", [])
        listed = await commands.run("docs", "", by(app, BOSS))
    today = f"gone since {datetime.now(UTC):%Y-%m}"
    assert "behind the red door" in answer
    assert today in answer
    assert today in str(listed.table)
