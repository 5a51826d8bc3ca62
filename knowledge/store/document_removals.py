"""Finds the documents that a reading of a source no longer has, and keeps them when too many would be removed.

Every function runs inside its caller's transaction and tenant.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.store.document_writes import delete_documents

FREELY_REMOVED = 3
"""Number of documents that a reading may always remove."""
FREELY_REMOVED_SHARE = 0.2
"""Share of the source's documents that a reading may remove. More is held back until somebody accepts it."""


@dataclass(frozen=True, slots=True)
class Vanished:
    """A document that the source no longer has. ``is_loss``: it has text that the source has under no other name."""

    id: uuid.UUID
    has_text: bool
    is_loss: bool


def is_too_much(removed: int, stored: int) -> bool:
    """Return whether removing so many of the documents that were stored must be held back."""
    return removed > FREELY_REMOVED and removed > FREELY_REMOVED_SHARE * stored


async def count_stored(session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID) -> int:
    """Return how many documents of the source have text, without those that are attached to mails."""
    found = await session.scalar(
        text(
            "SELECT count(*) FROM documents "
            "WHERE tenant_id = :tenant AND source_id = :source AND text <> '' AND attached_to = ''"
        ),
        {"tenant": tenant_id, "source": source_id},
    )
    return int(found or 0)


# A document that was renamed has the content of a document that was seen.
_VANISHED = text("""
    SELECT id, text <> '', text <> '' AND NOT EXISTS (
        SELECT FROM documents AS other
        WHERE other.tenant_id = documents.tenant_id
            AND other.source_id = documents.source_id
            AND other.content_hash = documents.content_hash
            AND other.uri = ANY(CAST(:seen AS text[]))
            AND other.id <> documents.id
    )
    FROM documents
    WHERE tenant_id = :tenant
        AND source_id = :source
        AND attached_to = ''
        AND (NOT uri = ANY(CAST(:seen AS text[])) OR (gone_readings >= 2 AND gone_since < :gone_before))
""")


async def find_vanished(
    session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID, seen: Sequence[str], gone_before: datetime
) -> list[Vanished]:
    """Return the source's documents whose names are not among ``seen``, or that are gone since ``gone_before``.

    What is attached to a mail is not among them: it goes with the mail.
    """
    values = {"tenant": tenant_id, "source": source_id, "seen": list(seen), "gone_before": gone_before}
    return [Vanished(*row) for row in await session.execute(_VANISHED, values)]


async def find_gone(
    session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID, gone_before: datetime
) -> list[uuid.UUID]:
    """Return the source's documents that two readings found to be gone, the first of them before ``gone_before``."""
    found = await session.scalars(
        text(
            "SELECT id FROM documents WHERE tenant_id = :tenant AND source_id = :source "
            "AND gone_readings >= 2 AND gone_since < :gone_before"
        ),
        {"tenant": tenant_id, "source": source_id, "gone_before": gone_before},
    )
    return list(found)


async def keep(session: AsyncSession, *, tenant_id: str, ids: Sequence[uuid.UUID], reason: str) -> None:
    """Record why documents that the source no longer has are kept. The next reading that has them clears it."""
    await session.execute(
        text("UPDATE documents SET error = :reason WHERE tenant_id = :tenant AND id = ANY(:ids)"),
        {"tenant": tenant_id, "ids": list(ids), "reason": reason},
    )


async def delete_named(
    session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID, names: Sequence[str], keep_vectors: bool = False
) -> int:
    """Delete the source's documents with these names and what is attached to them; return how many there were."""
    found = await session.scalars(
        text("SELECT id FROM documents WHERE tenant_id = :tenant AND source_id = :source AND uri = ANY(:names)"),
        {"tenant": tenant_id, "source": source_id, "names": list(names)},
    )
    return await delete_documents(session, tenant_id, list(found), keep_vectors=keep_vectors)


async def stored_characters(session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID, uri: str) -> int:
    """Return the length of the stored text of a document; 0 if there is none."""
    found = await session.scalar(
        text("SELECT length(text) FROM documents WHERE tenant_id = :tenant AND source_id = :source AND uri = :uri"),
        {"tenant": tenant_id, "source": source_id, "uri": uri},
    )
    return int(found or 0)
