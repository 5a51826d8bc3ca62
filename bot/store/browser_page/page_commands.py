"""Stores the cards of commands that run on the browser page, so that every web process shows their progress and reply.

A card is the command line and its reply, as the page shows them. It is kept for a day.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.database.pipelined_transactions import Statement
from bot.store.schema import page_commands

BATCH = 200
"""Most cards that one read returns."""

_IN_ORDER = "SELECT pg_advisory_xact_lock(hashtextextended('page commands ' || %(tenant)s, 0))"
"""Makes writers wait for each other, so that a card with a lower ``seq`` is never committed after a higher one."""

_REMOVE = "DELETE FROM page_commands WHERE tenant_id = %(tenant)s AND command_id = %(id)s"
"""Makes place for the card's next version, which gets a number of its own."""

_WRITE = """
INSERT INTO page_commands (tenant_id, command_id, author_id, card, ended)
VALUES (%(tenant)s, %(id)s, %(author)s, CAST(%(card)s AS jsonb), %(ended)s)
"""

_CHANGED = f"""
SELECT seq, card FROM page_commands WHERE tenant_id = %(tenant)s AND seq > %(after)s ORDER BY seq LIMIT {BATCH}
"""  # noqa: S608

_TOUCH = """
UPDATE page_commands SET updated_at = now()
WHERE tenant_id = %(tenant)s AND command_id = ANY(%(ids)s) AND updated_at < now() - make_interval(secs => %(seconds)s)
"""

_SILENT = """
SELECT seq, card FROM page_commands
WHERE tenant_id = %(tenant)s AND NOT ended AND updated_at < now() - make_interval(secs => %(seconds)s)
"""

DELETE_EXPIRED = "DELETE FROM page_commands WHERE tenant_id = %(tenant)s AND updated_at < now() - %(kept)s"


class StoredCard(NamedTuple):
    """A card. ``seq`` grows with every write of any card."""

    seq: int
    card: Mapping[str, Any]


def writing(
    *, tenant_id: str, command_id: str, author_id: str, card: Mapping[str, Any], ended: bool
) -> tuple[Statement, Statement, Statement]:
    """Add a card, or replace it. The statements must run in one transaction."""
    given = {"tenant": tenant_id, "id": command_id, "author": author_id, "card": json.dumps(card), "ended": ended}
    return Statement(_IN_ORDER, {"tenant": tenant_id}), Statement(_REMOVE, given), Statement(_WRITE, given)


def changed_after(*, tenant_id: str, seq: int) -> Statement:
    """Return the statement whose rows are the cards written after ``seq``, at most ``BATCH``, in their order."""
    return Statement(_CHANGED, {"tenant": tenant_id, "after": seq})


def touching(*, tenant_id: str, command_ids: Sequence[str], seconds: float) -> Statement:
    """Record that these commands still run, unless that was recorded less than ``seconds`` ago."""
    return Statement(_TOUCH, {"tenant": tenant_id, "ids": list(command_ids), "seconds": seconds})


def silent(*, tenant_id: str, seconds: float) -> Statement:
    """Return the statement whose rows are the cards without an end and without a sign of life for ``seconds``."""
    return Statement(_SILENT, {"tenant": tenant_id, "seconds": seconds})


async def delete_of_thread(session: AsyncSession, *, tenant_id: str, thread_id: str, author_id: str) -> None:
    """Delete the cards of a conversation that this person sees: their own, and those that everybody sees."""
    card = page_commands.c.card
    await session.execute(
        delete(page_commands).where(
            page_commands.c.tenant_id == tenant_id,
            card["thread"]["id"].as_string() == thread_id,
            (page_commands.c.author_id == author_id) | card["public"].as_boolean(),
        )
    )


async def wrote(session: AsyncSession, *, tenant_id: str, author_id: str) -> bool:
    """Return whether a card of this person is stored."""
    own = select(page_commands.c.command_id).where(
        page_commands.c.tenant_id == tenant_id, page_commands.c.author_id == author_id
    )
    return bool(await session.scalar(select(own.exists())))


async def erase(session: AsyncSession, *, tenant_id: str) -> int:
    """Delete every card of the tenant, because a reply may quote anybody. Return how many there were."""
    deleted = await session.execute(
        delete(page_commands).where(page_commands.c.tenant_id == tenant_id).returning(page_commands.c.command_id)
    )
    return len(deleted.all())
