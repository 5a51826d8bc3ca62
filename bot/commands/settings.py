"""The ``settings`` command: shows how the bot behaves in a channel; admins change it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.commands import arguments, help_text, settings_user_messages, user_messages
from bot.commands.base import Command, Context, Reply
from bot.errors import NotAllowed, UsageError
from bot.store import tenants
from bot.types.conversation import Platform
from bot.types.settings import ChannelSettings
from bot.types.usage import Tier

MAX_PERSONA_CHARS = 2000
"""A persona is part of every prompt of its channel."""
_SWITCH = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}

_ANY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CHANNEL_IDS: Mapping[Platform, re.Pattern[str]] = {
    "slack": re.compile(r"[CDG][A-Z0-9]{1,31}"),
    "discord": re.compile(r"\d{5,20}"),
}

_SOURCE_EXISTS = """
SELECT EXISTS (SELECT FROM documents WHERE tenant_id = :tenant AND starts_with(uri, :prefix))
    OR EXISTS (SELECT FROM sources WHERE tenant_id = :tenant AND starts_with(uri, :prefix))
"""

Change = Callable[[ChannelSettings], ChannelSettings]


async def run(context: Context, line: str) -> Reply:
    """Show the channel's settings, or change one of them. Raises UsageError, NotAllowed."""
    name, rest = arguments.first_word(line)
    if name.lower() in ("", "show"):
        arguments.words(rest)
        return await _show(context)
    if not context.author.is_admin:
        raise NotAllowed(settings_user_messages.SETTINGS_ADMIN)
    channel_id = context.channel_id
    if name.lower() == "external":
        channel_id, rest = _place(context, rest)
    change, confirmation = await _change(context, name.lower(), rest.strip())
    if channel_id != context.channel_id:
        confirmation = settings_user_messages.in_place(channel_id, confirmation)

    async def store(session: AsyncSession) -> None:
        await tenants.ensure(session, tenant_id=context.tenant_id, platform=context.platform)
        await tenants.set_channel_settings(session, tenant_id=context.tenant_id, channel_id=channel_id, change=change)

    await context.services.database.run(context.tenant_id, store)
    return Reply(confirmation)


async def _change(context: Context, name: str, value: str) -> tuple[Change, str]:
    match name:
        case "persona":
            return _persona(value)
        case "tier":
            tier = tier_of(value)
            return lambda made: replace(made, tier=tier), settings_user_messages.channel_tier(tier)
        case "sources":
            return await _sources(context, arguments.words(value))
        case "follow-ups" | "follow_ups" | "followups":
            on = switch(value, "follow-ups")
            return lambda made: replace(made, follow_ups=on), settings_user_messages.FOLLOW_UPS[on]
        case "auto-answer" | "auto_answer" | "autoanswer":
            on = switch(value, "auto-answer")
            return lambda made: replace(made, auto_answer=on), settings_user_messages.AUTO_ANSWER[on]
        case "change-notices" | "change_notices":
            on = switch(value, "change-notices")
            return lambda made: replace(made, change_notices=on), settings_user_messages.CHANGE_NOTICES[on]
        case "external":
            on = switch(value, "external")
            return lambda made: replace(made, external=on), settings_user_messages.EXTERNAL[on]
        case "reset" if not value:
            return lambda _: ChannelSettings(), settings_user_messages.SETTINGS_RESET
        case _:
            raise UsageError(user_messages.wrong_usage("settings", help_text.SETTINGS_USAGE))


def _place(context: Context, value: str) -> tuple[str, str]:
    """Split ``on PLACE`` into the ID of the channel and the switch. Without a place, it is this channel.

    An admin cannot write in the direct messages of a guest, so they name the channel. Raises UsageError.
    """
    words = arguments.words(value)
    if len(words) < 2:
        return context.channel_id, value
    place = arguments.mentioned_channel(words[1], context.platform) or words[1]
    if len(words) > 2 or not _CHANNEL_IDS.get(context.platform, _ANY_ID).fullmatch(place):
        raise UsageError(settings_user_messages.EXTERNAL_USAGE)
    return place, words[0]


def _persona(value: str) -> tuple[Change, str]:
    if not value:
        raise UsageError(settings_user_messages.PERSONA_USAGE)
    if len(value) > MAX_PERSONA_CHARS:
        raise UsageError(settings_user_messages.persona_too_long(MAX_PERSONA_CHARS, len(value)))
    persona = None if value.lower() in ("default", "none") else value
    confirmation = (
        settings_user_messages.PERSONA_RESET if persona is None else settings_user_messages.persona_set(persona)
    )
    return lambda made: replace(made, persona=persona), confirmation


async def _sources(context: Context, words: list[str]) -> tuple[Change, str]:
    """Limit the channel to sources that exist. A misspelled source would leave the channel without answers."""
    if not words:
        raise UsageError(settings_user_messages.SOURCES_USAGE)
    if [word.lower() for word in words] == ["all"]:
        return lambda made: replace(made, sources=None), settings_user_messages.ALL_SOURCES
    prefixes = tuple(dict.fromkeys(word.strip("<>") for word in words))
    async with context.services.database.tenant(context.tenant_id) as session:
        for prefix in prefixes:
            if not await session.scalar(text(_SOURCE_EXISTS), {"tenant": context.tenant_id, "prefix": prefix}):
                raise UsageError(settings_user_messages.unknown_source(prefix))
    return lambda made: replace(made, sources=prefixes), settings_user_messages.sources_set(prefixes)


async def _show(context: Context) -> Reply:
    async with context.services.database.tenant(context.tenant_id) as session:
        made = await tenants.channel_settings(session, tenant_id=context.tenant_id, channel_id=context.channel_id)
    return shown(made, tenant_wide=context.readable is None or context.audience.tenant_wide)


def shown(made: ChannelSettings, *, tenant_wide: bool) -> Reply:
    """Return a channel's settings as a list, without the names of sources unless ``tenant_wide``."""
    sources = ", ".join(made.sources) if made.sources and tenant_wide else "some"
    values = [
        ("persona", made.persona or "default"),
        ("tier", made.tier or "auto"),
        ("sources", "all" if made.sources is None else sources),
        ("follow-ups", "on" if made.follow_ups else "off"),
        ("auto-answer", "on" if made.auto_answer else "off"),
        ("change-notices", "on" if made.change_notices else "off"),
        ("external", "on" if made.external else "off"),
    ]
    heading = settings_user_messages.SETTINGS_SHOWN
    if made.paused is not None:
        heading += settings_user_messages.paused_everywhere(made.paused)
    return Reply("\n".join([heading, "", *(f"- **{name}**: {value}" for name, value in values)]))


def tier_of(value: str) -> Tier | None:
    """Return the tier, or None for ``auto``. Raises UsageError."""
    match value.lower():
        case "cheap":
            return "cheap"
        case "strong":
            return "strong"
        case "auto" | "default":
            return None
        case _:
            raise UsageError(settings_user_messages.unknown_tier(value))


def switch(value: str, name: str, *, command: str = "settings") -> bool:
    """Return whether ``value`` means on. ``name`` is what ``command`` switches. Raises UsageError."""
    if value.lower() not in _SWITCH:
        raise UsageError(settings_user_messages.not_a_switch(name, command))
    return _SWITCH[value.lower()]


COMMAND = Command("settings", help_text.SETTINGS_SUMMARY, help_text.SETTINGS_USAGE, run)
