"""Which embedding model a tenant's questions are encoded with, and which is to take its place: SQL and nothing else.

While the vectors of the next model are made, the old one serves: it finds everything. What is taken in meanwhile gets
vectors of both. The switch is one row, changed once no vector of the next model is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

MADE = ("sentence_vectors", "token_signs", "embeddings")
"""The tables that keep what a model made of a chunk."""
DROPPED_AT_ONCE = 5000
"""Vectors of an old model that go in one transaction."""


@dataclass(frozen=True, slots=True)
class Serving:
    """``model`` is None where nothing was decided yet: then the configured one serves."""

    model: str | None = None
    next_model: str | None = None

    def models(self, configured: str) -> tuple[str, ...]:
        """The models that a chunk needs vectors of, the one that serves first."""
        serving = self.model or configured
        return (serving,) if self.next_model in (None, serving) else (serving, str(self.next_model))


def decided(before: Serving, configured: str, most_used: str | None) -> Serving:
    """What follows where a process starts with this model: the last one to start decides. Pure.

    ``most_used`` is the model of most of the stored vectors, for a tenant whose model was never noted.
    """
    serving = before.model or most_used or configured
    return Serving(serving, None if serving == configured else configured)


async def read(session: AsyncSession, tenant_id: str) -> Serving:
    """Which models serve the tenant now."""
    row = (
        await session.execute(
            text("SELECT model, next_model FROM knowledge_state WHERE tenant_id = :tenant"), {"tenant": tenant_id}
        )
    ).one_or_none()
    return Serving(*row) if row else Serving()


async def announce(session: AsyncSession, tenant_id: str, configured: str) -> Serving:
    """Note the model of a process that starts; another one than that which serves is the next from here on."""
    await session.execute(
        text("INSERT INTO knowledge_state (tenant_id) VALUES (:tenant) ON CONFLICT DO NOTHING"), {"tenant": tenant_id}
    )
    row = await session.execute(
        text("SELECT model, next_model FROM knowledge_state WHERE tenant_id = :tenant FOR UPDATE"),
        {"tenant": tenant_id},
    )
    before = Serving(*row.one())
    after = decided(before, configured, None if before.model else await _most_used(session, tenant_id))
    if after != before:
        await _write(session, tenant_id, after)
    return after


async def switch(session: AsyncSession, tenant_id: str, model: str) -> bool:
    """Let the next model serve, where it is still the next one and has a vector of every chunk."""
    row = await session.execute(
        text("SELECT model, next_model FROM knowledge_state WHERE tenant_id = :tenant FOR UPDATE"),
        {"tenant": tenant_id},
    )
    before = row.one_or_none()
    if before is None or before.next_model != model or await missing(session, tenant_id, model):
        return False
    await _write(session, tenant_id, Serving(model))
    # A new version: answers that were found with the old vectors are not given again.
    await session.execute(
        text("UPDATE knowledge_state SET version = version + 1 WHERE tenant_id = :tenant"), {"tenant": tenant_id}
    )
    return True


async def missing(session: AsyncSession, tenant_id: str, model: str) -> int:
    """How many chunks of the tenant have no vector of the model."""
    return int(
        await session.scalar(
            text(
                "SELECT count(*) FROM chunks WHERE tenant_id = :tenant AND NOT EXISTS (SELECT FROM embeddings "
                "WHERE embeddings.tenant_id = :tenant AND embeddings.chunk_id = chunks.chunk_id AND model = :model)"
            ),
            {"tenant": tenant_id, "model": model},
        )
        or 0
    )


async def chunks(session: AsyncSession, tenant_id: str) -> int:
    """How many chunks the tenant has."""
    return int(
        await session.scalar(text("SELECT count(*) FROM chunks WHERE tenant_id = :tenant"), {"tenant": tenant_id}) or 0
    )


async def has_others(session: AsyncSession, tenant_id: str, model: str) -> bool:
    """Whether there are vectors of another model than this one."""
    row = await session.execute(
        text("SELECT min(model), max(model) FROM embeddings WHERE tenant_id = :tenant"), {"tenant": tenant_id}
    )
    return not {None, model}.issuperset(row.one())


async def drop_others(session: AsyncSession, tenant_id: str, model: str) -> int:
    """Take out some of what was made by other models; returns how much, 0 once there is nothing."""
    gone = 0
    for table in MADE:
        result = await session.scalars(
            text(
                f"WITH old AS (SELECT chunk_id, model FROM {table} WHERE tenant_id = :tenant "  # noqa: S608
                f"AND model <> :model LIMIT :limit) DELETE FROM {table} USING old WHERE {table}.tenant_id = :tenant "
                f"AND {table}.chunk_id = old.chunk_id AND {table}.model = old.model RETURNING {table}.chunk_id"
            ),
            {"tenant": tenant_id, "model": model, "limit": DROPPED_AT_ONCE},
        )
        gone += len(result.all())
    return gone


async def lock(session: AsyncSession, tenant_id: str) -> None:
    """Take the tenant's write lock: no chunk comes or goes until the transaction ends."""
    await session.execute(
        text("SELECT FROM knowledge_state WHERE tenant_id = :tenant FOR UPDATE"), {"tenant": tenant_id}
    )


async def _most_used(session: AsyncSession, tenant_id: str) -> str | None:
    found = await session.scalar(
        text(
            "SELECT model FROM embeddings WHERE tenant_id = :tenant "
            "GROUP BY model ORDER BY count(*) DESC, model LIMIT 1"
        ),
        {"tenant": tenant_id},
    )
    return None if found is None else str(found)


async def _write(session: AsyncSession, tenant_id: str, serving: Serving) -> None:
    await session.execute(
        text("UPDATE knowledge_state SET model = :model, next_model = :next WHERE tenant_id = :tenant"),
        {"tenant": tenant_id, "model": serving.model, "next": serving.next_model},
    )
