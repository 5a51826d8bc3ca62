"""What is offered while somebody fills in an option: documents, sources, facts of the thread."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from bot.platforms.discord.command_options import Suggested
from bot.store import facts, tenants
from bot.types.conversation import Author, ThreadKey
from knowledge import document_catalog
from knowledge.types import TENANT_AUDIENCE

if TYPE_CHECKING:
    from bot.commands.services import Services

log = logging.getLogger(__name__)

MOST = 25
"""Discord's limit of suggestions."""
CHARS = 100
"""Discord's limit of a suggestion's name and of its value."""
SECONDS = 2.0
"""Discord waits 3 s; nothing offered is better than an error shown."""

Offered = list[tuple[str, str]]
"""Pairs of what is shown and what is filled in."""


async def suggest(services: Services, what: Suggested, thread: ThreadKey, by: Author, typed: str) -> Offered:
    """What fits the letters typed so far, of what this person may see in this channel. Never raises."""
    try:
        async with asyncio.timeout(SECONDS):
            found = await _found(services, what, thread, by, typed.strip())
    except Exception as error:
        log.warning("nothing could be suggested for %s: %s", what, error or type(error).__name__)
        return []
    return fitting(found)


def fitting(found: Offered) -> Offered:
    """Within Discord's limits; what cannot be filled in whole is left out."""
    short = [(name if len(name) <= CHARS else name[: CHARS - 1] + "…", value) for name, value in found]
    return [(name, value) for name, value in short if name and 0 < len(value) <= CHARS][:MOST]


async def _found(services: Services, what: Suggested, thread: ThreadKey, by: Author, typed: str) -> Offered:
    tenant = thread.tenant_id
    async with services.database.tenant(tenant) as session:
        if what == "facts":
            known = await facts.current(session, thread=thread)
            told = [(f"{number}: {fact.text}", str(number)) for number, fact in enumerate(known, 1)]
            offered = [*told, ("all of them", "all")] if told else []
            return [pair for pair in offered if typed.lower() in pair[0].lower()]
        admin = by.is_admin or by.id in (await tenants.settings(session, tenant_id=tenant)).admins
        audiences = None if admin else (TENANT_AUDIENCE, thread.channel_id)
        if what == "sources":
            uris = [row.uri for row in await document_catalog.sources(session, tenant, audiences=audiences)]
            offered = [("every source", "all"), *((uri, uri) for uri in uris)]
            return [pair for pair in offered if typed.lower() in pair[0].lower()]
        rows = await document_catalog.list_documents(session, tenant, audiences=audiences, matching=typed, limit=MOST)
        return [(f"{row.title} ({row.source})", row.id) for row in rows]
