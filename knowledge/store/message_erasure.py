"""Exports and erases one person's messages in the stored histories of chat channels.

The memo of a channel month holds its messages as the platform sent them (``knowledge.sources.chat_channel``), so that
the document can be built again without a request to the platform. A message erased from the memo is in no later version
of the document.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.store import kept_vectors
from knowledge.store.chunk_writes import delete_chunks, stored_chunks
from knowledge.store.document_writes import delete_documents
from knowledge.store.knowledge_version import lock_and_increment, mark_erasure

CHAT_KINDS = ("slack", "discord")
"""The kinds of sources that store messages of people."""

Entry = Mapping[str, Any]


async def messages_by(session: AsyncSession, *, tenant_id: str, user_id: str) -> list[dict[str, str]]:
    """Return the person's messages in stored channels, each with the document of its month and its text."""
    return [
        {"document": uri, "text": str(entry.get("text") or entry.get("content") or "")}
        async for _, uri, posts in _months_with_messages_by(session, tenant_id, user_id)
        for entry in _entries(posts)
        if _is_by(entry, user_id)
    ]


async def erase_messages(session: AsyncSession, *, tenant_id: str, user_id: str) -> int:
    """Erase the person's messages in stored channels. Return the number of documents that had any.

    These documents are not searchable until their source is read again, which builds them from the remaining messages.
    A document without remaining messages is deleted.
    """
    # The lock comes before the reading: a month that an ingestion stores in between would be replaced by its old state.
    # A channel that is being read now may hold messages of the person, so it is refused, also if none are stored yet.
    await mark_erasure(session, tenant_id)
    await kept_vectors.forget(session, tenant_id)
    affected = 0
    async for number, _, posts in _months_with_messages_by(session, tenant_id, user_id):
        if not affected:
            await lock_and_increment(session, tenant_id)
        affected += 1
        remaining = [_without_messages_by(post, user_id) for post in posts]
        if any(_entries(remaining)):
            await _clear_document(session, tenant_id, number, await asyncio.to_thread(dumped, remaining))
        else:
            await delete_documents(session, tenant_id, [number])
    return affected


def dumped(items: Iterable[object]) -> str:
    """Return a JSON array of the items, encoded one by one: the encoder keeps other threads waiting until it ends."""
    return f"[{', '.join(map(json.dumps, items))}]"


_CHANNEL_MONTHS_NAMING = """
    SELECT documents.id, documents.uri
    FROM documents
    JOIN sources ON sources.tenant_id = documents.tenant_id AND sources.id = documents.source_id
    WHERE documents.tenant_id = :tenant
      AND sources.kind IN ('slack', 'discord')
      AND position(:user_json IN documents.memo) > 0
    ORDER BY documents.uri
"""
"""Channel months whose memo contains the person's ID, as the author or in any other place."""
_MEMO = "SELECT memo FROM documents WHERE tenant_id = :tenant AND id = :document"
"""The messages of one month. A month can have megabytes, so they are read one after the other."""


async def _months_with_messages_by(
    session: AsyncSession, tenant_id: str, user_id: str
) -> AsyncIterator[tuple[uuid.UUID, str, list[dict[str, Any]]]]:
    """Yield the channel months in which the person wrote: document ID, document name and messages."""
    rows = await session.execute(text(_CHANNEL_MONTHS_NAMING), {"tenant": tenant_id, "user_json": json.dumps(user_id)})
    for number, uri in rows.all():
        memo = await session.scalar(text(_MEMO), {"tenant": tenant_id, "document": number})
        posts = await asyncio.to_thread(json.loads, memo or "[]")
        if any(_is_by(entry, user_id) for entry in _entries(posts)):
            yield number, uri, posts


def _entries(posts: list[dict[str, Any]]) -> Iterator[Entry]:
    """Yield every message and reply that is not erased."""
    for post in posts:
        yield from (entry for entry in (post["entry"], *post["replies"]) if entry)


def _is_by(entry: Entry, user_id: str) -> bool:
    """Return whether the person wrote the message. Slack names the author as ``user``, Discord as ``author.id``."""
    return user_id in (entry.get("user"), (entry.get("author") or {}).get("id"))


def _without_messages_by(post: dict[str, Any], user_id: str) -> dict[str, Any]:
    """Return the message and its thread without the person's texts. The key and time of the message are kept."""
    entry = {} if _is_by(post["entry"], user_id) else post["entry"]
    return {**post, "entry": entry, "replies": [reply for reply in post["replies"] if not _is_by(reply, user_id)]}


_CLEAR_DOCUMENT = """
    UPDATE documents
    SET memo = :memo, text = '', blocks = '[]', content_hash = '', recipe = '', warnings = '[]'
    WHERE tenant_id = :tenant AND id = :document
"""
"""Clears the hash and recipe, so that the next reading of the source builds the document again."""


async def _clear_document(session: AsyncSession, tenant_id: str, number: uuid.UUID, memo: str) -> None:
    """Delete the text and chunks of a document, and store its remaining messages."""
    await delete_chunks(session, tenant_id, (await stored_chunks(session, tenant_id, [number])).left())
    parameters = {"tenant": tenant_id, "document": number}
    await session.execute(text(_CLEAR_DOCUMENT), parameters | {"memo": memo})
