"""What the doctor asks about Discord."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import discord

from bot.errors import ConfigError
from bot.platforms.discord import words
from bot.platforms.discord.connection import addressed, explained

if TYPE_CHECKING:
    from bot.config import Settings


class Check(NamedTuple):
    """Whether something is well, what was found, and what to do."""

    name: str
    ok: bool
    detail: str
    fix: str


FEW_SESSIONS = 10


async def check(settings: Settings) -> list[Check]:
    """Token, Message Content Intent, invite link and connections left. Never raises for what Discord refuses."""
    if settings.discord_token is None:
        return [Check("discord", True, "not set up (no DISCORD_TOKEN)", "")]
    client = discord.Client(intents=discord.Intents.none())
    try:
        with addressed(settings), explained():
            async with client:
                await client.login(settings.discord_token.get_secret_value())
                _, _, limits = await client.http.get_bot_gateway()
    except ConfigError as error:
        return [Check("discord token", False, "Discord cannot be used", str(error))]
    return [_identity(client), _content(client), _invitation(client), _sessions(limits["remaining"])]


def _identity(client: discord.Client) -> Check:
    return Check("discord token", True, f"logged in as {client.user}", "")


def _content(client: discord.Client) -> Check:
    flags = client.application_flags
    allowed = flags.gateway_message_content or flags.gateway_message_content_limited
    return Check(
        "discord message content intent", allowed, "on" if allowed else "off", "" if allowed else words.NO_INTENT
    )


def _invitation(client: discord.Client) -> Check:
    return Check("discord invite link", True, invite_url(client.application_id or 0), "")


def _sessions(remaining: int) -> Check:
    well = remaining > FEW_SESSIONS
    fix = "" if well else "The bot restarts too often: Discord allows a number of connections a day; find out why."
    return Check("discord connections left today", well, str(remaining), fix)


def permissions() -> discord.Permissions:
    """What the bot needs on a server, and nothing more."""
    return discord.Permissions(
        view_channel=True,
        send_messages=True,
        create_public_threads=True,
        send_messages_in_threads=True,
        embed_links=True,
        attach_files=True,
        read_message_history=True,
    )


def invite_url(application_id: int | str) -> str:
    """The link that adds the bot to a server with exactly these permissions."""
    return discord.utils.oauth_url(application_id, permissions=permissions(), scopes=("bot", "applications.commands"))
