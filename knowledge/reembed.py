"""Another embedding model: the vectors of what is stored already, without reading any source again."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge import store
from knowledge.ports import Embedder, Sessions
from knowledge.vectors import add_embeddings, encode_passages

BATCH = 64


async def missing(session: AsyncSession, tenant_id: str, model: str) -> int:
    """How many chunks of the tenant have no vector of the model, and so are found by their words alone."""
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


async def reembed(
    sessions: Sessions, embedder: Embedder, tenant_id: str, *, on_chunks: Callable[[int], None] | None = None
) -> int:
    """Give every chunk that has none a vector of the embedder's model; returns how many.

    One transaction a batch, so that a run that was broken off goes on where it stood. The vectors of other models go
    once none is missing. ``on_chunks`` is told the number of chunks done so far. Raises EmbeddingError.
    """
    done = 0
    while batch := await _next(sessions, tenant_id, embedder.model):
        made, _ = await encode_passages(embedder, [whole for _, whole in batch])
        async with sessions(tenant_id) as session:
            await store.bump(session, tenant_id)
            numbers = [number for number, _ in batch]
            await add_embeddings(session, tenant_id, embedder.model, dict(zip(numbers, made, strict=True)))
        done += len(batch)
        if on_chunks is not None:
            on_chunks(done)
    async with sessions(tenant_id) as session:
        for table in ("token_signs", "embeddings"):
            await session.execute(
                text(f"DELETE FROM {table} WHERE tenant_id = :tenant AND model <> :model"),  # noqa: S608
                {"tenant": tenant_id, "model": embedder.model},
            )
    return done


async def _next(sessions: Sessions, tenant_id: str, model: str) -> list[tuple[int, str]]:
    """Number and whole text of the next chunks without a vector."""
    async with sessions(tenant_id) as session:
        rows = await session.execute(
            text(
                "SELECT chunk_id, CASE header WHEN '' THEN text ELSE header || E'\\n' || text END FROM chunks "
                "WHERE tenant_id = :tenant AND NOT EXISTS (SELECT FROM embeddings WHERE embeddings.tenant_id = :tenant "
                "AND embeddings.chunk_id = chunks.chunk_id AND model = :model) ORDER BY chunk_id LIMIT :limit"
            ),
            {"tenant": tenant_id, "model": model, "limit": BATCH},
        )
        return [(row[0], row[1]) for row in rows]
