"""What the doctor asks about Discord."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import discord
from discord.http import Route

from bot.errors import ConfigError
from bot.platforms.discord import user_messages
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
MOST_GUILDS = 20
MOST_SKEW = 30.0
"""Seconds that the clock may be off: what was said while nobody was connected is looked for by the time."""


async def check(settings: Settings, *, now: Callable[[], float] = time.time) -> list[Check]:
    """Token, intent, invite link, connections left, permissions of each channel, clock.

    Never raises for what Discord refuses.
    """
    if settings.discord_token is None:
        return [Check("discord", True, "not set up (no DISCORD_TOKEN)", "")]
    client = discord.Client(intents=discord.Intents.none())
    try:
        with addressed(settings), explained():
            async with client:
                await client.login(settings.discord_token.get_secret_value())
                _, _, limits = await client.http.get_bot_gateway()
                places = await _places(client)
                clock = await _clock(now)
    except ConfigError as error:
        return [Check("discord token", False, "Discord cannot be used", str(error))]
    return [_identity(client), _content(client), _invitation(client), _sessions(limits["remaining"]), *places, clock]


def _identity(client: discord.Client) -> Check:
    return Check("discord token", True, f"logged in as {client.user}", "")


def _content(client: discord.Client) -> Check:
    flags = client.application_flags
    allowed = flags.gateway_message_content or flags.gateway_message_content_limited
    return Check(
        "discord message content intent",
        allowed,
        "on" if allowed else "off",
        "" if allowed else user_messages.NO_INTENT,
    )


def _invitation(client: discord.Client) -> Check:
    return Check("discord invite link", True, invite_url(client.application_id or 0), "")


def _sessions(remaining: int) -> Check:
    well = remaining > FEW_SESSIONS
    fix = "" if well else "The bot restarts too often: Discord allows a number of connections a day; find out why."
    return Check("discord connections left today", well, str(remaining), fix)


# --- permissions


async def _places(client: discord.Client) -> list[Check]:
    """One check a server."""
    found = [guild async for guild in client.fetch_guilds(limit=MOST_GUILDS)]
    if not found:
        return [Check("discord servers", False, "the bot is on no server", "Open the invite link and choose a server.")]
    return [await _server(client, guild.id) for guild in found]


async def _server(client: discord.Client, guild_id: int) -> Check:
    guild = await client.fetch_guild(guild_id, with_counts=False)
    me = await guild.fetch_member(client.user.id if client.user else 0)
    talks = (discord.TextChannel, discord.ForumChannel, discord.VoiceChannel)
    channels = [channel for channel in await guild.fetch_channels() if isinstance(channel, talks)]
    held = [(channel.name, channel.permissions_for(me)) for channel in channels]
    hidden = [name for name, rights in held if not rights.view_channel]
    lacking = [(name, lacks(rights)) for name, rights in held if rights.view_channel and lacks(rights)]
    well = not lacking and len(hidden) < max(1, len(held))
    detail = "; ".join(user_messages.missing_in(name, ", ".join(missing)) for name, missing in lacking)
    seen = user_messages.seen(len(held) - len(hidden), hidden)
    fix = "" if well else user_messages.GIVE_RIGHTS
    return Check(f"discord permissions in {guild.name}", well, f"{seen}; {detail or 'nothing is missing'}", fix)


def lacks(held: discord.Permissions) -> list[str]:
    """What the bot needs and does not have, by the names that Discord's settings show."""
    return [name.replace("_", " ").title() for name, needed in permissions() if needed and not getattr(held, name)]


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


# --- the clock


async def _clock(now: Callable[[], float]) -> Check:
    """This machine's clock beside Discord's, to a second or so."""
    async with aiohttp.ClientSession() as session, session.get(f"{Route.BASE}/gateway") as answer:
        said = answer.headers.get("Date", "")
    try:
        skew = now() - parsedate_to_datetime(said).timestamp()
    except ValueError:
        return Check("discord clock", True, "Discord did not say what time it is", "")
    well = abs(skew) <= MOST_SKEW
    fix = (
        "" if well else "Set this machine's clock by NTP: messages missed while it was away are looked for by the time."
    )
    return Check("discord clock", well, f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} Discord's", fix)
