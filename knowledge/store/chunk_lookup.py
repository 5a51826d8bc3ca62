"""Loads the text and document of found chunks, limited to the audiences of a scope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge import superseded
from knowledge.document_states import READING_STATE, state_note, with_note
from knowledge.psycopg_connection import psycopg_connection, send_together, with_placeholders
from knowledge.types.scope import Scope


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """A chunk with the source and title of its document. ``start`` and ``end`` are offsets in the document.

    ``signs`` are the packed signs of its token vectors, if they were asked for and are stored.
    """

    chunk_id: int
    document_id: str
    position: int
    header: str
    text: str
    start: int
    end: int
    page: int | None
    heading: tuple[str, ...]
    source: str
    title: str
    window: tuple[int, int] | None = None
    note: str = ""
    superseded: bool = False
    signs: bytes | None = None


# The columns of ChunkRow in its order; then the start of the document, the signs, and the chunk's window. The numbers
# are a condition on both tables: where PostgreSQL has no statistics yet, it would read all signs of the tenant.
_CHUNKS = with_placeholders(f"""
    SELECT
        chunks.chunk_id, CAST(document_id AS text), position, header, chunks.text, start_char, end_char, page, heading,
        uri, title, {READING_STATE}, left(documents.text, :opening), CURRENT_DATE, signs, window_start, window_end
    FROM chunks
    JOIN documents ON documents.tenant_id = chunks.tenant_id AND documents.id = chunks.document_id
    LEFT JOIN token_signs
        ON token_signs.tenant_id = chunks.tenant_id AND token_signs.chunk_id = chunks.chunk_id
        AND token_signs.model = :model AND token_signs.chunk_id = ANY(:numbers)
    WHERE chunks.tenant_id = :tenant AND chunks.audience = ANY(:audiences) AND chunks.chunk_id = ANY(:numbers)
""")  # noqa: S608


async def load_chunks(
    session: AsyncSession, scope: Scope, numbers: Sequence[int], *, refresh_seconds: int = 0, signs_of: str = ""
) -> dict[int, ChunkRow]:
    """Return the chunks by number; those outside the scope are left out.

    ``refresh_seconds`` is the interval of sources without one of their own; 0 means that they are not refreshed.
    ``signs_of`` is the model whose token signs are read too; empty for none.
    """
    if not numbers:
        return {}
    values = {
        **_values(scope),
        "numbers": list(numbers),
        "opening": superseded.OPENING_CHARS,
        "every": refresh_seconds,
        "model": signs_of,
    }
    (rows,) = await send_together(await psycopg_connection(session), (_CHUNKS, values), binary=True)
    return {row[0]: _chunk_row(*row) for row in rows}


def _chunk_row(
    chunk_id: int,
    document_id: str,
    position: int,
    header: str,
    body: str,
    start: int,
    end: int,
    page: int | None,
    heading: Sequence[str],
    source: str,
    title: str,
    state: str,
    opening: str,
    today: date,
    signs: bytes | None,
    *window: int | None,
) -> ChunkRow:
    """Return a row of ``_CHUNKS``. The title says at its end if the document is gone, old or no longer in force."""
    replaced = superseded.note(title, opening, today)
    note = state_note(state, replaced)
    return ChunkRow(
        chunk_id,
        document_id,
        position,
        header,
        body,
        start,
        end,
        page,
        tuple(heading),
        source,
        with_note(title, note),
        _window(*window),
        note,
        bool(replaced),
        signs,
    )


# substr() counts from 1, offsets from 0.
_WINDOWS = text("""
    SELECT chunk_id, substr(documents.text, window_start + 1, window_end - window_start)
    FROM chunks
    JOIN documents ON documents.tenant_id = chunks.tenant_id AND documents.id = chunks.document_id
    WHERE chunks.tenant_id = :tenant
        AND chunks.audience = ANY(:audiences)
        AND chunk_id = ANY(:numbers)
        AND window_start IS NOT NULL
""")


async def load_windows(session: AsyncSession, scope: Scope, numbers: Sequence[int]) -> dict[int, str]:
    """Return the window texts of the chunks of the scope that have a window."""
    found = await session.execute(_WINDOWS, _values(scope) | {"numbers": list(numbers)})
    return {number: str(body) for number, body in found}


# substr() with :first counting from 1; no row if the document is outside the scope.
_DOCUMENT_SPAN = text("""
    SELECT substr(text, :first, :length)
    FROM documents
    WHERE tenant_id = :tenant AND id = CAST(:document AS uuid) AND audience = ANY(:audiences)
""")


async def load_span(session: AsyncSession, scope: Scope, document_id: str, start: int, end: int) -> str:
    """Return the characters ``start:end`` of a document; empty if the document is outside the scope."""
    found = await session.scalar(
        _DOCUMENT_SPAN, _values(scope) | {"document": document_id, "first": start + 1, "length": end - start}
    )
    return str(found or "")


# Every chunk of the audiences with its offsets in its document.
_CHUNK_SPANS = text("""
    SELECT chunk_id, uri, start_char, end_char
    FROM chunks
    JOIN documents ON documents.tenant_id = chunks.tenant_id AND documents.id = chunks.document_id
    WHERE chunks.tenant_id = :tenant AND chunks.audience = ANY(:audiences)
""")


async def chunk_spans(session: AsyncSession, scope: Scope) -> dict[int, tuple[str, int, int]]:
    """Return the document of each chunk of the scope, and the start and end of the chunk in it."""
    found = await session.execute(_CHUNK_SPANS, _values(scope))
    return {number: (str(uri), start, end) for number, uri, start, end in found}


def _values(scope: Scope) -> dict[str, object]:
    return {"tenant": scope.tenant_id, "audiences": list(scope.audiences)}


def _window(start: int | None, end: int | None) -> tuple[int, int] | None:
    return None if start is None or end is None else (start, end)
