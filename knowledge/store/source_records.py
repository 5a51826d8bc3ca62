"""Reads and writes the rows of sources: settings, refresh times, marks, and the known documents.

Every function runs inside its caller's transaction and tenant.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.source_options import UNCHANGED, SourceOptions
from knowledge.store import document_files
from knowledge.types.source_items import Earlier, Known

# A source keeps the chunking method and the choice about hidden content that were set for it unless new ones are given.
_UPSERT_SOURCE = text("""
    INSERT INTO sources (tenant_id, id, uri, kind, audience, fetched_at, chunking, include_hidden)
    VALUES (:tenant, :id, :uri, :kind, :audience, :now, :chunking, coalesce(CAST(:include_hidden AS boolean), false))
    ON CONFLICT (tenant_id, audience, uri) DO UPDATE SET
        fetched_at = excluded.fetched_at,
        chunking = coalesce(excluded.chunking, sources.chunking),
        include_hidden = coalesce(CAST(:include_hidden AS boolean), sources.include_hidden)
    RETURNING id, chunking, include_hidden
""")


async def upsert_source(
    session: AsyncSession,
    *,
    tenant_id: str,
    uri: str,
    kind: str,
    audience: str,
    now: datetime,
    options: SourceOptions = UNCHANGED,
) -> tuple[uuid.UUID, str | None, bool]:
    """Insert the source, or update it if it exists.

    Return its id, the chunking method set for it, if any, and whether hidden parts of its documents are read.
    ``options`` replace what is stored; those that are None keep it.
    """
    rows = await session.execute(
        _UPSERT_SOURCE,
        {
            "tenant": tenant_id,
            "id": uuid.uuid4(),
            "uri": uri,
            "kind": kind,
            "audience": audience,
            "now": now,
            "chunking": options.chunking,
            "include_hidden": options.include_hidden,
        },
    )
    source_id, stored_chunking, stored_hidden = rows.one()
    assert isinstance(source_id, uuid.UUID)
    return source_id, stored_chunking, bool(stored_hidden)


# An existing source keeps its row.
_ADD_SOURCE = text("""
    INSERT INTO sources (tenant_id, id, uri, kind, audience, fetched_at, added_by)
    VALUES (:tenant, :id, :uri, :kind, :audience, :now, :by)
    ON CONFLICT (tenant_id, audience, uri) DO NOTHING
""")


async def find_or_add_source(
    session: AsyncSession,
    *,
    tenant_id: str,
    uri: str,
    kind: str,
    audience: str,
    now: datetime,
    added_by: str | None = None,
) -> str:
    """Return the id of the source, and add the source if it does not exist. An existing one stays as it is.

    For uploads of people, see ``knowledge.store.upload_records``.
    """
    await session.execute(
        _ADD_SOURCE,
        {
            "tenant": tenant_id,
            "id": uuid.uuid4(),
            "uri": uri,
            "kind": kind,
            "audience": audience,
            "now": now,
            "by": added_by,
        },
    )
    return str(
        await session.scalar(
            text("SELECT id FROM sources WHERE tenant_id = :tenant AND audience = :audience AND uri = :uri"),
            {"tenant": tenant_id, "audience": audience, "uri": uri},
        )
    )


# ``is_complete``: the document is parsed, chunked by this recipe, and every chunk has a vector of every model.
# ``is_textless``: a picture in which nothing was recognized by this recipe. Only these failures have a hash.
_KNOWN_DOCUMENTS = text("""
    SELECT uri, fetched_at, metadata, text <> '' OR memo <> '' AS has_content,
        state = 'failed' AND text = '' AND content_hash <> '' AND recipe = :recipe AS is_textless,
        state = 'ready' AND recipe = :recipe AND NOT EXISTS (
        SELECT FROM chunks
        CROSS JOIN unnest(CAST(:models AS text[])) AS wanted (model)
        LEFT JOIN embeddings
            ON embeddings.tenant_id = chunks.tenant_id
            AND embeddings.chunk_id = chunks.chunk_id
            AND embeddings.model = wanted.model
        WHERE chunks.tenant_id = documents.tenant_id
            AND document_id = documents.id
            AND embeddings.chunk_id IS NULL
    )
        AND (
            coalesce(metadata ->> 'format', '') <> ALL(CAST(:file_formats AS text[]))
            OR EXISTS (
                SELECT FROM document_files
                WHERE document_files.tenant_id = documents.tenant_id AND document_id = documents.id
            )
        ) AS is_complete
    FROM documents
    WHERE tenant_id = :tenant AND source_id = :source
""")


async def read_known_documents(
    session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID, recipe: str, models: Sequence[str]
) -> Known:
    """Return the source's documents: those that are complete, and the others as outdated.

    A complete document is parsed, chunked by this recipe, and has a vector of each model per chunk. If its pages are
    shown as pictures, its file is stored too. The caller sets ``Known.memo``.
    """
    values = {"tenant": tenant_id, "source": source_id, "recipe": recipe, "models": list(models)}
    rows = await session.execute(_KNOWN_DOCUMENTS, {**values, "file_formats": list(document_files.FORMATS)})
    documents: dict[str, Earlier] = {}
    outdated: dict[str, Earlier] = {}
    textless: set[str] = set()
    are_complete = True
    for uri, fetched_at, metadata, has_content, is_textless, is_complete in rows:
        if is_textless:
            textless.add(uri)
            continue
        are_complete &= is_complete
        if is_complete or has_content:
            (documents if is_complete else outdated)[uri] = Earlier(fetched_at, metadata)
    last_mark = await session.scalar(
        text("SELECT memo FROM sources WHERE tenant_id = :tenant AND id = :source"),
        {"tenant": tenant_id, "source": source_id},
    )
    mark = str(last_mark or "") if documents or outdated else ""
    return Known(
        documents,
        outdated,
        mark=mark if are_complete else "",
        last_mark=mark,
        pictures_without_text=frozenset(textless),
    )


async def read_memo(session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID, uri: str) -> str:
    """Return the memo that the source stored with the document; empty if there is none."""
    found = await session.scalar(
        text("SELECT memo FROM documents WHERE tenant_id = :tenant AND source_id = :source AND uri = :uri"),
        {"tenant": tenant_id, "source": source_id, "uri": uri},
    )
    return str(found or "")


async def set_mark(session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID, mark: str) -> None:
    """Store the source's mark, which it receives again at its next run."""
    await session.execute(
        text("UPDATE sources SET memo = :mark WHERE tenant_id = :tenant AND id = :source"),
        {"tenant": tenant_id, "source": source_id, "mark": mark},
    )


LONGEST_BACKOFF_SECONDS = 86_400
"""Pause after failed refreshes beyond which it no longer doubles, unless the source's interval is longer."""

# A source without an interval of its own follows the setting, :every. 0 means never. After a failed run, the source
# waits for its interval again, doubled with every further failure. Runs are kept for some days, which is long enough.
_DUE_SOURCES = text("""
    SELECT CAST(id AS text), kind, uri, refresh_seconds IS NOT NULL
    FROM sources
    CROSS JOIN LATERAL (
        SELECT count(*) AS number, max(updated_at) AS latest, coalesce(refresh_seconds, :every) AS every
        FROM ingests
        WHERE ingests.tenant_id = :tenant AND source_id = sources.id AND state = 'failed' AND updated_at > ALL (
            SELECT updated_at FROM ingests
            WHERE ingests.tenant_id = :tenant AND source_id = sources.id AND state = 'done'
        )
    ) AS failures
    WHERE tenant_id = :tenant
        AND kind <> 'upload'
        AND every > 0
        AND fetched_at + make_interval(secs => every) <= :now
        AND (latest IS NULL OR :now >= latest
            + make_interval(secs => greatest(every, least(every * power(2, least(number, 20) - 1), :longest))))
        AND NOT EXISTS (
            SELECT FROM ingests
            WHERE ingests.tenant_id = :tenant AND source_id = sources.id AND state IN ('waiting', 'running')
        )
    ORDER BY fetched_at
""")


@dataclass(frozen=True, slots=True)
class DueSource:
    """A source to refresh. ``has_own_interval``: somebody set an interval for this source."""

    id: str
    kind: str
    uri: str
    has_own_interval: bool


async def due_for_refresh(
    session: AsyncSession, tenant_id: str, *, now: datetime, every_seconds: int
) -> list[DueSource]:
    """Return the sources with a due refresh that is not requested yet.

    ``every_seconds`` applies to sources without an interval of their own; 0 means never. Uploads are never due.
    """
    values = {"tenant": tenant_id, "every": every_seconds, "now": now, "longest": LONGEST_BACKOFF_SECONDS}
    return [DueSource(*row) for row in await session.execute(_DUE_SOURCES, values)]


async def set_refresh(session: AsyncSession, *, tenant_id: str, source_id: str, seconds: int | None) -> None:
    """Set the source's own refresh interval. 0 means never; None means that the setting applies."""
    await session.execute(
        text("UPDATE sources SET refresh_seconds = :seconds WHERE tenant_id = :tenant AND id = :id"),
        {"tenant": tenant_id, "id": uuid.UUID(source_id), "seconds": seconds},
    )
