"""Checks the Discord setup for ``parley doctor``: token, intent, invite link, permissions and clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import aiohttp
import discord
from discord.http import Route

from bot.errors import ConfigError
from bot.platforms.discord import user_messages
from bot.platforms.discord.connection import configured_urls, translated_login_errors
from bot.types.checks import Check

if TYPE_CHECKING:
    from bot.config import Settings


MIN_SESSIONS_LEFT = 10
MAX_GUILDS = 20
MAX_CLOCK_SKEW = 30.0
"""Maximum error of this machine's clock in seconds.

Messages missed while no process was connected are found by their time.
"""


async def check(settings: Settings, *, now: Callable[[], float] = time.time) -> list[Check]:
    """Check token, intent, invite link, connections left, permissions in each channel, and clock.

    A refusal by Discord becomes a failed check and is not raised.
    """
    if settings.discord_token is None:
        return [Check("discord", True, user_messages.CHECK_NOT_SET_UP, "")]
    client = discord.Client(intents=discord.Intents.none())
    try:
        with configured_urls(settings), translated_login_errors():
            async with client:
                await client.login(settings.discord_token.get_secret_value())
                _, _, limits = await client.http.get_bot_gateway()
                guilds = await _check_guilds(client)
                clock = await _check_clock(now)
    except ConfigError as error:
        return [Check("discord token", False, user_messages.CHECK_FAILED, str(error))]
    return [
        Check("discord token", True, f"logged in as {client.user}", ""),
        _check_intent(client),
        Check("discord invite link", True, invite_url(client.application_id or 0), ""),
        _check_sessions(limits["remaining"]),
        *guilds,
        clock,
    ]


def _check_intent(client: discord.Client) -> Check:
    flags = client.application_flags
    allowed = flags.gateway_message_content or flags.gateway_message_content_limited
    return Check(
        "discord message content intent",
        allowed,
        "on" if allowed else "off",
        "" if allowed else user_messages.NO_INTENT,
    )


def _check_sessions(remaining: int) -> Check:
    ok = remaining > MIN_SESSIONS_LEFT
    return Check("discord connections left today", ok, str(remaining), "" if ok else user_messages.FIX_SESSIONS)


# --- permissions


async def _check_guilds(client: discord.Client) -> list[Check]:
    """Return one check for each server."""
    guilds = [guild async for guild in client.fetch_guilds(limit=MAX_GUILDS)]
    if not guilds:
        return [Check("discord servers", False, user_messages.CHECK_NO_SERVERS, user_messages.FIX_NO_SERVERS)]
    return [await _check_guild(client, guild.id) for guild in guilds]


async def _check_guild(client: discord.Client, guild_id: int) -> Check:
    guild = await client.fetch_guild(guild_id, with_counts=False)
    me = await guild.fetch_member(client.user.id if client.user else 0)
    kinds = (discord.TextChannel, discord.ForumChannel, discord.VoiceChannel)
    channels = [channel for channel in await guild.fetch_channels() if isinstance(channel, kinds)]
    granted = [(channel.name, channel.permissions_for(me)) for channel in channels]
    hidden = [name for name, rights in granted if not rights.view_channel]
    visible = [(name, missing(rights)) for name, rights in granted if rights.view_channel]
    lacking = [user_messages.missing_permissions(name, ", ".join(names)) for name, names in visible if names]
    ok = not lacking and len(hidden) < max(1, len(granted))
    found = user_messages.visible_channels(len(visible), hidden)
    detail = f"{found}; {'; '.join(lacking) or user_messages.CHECK_NOTHING_MISSING}"
    return Check(f"discord permissions in {guild.name}", ok, detail, "" if ok else user_messages.FIX_PERMISSIONS)


def missing(granted: discord.Permissions) -> list[str]:
    """Return the permissions that the bot needs and lacks, as Discord's settings name them."""
    return [
        name.replace("_", " ").title()
        for name, needed in required_permissions()
        if needed and not getattr(granted, name)
    ]


def required_permissions() -> discord.Permissions:
    """Return the permissions that the bot needs on a server, and no others (least privilege)."""
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
    """Return the link that adds the bot to a server with exactly the required permissions."""
    scopes = ("bot", "applications.commands")
    return discord.utils.oauth_url(application_id, permissions=required_permissions(), scopes=scopes)


# --- the clock


async def _check_clock(now: Callable[[], float]) -> Check:
    """Compare this machine's clock with Discord's, to about one second."""
    async with aiohttp.ClientSession() as session, session.get(f"{Route.BASE}/gateway") as response:
        date = response.headers.get("Date", "")
    try:
        skew = now() - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return Check("discord clock", True, user_messages.CHECK_NO_DATE, "")
    ok = abs(skew) <= MAX_CLOCK_SKEW
    return Check("discord clock", ok, user_messages.clock_difference(skew), "" if ok else user_messages.FIX_CLOCK)
