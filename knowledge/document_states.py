"""Says at the end of a document's title in which state it is: gone, read long ago, or no longer in force."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge import superseded

READING_STATE = """CASE
    WHEN gone_readings >= 2 THEN 'gone since ' || to_char(gone_since AT TIME ZONE 'UTC', 'YYYY-MM-DD')
    WHEN EXISTS (
        SELECT FROM sources
        WHERE sources.tenant_id = documents.tenant_id
            AND sources.id = documents.source_id
            AND kind <> 'upload'
            AND coalesce(refresh_seconds, :every) > 0
            AND documents.fetched_at + 2 * make_interval(secs => coalesce(refresh_seconds, :every)) < now()
            AND (documents.error <> '' OR EXISTS (
                SELECT FROM documents AS whole
                WHERE whole.tenant_id = sources.tenant_id
                    AND whole.source_id = sources.id
                    AND whole.uri = sources.uri
                    AND whole.error <> ''
            ))
    ) THEN 'last read ' || to_char(documents.fetched_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
    ELSE ''
END"""
"""SQL: what the readings of a row of ``documents`` say about it. ``:every`` is as in ``shown_titles``.

A document is gone after two readings that did not find it. It says when it was last read if that cannot be done for
longer than two intervals of its source, alone or with the whole source.
"""


def state_note(reading_state: str, replaced: str) -> str:
    """Return the note about a document: ``reading_state``, and ``replaced`` from ``superseded.note``."""
    return ", ".join(filter(None, (reading_state, replaced)))


def with_note(title: str, note: str) -> str:
    """Return the title as citations show it."""
    return f"{title} ({note})" if note else title


_TITLES = text(f"""
    SELECT CAST(id AS text), title, {READING_STATE}, left(documents.text, :opening), CURRENT_DATE
    FROM documents
    WHERE tenant_id = :tenant AND id = ANY(CAST(:ids AS uuid[]))
""")  # noqa: S608


async def shown_titles(
    session: AsyncSession, *, tenant_id: str, ids: Sequence[str], refresh_seconds: int
) -> dict[str, str]:
    """Return the titles that citations of the documents show now, by document; none of those that do not exist.

    ``refresh_seconds`` is the interval of sources without one of their own; 0 means that they are not refreshed.
    """
    values = {"tenant": tenant_id, "ids": list(ids), "every": refresh_seconds, "opening": superseded.OPENING_CHARS}
    return {
        number: with_note(title, state_note(state, superseded.note(title, opening, today)))
        for number, title, state, opening, today in await session.execute(_TITLES, values)
    }
