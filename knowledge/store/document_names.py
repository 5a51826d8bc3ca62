"""Finds the document that a person names: by id, by the beginning of an id, by its path or address, or by its title."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.errors import KnowledgeError
from knowledge.store.id_prefixes import SHORT_CHARS, id_range

MAX_NAMED = 5
"""Most documents that an error names if several match."""

# Documents that match, best first: by id, whole source, title, end of the source. Audiences that are NULL match all.
_MATCHES = text("""
    SELECT CAST(id AS text) AS id, title, uri, rank FROM (
        SELECT id, title, uri, CASE
            WHEN id BETWEEN CAST(:low AS uuid) AND CAST(:high AS uuid) THEN 1
            WHEN uri = :name THEN 2
            WHEN lower(title) = lower(:name) THEN 3
            WHEN right(uri, length(:name) + 1) = '/' || :name THEN 4
        END AS rank
        FROM documents
        WHERE tenant_id = :tenant AND (CAST(:audiences AS text[]) IS NULL OR audience = ANY(:audiences))
    ) named
    WHERE rank IS NOT NULL
    ORDER BY rank, uri, id
    LIMIT :limit
""")


async def find(session: AsyncSession, tenant_id: str, name: str, *, audiences: Sequence[str] | None = None) -> str:
    """Return the id of the document that ``name`` stands for.

    ``name`` is an id, at least its first 8 characters, a path or address or the end of a path, or a title. Only
    documents of ``audiences`` are found; None finds all. Raises KnowledgeError if no document matches or several do.
    """
    name = name.strip()
    low, high = id_range(name) or (None, None)
    values = {
        "tenant": tenant_id,
        "name": name,
        "low": low,
        "high": high,
        "audiences": None if audiences is None else list(audiences),
        "limit": MAX_NAMED + 1,
    }
    rows = (await session.execute(_MATCHES, values)).all() if name else []
    best = [row for row in rows if row.rank == rows[0].rank]
    if not best:
        raise KnowledgeError(f"There is no document {name}. `docs list` shows all documents with their IDs.")
    if len(best) > 1:
        listed = ", ".join(f"{_short(row.id, best)} ({row.uri})" for row in best[:MAX_NAMED])
        more = ", among others" if len(best) > MAX_NAMED else ""
        raise KnowledgeError(f"{name} names several documents: {listed}{more}. Write the ID of one.")
    return str(best[0].id)


def _short(document_id: str, rows: Sequence[Row[Any]]) -> str:
    """Return the short id, or the whole one if another of the rows begins like it."""
    same = sum(row.id.startswith(document_id[:SHORT_CHARS]) for row in rows)
    return document_id[:SHORT_CHARS] if same == 1 else document_id
