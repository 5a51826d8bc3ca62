"""Reads and changes which embedding model serves a tenant, and which model will replace it.

While the vectors of the next model are computed, the old model serves, because it has vectors of all chunks. Documents
that are added meanwhile get vectors of both. The switch is an update of one row, made once no vector of the next model
is missing. Every function runs inside its caller's transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

MODEL_TABLES = ("sentence_vectors", "token_signs", "embeddings")
"""The tables that store the vectors that a model computed for a chunk."""
DELETED_PER_TRANSACTION = 5000
"""Maximum number of rows of old models that one transaction deletes from each table."""


@dataclass(frozen=True, slots=True)
class Serving:
    """The models of a tenant. ``model`` is None if no model was recorded yet; then the configured one serves."""

    model: str | None = None
    next_model: str | None = None

    def models(self, configured: str) -> tuple[str, ...]:
        """Return the models for which every chunk needs a vector, the serving one first."""
        serving = self.model or configured
        return (serving,) if self.next_model in (None, serving) else (serving, str(self.next_model))


def choose_models(before: Serving, configured: str, most_used: str | None) -> Serving:
    """Return the tenant's models after a process with the model ``configured`` started. Does no I/O.

    The process that started last decides. ``most_used`` is the model of most of the stored vectors, for a tenant whose
    model was never recorded.
    """
    serving = before.model or most_used or configured
    return Serving(serving, None if serving == configured else configured)


async def read(session: AsyncSession, tenant_id: str) -> Serving:
    """Return which models serve the tenant."""
    rows = await session.execute(
        text("SELECT model, next_model FROM knowledge_state WHERE tenant_id = :tenant"), {"tenant": tenant_id}
    )
    row = rows.one_or_none()
    return Serving(*row) if row else Serving()


async def announce(session: AsyncSession, tenant_id: str, configured: str) -> Serving:
    """Record the configured model of a process that starts; if another model serves, it becomes the next model."""
    await session.execute(
        text("INSERT INTO knowledge_state (tenant_id) VALUES (:tenant) ON CONFLICT DO NOTHING"), {"tenant": tenant_id}
    )
    before = await _lock_and_read(session, tenant_id)
    assert before is not None
    after = choose_models(before, configured, None if before.model else await _most_used_model(session, tenant_id))
    if after != before:
        await _write(session, tenant_id, after)
    return after


async def switch(session: AsyncSession, tenant_id: str, model: str) -> bool:
    """Let the model serve if it is still the next one and has a vector of every chunk; return whether it does."""
    before = await _lock_and_read(session, tenant_id)
    if before is None or before.next_model != model or await count_missing(session, tenant_id, model):
        return False
    await _write(session, tenant_id, Serving(model))
    # The new version invalidates cached answers that were found with the old vectors.
    await session.execute(
        text("UPDATE knowledge_state SET version = version + 1 WHERE tenant_id = :tenant"), {"tenant": tenant_id}
    )
    return True


# Chunks without a vector of the model.
_COUNT_MISSING = text("""
    SELECT count(*)
    FROM chunks
    WHERE tenant_id = :tenant AND NOT EXISTS (
        SELECT FROM embeddings
        WHERE embeddings.tenant_id = :tenant AND embeddings.chunk_id = chunks.chunk_id AND model = :model
    )
""")


async def count_missing(session: AsyncSession, tenant_id: str, model: str) -> int:
    """Return how many chunks of the tenant have no vector of the model."""
    return int(await session.scalar(_COUNT_MISSING, {"tenant": tenant_id, "model": model}) or 0)


async def count_chunks(session: AsyncSession, tenant_id: str) -> int:
    """Return how many chunks the tenant has."""
    return int(
        await session.scalar(text("SELECT count(*) FROM chunks WHERE tenant_id = :tenant"), {"tenant": tenant_id}) or 0
    )


async def has_other_vectors(session: AsyncSession, tenant_id: str, model: str) -> bool:
    """Return whether vectors of another model are stored."""
    row = await session.execute(
        text("SELECT min(model), max(model) FROM embeddings WHERE tenant_id = :tenant"), {"tenant": tenant_id}
    )
    return not {None, model}.issuperset(row.one())


async def delete_other_vectors(session: AsyncSession, tenant_id: str, model: str) -> int:
    """Delete a batch of other models' vectors. Return the number of deleted rows, 0 if none are left."""
    deleted = 0
    for table in MODEL_TABLES:
        rows = await session.scalars(
            text(_delete_other_sql(table)), {"tenant": tenant_id, "model": model, "limit": DELETED_PER_TRANSACTION}
        )
        deleted += len(rows.all())
    return deleted


def _delete_other_sql(table: str) -> str:
    """Return the statement that deletes a batch; DELETE has no LIMIT, so a subquery chooses the rows."""
    return f"""
        WITH old AS (
            SELECT chunk_id, model
            FROM {table}
            WHERE tenant_id = :tenant AND model <> :model
            LIMIT :limit
        )
        DELETE FROM {table} USING old
        WHERE {table}.tenant_id = :tenant AND {table}.chunk_id = old.chunk_id AND {table}.model = old.model
        RETURNING {table}.chunk_id
    """  # noqa: S608 - a table of this module


async def _lock_and_read(session: AsyncSession, tenant_id: str) -> Serving | None:
    rows = await session.execute(
        text("SELECT model, next_model FROM knowledge_state WHERE tenant_id = :tenant FOR UPDATE"),
        {"tenant": tenant_id},
    )
    row = rows.one_or_none()
    return Serving(*row) if row else None


# The model of most vectors; ties are decided by name.
_MOST_USED_MODEL = text("""
    SELECT model
    FROM embeddings
    WHERE tenant_id = :tenant
    GROUP BY model
    ORDER BY count(*) DESC, model
    LIMIT 1
""")


async def _most_used_model(session: AsyncSession, tenant_id: str) -> str | None:
    found = await session.scalar(_MOST_USED_MODEL, {"tenant": tenant_id})
    return None if found is None else str(found)


async def _write(session: AsyncSession, tenant_id: str, serving: Serving) -> None:
    await session.execute(
        text("UPDATE knowledge_state SET model = :model, next_model = :next WHERE tenant_id = :tenant"),
        {"tenant": tenant_id, "model": serving.model, "next": serving.next_model},
    )
