"""Removes a person's ID and names from data that belongs to other people or to the tenant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

ERASED_MENTION = "@erased"
MIN_NAME_CHARS = 3

_TENANT_ADMINS = """
    UPDATE tenants SET settings = jsonb_set(settings, '{admins}', (settings -> 'admins') - CAST(:user AS text))
    WHERE tenant_id = :tenant AND settings -> 'admins' ? :user
"""

_INSTALLERS = """
    UPDATE slack_installations SET installed_by = '' WHERE tenant_id = :tenant AND installed_by = :user
"""

# Notes of answers name people who may know more.
_NOTES = """
    UPDATE turns SET trace = trace - 'notes' - 'restarts'
    WHERE tenant_id = :tenant AND EXISTS (
        SELECT FROM unnest(CAST(:words AS text[])) AS word
        WHERE position(word IN coalesce(trace ->> 'notes', '') || coalesce(trace ->> 'restarts', '')) > 0
    )
"""

_MENTIONS = """
    UPDATE {table} SET {column} = replace(replace({column}, :mention, :erased), :nick_mention, :erased)
    WHERE tenant_id = :tenant AND ({column} LIKE '%' || :mention || '%' OR {column} LIKE '%' || :nick_mention || '%')
"""
"""Slack writes a mention as ``<@U1>``, Discord also as ``<@!1>``."""

_MENTION_COLUMNS = (
    ("turns", "question"),
    ("turns", "answer"),
    ("messages", "text"),
    ("threads", "title"),
    ("threads", "summary"),
    ("answers", "answer"),
    ("answers", "question"),
    ("facts", "text"),
    ("feedback", "reason"),
    ("attachments", "text"),
)


async def erase(session: AsyncSession, *, tenant_id: str, user_id: str, names: Sequence[str], pseudonym: str) -> int:
    """Remove the person from the tenant's settings, from notes, and from mentions in other people's texts.

    Return how many rows changed.
    """
    values: dict[str, Any] = {
        "tenant": tenant_id,
        "user": user_id,
        "words": [word for word in (user_id, *names) if len(word) >= MIN_NAME_CHARS],
        "mention": f"<@{user_id}>",
        "nick_mention": f"<@!{user_id}>",
        "erased": ERASED_MENTION,
    }
    statements = [_TENANT_ADMINS, _INSTALLERS, _NOTES]
    statements += [_MENTIONS.format(table=table, column=column) for table, column in _MENTION_COLUMNS]
    changed = 0
    for statement in statements:
        result: Any = await session.execute(text(statement), values)
        changed += result.rowcount
    return changed
