"""``parley init`` connects to Slack and Discord with the tokens that are typed, and says what is wrong with others."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bot import env_file
from bot.platforms.slack.installation.manifest import SCOPES
from tests.cli.terminal import Terminal, on_terminal
from tests.doubles.discord import DiscordDouble
from tests.doubles.slack import SlackDouble


async def test_tokens_are_tried_at_once(bare: Path, database_url: str) -> None:
    async with SlackDouble(scopes=SCOPES) as slack, DiscordDouble() as discord:
        given = {
            "DATABASE_URL": database_url,
            "ANTHROPIC_API_KEY": "",
            "OPENAI_API_KEY": "",
            "SLACK_API_URL": slack.api_url,
            "DISCORD_API_URL": discord.api_url,
            "DISCORD_GATEWAY_URL": discord.gateway_url,
        }
        with on_terminal(bare, "init", **given) as terminal:
            await asyncio.to_thread(_walk_through, terminal, slack, discord)
    assert env_file.read() == {
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "DISCORD_TOKEN": discord.token,
    }
    for token in (slack.bot_token, slack.app_token, discord.token, "xoxb-wrong", "a.wrong.token"):
        assert token not in terminal.shown


def _walk_through(terminal: Terminal, slack: SlackDouble, discord: DiscordDouble) -> None:
    for name in ("ANTHROPIC_API_KEY:", "OPENAI_API_KEY:", "OPENAI_BASE_URL:"):
        terminal.answer(name, "")
    for token in ("xoxb-wrong", slack.bot_token):
        terminal.answer("SLACK_BOT_TOKEN", token)
        terminal.answer("SLACK_APP_TOKEN", slack.app_token)
        if token != slack.bot_token:
            terminal.answer("Enter this again?", "y")
    for token in ("a.wrong.token", discord.token):
        terminal.answer("DISCORD_TOKEN", token)
        if token != discord.token:
            terminal.answer("Enter this again?", "y")
    assert terminal.end() == 0, terminal.shown
    for line in (
        "✗ slack bot token: Slack does not accept SLACK_BOT_TOKEN (invalid_auth)",
        "→ Copy the Bot User OAuth Token again",
        "✓ slack bot token: Parley Test (T0PARLEY)",
        f"✓ slack scopes: all {len(SCOPES)} granted",
        "✓ slack socket mode: connected",
        "✗ discord",
        "DISCORD_TOKEN",
        "✓ discord",
        "Wrote 3 settings",
    ):
        assert line in terminal.shown, terminal.shown
