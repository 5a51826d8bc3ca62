"""Reads a part of a document around a quote, with the pages on which it stands, to show the quote in its document."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

WINDOW_CHARS = 40_000
"""Characters that are read at once."""


@dataclass(frozen=True, slots=True)
class PageStart:
    """The page that begins at the offset ``start`` of the document."""

    start: int
    page: int


@dataclass(frozen=True, slots=True)
class SectionStart:
    """The section under a heading: its text begins at the offset ``start``, after the heading.

    ``depth`` counts from 1.
    """

    start: int
    depth: int
    heading: str


@dataclass(frozen=True, slots=True)
class Window:
    """The part ``start`` to ``start + len(text)`` of a document of ``chars`` characters.

    ``quote_start`` is where the quote begins in the document; None if there is none, or if it is not in the document
    any more. ``pages`` are those that begin in the part, after the one that it begins on.
    """

    document_id: str
    title: str
    source: str
    fetched_at: datetime
    chars: int
    start: int
    text: str
    quote_start: int | None
    pages: tuple[PageStart, ...]
    has_file: bool = False
    """Its file is stored, so that its pages can be drawn."""
    sections: tuple[SectionStart, ...] = ()
    """The sections whose text begins in the part."""


# The quote is looked for at its offset first, because the document may have changed since. ``place`` counts from 1; 0
# means that there is no quote or that it is gone. A window without a quote begins at the given offset.
_WINDOW = text("""
    SELECT id, title, uri, fetched_at, length(text) AS chars, place, first,
        substr(text, first + 1, CAST(:window AS integer)) AS part, EXISTS (
            SELECT FROM document_files
            WHERE document_files.tenant_id = :tenant AND document_id = framed.id
        ) AS has_file
    FROM (
        SELECT *, CASE WHEN place > 0 AND CAST(:at AS integer) IS NULL THEN greatest(0, place - 1 - :window / 2)
            ELSE greatest(0, least(coalesce(CAST(:at AS integer), 0), length(text) - 1)) END AS first
        FROM (
            SELECT *, CASE WHEN :quote = '' THEN 0 WHEN substr(text, :start, length(:quote)) = :quote THEN :start
                ELSE strpos(text, :quote) END AS place
            FROM documents
            WHERE tenant_id = :tenant AND id = :id AND text <> ''
                AND (CAST(:audiences AS text[]) IS NULL OR audience = ANY(:audiences))
        ) AS located
    ) AS framed
""")

_PAGES = text("""
    SELECT min(CAST(entry ->> 0 AS integer)) AS start, CAST(entry ->> 1 AS integer) AS page
    FROM documents CROSS JOIN LATERAL jsonb_array_elements(documents.blocks) AS entries (entry)
    WHERE tenant_id = :tenant AND id = :id AND entry ->> 1 IS NOT NULL
    GROUP BY page
    ORDER BY start
""")

_SECTIONS = text("""
    SELECT CAST(entry ->> 0 AS integer) AS start, jsonb_array_length(entry -> 2) AS depth, entry -> 2 ->> -1 AS heading
    FROM documents CROSS JOIN LATERAL jsonb_array_elements(documents.blocks) AS entries (entry)
    WHERE tenant_id = :tenant AND id = :id AND jsonb_typeof(entry -> 2) = 'array' AND entry -> 2 <> '[]'
        AND CAST(entry ->> 0 AS integer) BETWEEN :first AND :last
    ORDER BY start
""")


async def read(
    session: AsyncSession,
    tenant_id: str,
    document_id: str,
    *,
    audiences: Sequence[str] | None,
    quote: str = "",
    start: int = 0,
    at: int | None = None,
) -> Window | None:
    """Return the part of a document around a quote that was at ``start``, or the part that begins at ``at``.

    Return None if no document with text has this ID, and alike if none of the ``audiences`` may read it; None may read
    all.
    """
    try:
        named = {"tenant": tenant_id, "id": uuid.UUID(document_id)}
    except ValueError:
        return None
    wanted = {"quote": quote, "start": start + 1, "at": at, "window": WINDOW_CHARS}
    readable = None if audiences is None else list(audiences)
    row = (await session.execute(_WINDOW, {**named, **wanted, "audiences": readable})).one_or_none()
    if row is None:
        return None
    pages = [PageStart(int(one.start), int(one.page)) for one in await session.execute(_PAGES, named)]
    begun = [page for page in pages if page.start <= row.first][-1:]
    inside = [page for page in pages if row.first < page.start < row.first + len(row.part)]
    part = {"first": row.first, "last": row.first + len(row.part)}
    sections = await session.execute(_SECTIONS, {**named, **part})
    return Window(
        document_id,
        row.title,
        row.uri,
        row.fetched_at,
        row.chars,
        row.first,
        row.part,
        row.place - 1 if row.place else None,
        (*begun, *inside),
        row.has_file,
        tuple(SectionStart(int(one.start), int(one.depth), str(one.heading)) for one in sections),
    )
