"""One person's messages in the channel histories that were read: handed over, or taken out.

A month of a channel keeps its messages as its platform gave them, so that it can be put together again without asking
the platform. What is taken out there is in no later version of the document.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge import bm25
from knowledge.document_writes import delete_documents
from knowledge.knowledge_version import lock_and_increment

Entry = Mapping[str, Any]


async def said_by(session: AsyncSession, *, tenant_id: str, user_id: str) -> list[dict[str, str]]:
    """What the person said in channels that were read: the document of the month, and the text."""
    return [
        {"document": uri, "text": str(entry.get("text") or entry.get("content") or "")}
        async for _, uri, posts in _months(session, tenant_id, user_id)
        for entry in _entries(posts)
        if _is_by(entry, user_id)
    ]


async def withdraw(session: AsyncSession, *, tenant_id: str, user_id: str) -> int:
    """Take the person's messages out; the number of documents that held some.

    Those answer nothing until their source is read again and puts them together from what is left; one that is left
    with nothing goes.
    """
    touched = [(number, posts) async for number, _, posts in _months(session, tenant_id, user_id)]
    if not touched:
        return 0
    await lock_and_increment(session, tenant_id)
    left = {number: [_without(post, user_id) for post in posts] for number, posts in touched}
    empty = [number for number, posts in left.items() if not any(_entries(posts))]
    await delete_documents(session, tenant_id, empty)
    for number in left.keys() - set(empty):
        await _blank(session, tenant_id, number, json.dumps(left[number]))
    return len(touched)


async def _months(
    session: AsyncSession, tenant_id: str, user_id: str
) -> AsyncIterator[tuple[uuid.UUID, str, list[dict[str, Any]]]]:
    """Months of channels in which the person said something: id, name, posts."""
    rows = await session.execute(
        text(
            "SELECT documents.id, documents.uri, documents.memo FROM documents JOIN sources "
            "ON sources.tenant_id = documents.tenant_id AND sources.id = documents.source_id "
            "WHERE documents.tenant_id = :tenant AND sources.kind IN ('slack', 'discord') "
            "AND position(:named IN documents.memo) > 0 ORDER BY documents.uri"
        ),
        {"tenant": tenant_id, "named": json.dumps(user_id)},
    )
    for number, uri, memo in rows.all():
        posts = json.loads(memo)
        if any(_is_by(entry, user_id) for entry in _entries(posts)):
            yield number, uri, posts


def _entries(posts: list[dict[str, Any]]) -> Iterator[Entry]:
    for post in posts:
        yield from (entry for entry in (post["entry"], *post["replies"]) if entry)


def _is_by(entry: Entry, user_id: str) -> bool:
    """Slack names the author as ``user``, Discord as ``author.id``."""
    return user_id in (entry.get("user"), (entry.get("author") or {}).get("id"))


def _without(post: dict[str, Any], user_id: str) -> dict[str, Any]:
    """The post with its thread, the person's words gone; the place that it had stays known."""
    entry = {} if _is_by(post["entry"], user_id) else post["entry"]
    return {**post, "entry": entry, "replies": [reply for reply in post["replies"] if not _is_by(reply, user_id)]}


async def _blank(session: AsyncSession, tenant_id: str, number: uuid.UUID, memo: str) -> None:
    named = {"tenant": tenant_id, "document": number}
    chunks = await session.execute(
        text("SELECT chunk_id, terms FROM chunks WHERE tenant_id = :tenant AND document_id = :document"), named
    )
    await bm25.remove(session, tenant_id, dict(iter(chunks)))
    await session.execute(text("DELETE FROM chunks WHERE tenant_id = :tenant AND document_id = :document"), named)
    await session.execute(
        text(
            "UPDATE documents SET memo = :memo, text = '', blocks = '[]', content_hash = '', recipe = '' "
            "WHERE tenant_id = :tenant AND id = :document"
        ),
        named | {"memo": memo},
    )
