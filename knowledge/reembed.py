"""Another embedding model: vectors for what is stored already, without reading any source again, and the switch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge import serving_model
from knowledge.chunk_vectors import add_embeddings, encode_passages
from knowledge.embedders.token_vectors import TokenEmbedder
from knowledge.embedding_models import Models
from knowledge.ports import Embedder, Sessions

BATCH = 64
_WHOLE = "CASE header WHEN '' THEN text ELSE header || E'\\n' || text END"


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a tenant is: ``done`` of ``total`` passages have a vector of ``next_model``; ``model`` serves."""

    model: str
    next_model: str
    done: int
    total: int

    def __str__(self) -> str:
        return f"re-embedding {self.done:,} of {self.total:,} with {self.next_model}; {self.model} serves until then"


async def standing(session: AsyncSession, tenant_id: str) -> Standing | None:
    """How far the change of the embedding model is; None where there is none."""
    state = await serving_model.read(session, tenant_id)
    if state.model is None or state.next_model is None:
        return None
    total = await serving_model.chunks(session, tenant_id)
    lacking = await serving_model.missing(session, tenant_id, state.next_model)
    return Standing(state.model, state.next_model, total - lacking, total)


async def behind(sessions: Sessions, models: Models, tenant_id: str) -> bool:
    """Whether there may be anything to do for ``reembed``: vectors to make, a switch, or old vectors to drop."""
    state = await models.announce(sessions, tenant_id)
    async with sessions(tenant_id) as session:
        if state.models(models.current.model)[-1] != models.current.model:
            return False
        if (
            state.next_model is not None
            or await serving_model.missing(session, tenant_id, models.current.model) > 0
            or await serving_model.has_others(session, tenant_id, models.current.model)
        ):
            return True
    if not isinstance(models.current, TokenEmbedder):
        return False
    return bool(await _without_sentences(sessions, tenant_id, models.current.model, after=-1, limit=1))


async def reembed(
    sessions: Sessions, models: Models, tenant_id: str, *, on_chunks: Callable[[int], None] | None = None
) -> int:
    """Give every chunk that has none a vector of the configured model, let it serve, and drop the vectors of others.

    Chunks whose sentences have no vectors, though the model makes them, get those too. Returns how many chunks got
    anything. The old model serves until the last one has. One transaction a batch, so that a run
    that was broken off goes on where it stood. Where another process has started since with another model, there is
    nothing to do. ``on_chunks`` is told the number of chunks done so far. Raises EmbeddingError.
    """
    done = 0
    model = models.current.model
    while (await models.announce(sessions, tenant_id)).models(model)[-1] == model:
        if given := await give_next(sessions, models.current, tenant_id):
            done += given
            if on_chunks is not None:
                on_chunks(done)
        elif await settle(sessions, tenant_id, model):
            done += await give_sentences(sessions, models.current, tenant_id)
            break
    return done


async def give_next(sessions: Sessions, embedder: Embedder, tenant_id: str) -> int:
    """Give the next chunks without one a vector; returns how many, 0 once all have. Raises EmbeddingError."""
    batch = await _next(sessions, tenant_id, embedder.model)
    made, _ = await encode_passages(embedder, [whole for _, whole in batch])
    async with sessions(tenant_id) as session:
        await serving_model.lock(session, tenant_id)
        numbers = [number for number, _ in batch]
        await add_embeddings(session, tenant_id, embedder.model, dict(zip(numbers, made, strict=True)))
    return len(batch)


async def give_sentences(sessions: Sessions, embedder: Embedder, tenant_id: str) -> int:
    """Give chunks with a vector those of their sentences and tokens, where they were embedded before these were kept.

    Returns how many it looked at. Raises EmbeddingError.
    """
    looked, last = 0, -1
    while batch := await _without_sentences(sessions, tenant_id, embedder.model, after=last, limit=BATCH):
        if not looked and not await _shows_sentences(embedder):
            return 0
        made, _ = await encode_passages(embedder, [whole for _, whole in batch])
        numbers = [number for number, _ in batch]
        async with sessions(tenant_id) as session:
            await serving_model.lock(session, tenant_id)
            await add_embeddings(session, tenant_id, embedder.model, dict(zip(numbers, made, strict=True)))
        looked, last = looked + len(batch), numbers[-1]
    return looked


async def _shows_sentences(embedder: Embedder) -> bool:
    if not isinstance(embedder, TokenEmbedder):
        return False
    [row] = await embedder.encode_tokens(["One sentence."], "passage")
    return row.sentences is not None


async def _without_sentences(
    sessions: Sessions, tenant_id: str, model: str, *, after: int, limit: int
) -> list[tuple[int, str]]:
    """Number and whole text of the next chunks with a vector of the model and none of their sentences."""
    async with sessions(tenant_id) as session:
        rows = await session.execute(
            text(
                f"SELECT chunk_id, {_WHOLE} FROM chunks JOIN embeddings USING (tenant_id, chunk_id) "  # noqa: S608
                "WHERE tenant_id = :tenant AND model = :model AND chunk_id > :after AND NOT EXISTS "
                "(SELECT FROM sentence_vectors WHERE sentence_vectors.tenant_id = :tenant "
                "AND sentence_vectors.chunk_id = chunks.chunk_id AND sentence_vectors.model = :model) "
                "ORDER BY chunk_id LIMIT :limit"
            ),
            {"tenant": tenant_id, "model": model, "after": after, "limit": limit},
        )
        return [(row[0], row[1]) for row in rows]


async def settle(sessions: Sessions, tenant_id: str, model: str) -> bool:
    """Switch to the model where it is the next one, and drop the vectors of others; False while it lacks vectors."""
    async with sessions(tenant_id) as session:
        state = await serving_model.read(session, tenant_id)
        if state.models(model)[-1] != model:
            return False
        if state.next_model is not None and not await serving_model.switch(session, tenant_id, model):
            return False
    while True:
        async with sessions(tenant_id) as session:
            if not await serving_model.drop_others(session, tenant_id, model):
                return True


async def _next(sessions: Sessions, tenant_id: str, model: str) -> list[tuple[int, str]]:
    """Number and whole text of the next chunks without a vector."""
    async with sessions(tenant_id) as session:
        rows = await session.execute(
            text(
                f"SELECT chunk_id, {_WHOLE} FROM chunks "  # noqa: S608
                "WHERE tenant_id = :tenant AND NOT EXISTS (SELECT FROM embeddings WHERE embeddings.tenant_id = :tenant "
                "AND embeddings.chunk_id = chunks.chunk_id AND model = :model) ORDER BY chunk_id LIMIT :limit"
            ),
            {"tenant": tenant_id, "model": model, "limit": BATCH},
        )
        return [(row[0], row[1]) for row in rows]
