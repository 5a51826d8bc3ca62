"""Suggests values while a user fills in a slash command option: documents, sources and facts of the thread."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from bot.platforms.discord import text_limits, user_messages
from bot.platforms.discord.command_options import Suggested
from bot.store import tenants
from bot.store.turns import facts
from bot.types.audience import Audience
from bot.types.conversation import Author, ThreadKey
from knowledge.store import document_catalog
from knowledge.types.scope import audiences

if TYPE_CHECKING:
    from bot.commands.services import Services

log = logging.getLogger(__name__)

MAX_CHOICES = 25
"""Discord's limit for the number of suggestions."""
TIMEOUT_SECONDS = 2.0
"""Discord waits 3 s; an empty list is better than an error."""

Choices = list[tuple[str, str]]
"""Pairs of the name shown and the value filled in."""


async def suggest(
    services: Services, what: Suggested, thread: ThreadKey, by: Author, audience: Audience, typed: str
) -> Choices:
    """Return the choices that match the text typed so far and that the user may see in this channel. Never raises."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            found = await _matching(services, what, thread, by, audience, typed.strip())
    except Exception as error:
        log.warning("no suggestions for %s: %s", what, error or type(error).__name__)
        return []
    return within_limits(found)


def within_limits(choices: Choices) -> Choices:
    """Return the choices within Discord's limits. Names are shortened; choices whose value is too long are left out."""
    short = [(text_limits.shorten(name, text_limits.CHOICE), value) for name, value in choices]
    valid = [(name, value) for name, value in short if name and 0 < text_limits.size(value) <= text_limits.CHOICE]
    return valid[:MAX_CHOICES]


async def _matching(
    services: Services, what: Suggested, thread: ThreadKey, by: Author, audience: Audience, typed: str
) -> Choices:
    tenant = thread.tenant_id
    if audience.refused:
        return []
    async with services.database.tenant(tenant) as session:
        if what == "facts":
            current = await facts.current(session, thread=thread)
            choices = [(f"{number}: {fact.text}", str(number)) for number, fact in enumerate(current, 1)]
            if choices:
                choices.append((user_messages.ALL_FACTS, "all"))
            return _containing(typed, choices)
        granted = by.standing == "member" and by.id in (await tenants.settings(session, tenant_id=tenant)).admins
        made = await tenants.channel_settings(session, tenant_id=tenant, channel_id=thread.channel_id)
        wide = audience.given(made.external).tenant_wide
        readable = None if by.is_admin or granted else audiences(thread.channel_id, tenant_wide=wide)
        if what == "sources":
            uris = [row.uri for row in await document_catalog.sources(session, tenant, audiences=readable)]
            return _containing(typed, [(user_messages.ALL_SOURCES, "all"), *((uri, uri) for uri in uris)])
        rows = await document_catalog.list_documents(
            session, tenant, audiences=readable, matching=typed, limit=MAX_CHOICES
        )
        return [(f"{row.title} ({row.source})", row.id) for row in rows]


def _containing(typed: str, choices: Choices) -> Choices:
    return [choice for choice in choices if typed.lower() in choice[0].lower()]
