"""Re-embeds stored chunks after the embedding model changed, without reading any source, and then switches models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.embedders.token_vectors import TokenEmbedder
from knowledge.ports import Embedder, Sessions
from knowledge.store import serving_model
from knowledge.store.chunk_vectors import add_embeddings, encode_passages
from knowledge.store.embedding_models import Models
from knowledge.store.knowledge_version import lock

BATCH = 64
"""Chunks that are embedded and stored in one transaction."""


@dataclass(frozen=True, slots=True)
class ReembedProgress:
    """The number of ``total`` chunks with a vector of ``next_model``; ``model`` serves until all chunks have one."""

    model: str
    next_model: str
    done: int
    total: int

    def __str__(self) -> str:
        return f"re-embedding {self.done:,} of {self.total:,} with {self.next_model}; {self.model} serves until then"


# A chunk is embedded together with its header.
_INDEXED_TEXT = "CASE header WHEN '' THEN text ELSE header || E'\\n' || text END"


async def read_progress(session: AsyncSession, tenant_id: str) -> ReembedProgress | None:
    """Return the progress of the change to another embedding model; None if no change is in progress."""
    serving = await serving_model.read(session, tenant_id)
    if serving.model is None or serving.next_model is None:
        return None
    total = await serving_model.count_chunks(session, tenant_id)
    missing = await serving_model.count_missing(session, tenant_id, serving.next_model)
    return ReembedProgress(serving.model, serving.next_model, total - missing, total)


async def needs_reembedding(sessions: Sessions, models: Models, tenant_id: str) -> bool:
    """Return whether ``reembed`` may have work: vectors to compute, a switch to make, or old vectors to delete.

    The chunks of a tenant are searched for missing vectors once in each process, because that reads all of them.
    """
    model = models.current.model
    serving = await models.announce(sessions, tenant_id)
    if models.is_complete(tenant_id, serving):
        return False
    async with sessions(tenant_id) as session:
        if serving.models(model)[-1] != model:
            return False
        if (
            serving.next_model is not None
            or await serving_model.count_missing(session, tenant_id, model) > 0
            or await serving_model.has_other_vectors(session, tenant_id, model)
        ):
            return True
    if isinstance(models.current, TokenEmbedder) and await _chunks_without_sentences(
        sessions, tenant_id, model, after=-1, limit=1
    ):
        return True
    models.mark_complete(tenant_id)
    return False


async def reembed(
    sessions: Sessions, models: Models, tenant_id: str, *, on_chunks: Callable[[int], None] | None = None
) -> int:
    """Compute the missing vectors of the configured model, let it serve, and delete the vectors of other models.

    Chunks without sentence vectors get these too, if the model provides them. Returns how many chunks were embedded.
    The old model serves until the last chunk is done. Each batch has a transaction of its own, so that an interrupted
    run continues where it stopped. Does nothing if another process with another model has started in the meantime.
    ``on_chunks`` receives the number of chunks done so far. Raises EmbeddingError.
    """
    done = 0
    model = models.current.model
    while (await models.announce(sessions, tenant_id)).models(model)[-1] == model:
        if embedded := await embed_next_batch(sessions, models.current, tenant_id):
            done += embedded
            if on_chunks is not None:
                on_chunks(done)
        elif await switch_if_complete(sessions, tenant_id, model):
            done += await embed_missing_sentences(sessions, models.current, tenant_id)
            break
    return done


async def embed_next_batch(sessions: Sessions, embedder: Embedder, tenant_id: str) -> int:
    """Embed the next chunks without a vector; return how many, 0 if none are left. Raises EmbeddingError."""
    batch = await _chunks_without_vector(sessions, tenant_id, embedder.model)
    await _embed(sessions, embedder, tenant_id, batch)
    return len(batch)


async def embed_missing_sentences(sessions: Sessions, embedder: Embedder, tenant_id: str) -> int:
    """Embed chunks again that were embedded before sentence vectors and token signs were introduced.

    Returns how many chunks were embedded. Raises EmbeddingError.
    """
    done, last = 0, -1
    while batch := await _chunks_without_sentences(sessions, tenant_id, embedder.model, after=last, limit=BATCH):
        if not done and not await _makes_sentence_vectors(embedder):
            return 0
        await _embed(sessions, embedder, tenant_id, batch)
        done, last = done + len(batch), batch[-1][0]
    return done


async def switch_if_complete(sessions: Sessions, tenant_id: str, model: str) -> bool:
    """Switch to the model if it is the next one, and delete other models' vectors.

    Return False while vectors are missing.
    """
    async with sessions(tenant_id) as session:
        serving = await serving_model.read(session, tenant_id)
        if serving.models(model)[-1] != model:
            return False
        if serving.next_model is not None and not await serving_model.switch(session, tenant_id, model):
            return False
    while True:
        async with sessions(tenant_id) as session:
            if not await serving_model.delete_other_vectors(session, tenant_id, model):
                return True


async def _embed(sessions: Sessions, embedder: Embedder, tenant_id: str, batch: list[tuple[int, str]]) -> None:
    """Encode and store chunks. The lock prevents their deletion during this."""
    embedded, _ = await encode_passages(embedder, [body for _, body in batch])
    numbers = [number for number, _ in batch]
    async with sessions(tenant_id) as session:
        await lock(session, tenant_id)
        await add_embeddings(session, tenant_id, embedder.model, dict(zip(numbers, embedded, strict=True)))


async def _makes_sentence_vectors(embedder: Embedder) -> bool:
    if not isinstance(embedder, TokenEmbedder):
        return False
    [row] = await embedder.encode_tokens(["One sentence."], "passage")
    return row.sentences is not None


# The next chunks without a vector of the model.
_CHUNKS_WITHOUT_VECTOR = text(f"""
    SELECT chunk_id, {_INDEXED_TEXT}
    FROM chunks
    WHERE tenant_id = :tenant AND NOT EXISTS (
        SELECT FROM embeddings
        WHERE embeddings.tenant_id = :tenant AND embeddings.chunk_id = chunks.chunk_id AND model = :model
    )
    ORDER BY chunk_id
    LIMIT :limit
""")  # noqa: S608 - an expression of this module


async def _chunks_without_vector(sessions: Sessions, tenant_id: str, model: str) -> list[tuple[int, str]]:
    values = {"tenant": tenant_id, "model": model, "limit": BATCH}
    return await _select_chunks(sessions, tenant_id, _CHUNKS_WITHOUT_VECTOR, values)


# The next chunks that have a vector of the model, but none of their sentences.
_CHUNKS_WITHOUT_SENTENCES = text(f"""
    SELECT chunk_id, {_INDEXED_TEXT}
    FROM chunks
    JOIN embeddings USING (tenant_id, chunk_id)
    WHERE tenant_id = :tenant AND model = :model AND chunk_id > :after AND NOT EXISTS (
        SELECT FROM sentence_vectors
        WHERE sentence_vectors.tenant_id = :tenant
            AND sentence_vectors.chunk_id = chunks.chunk_id
            AND sentence_vectors.model = :model
    )
    ORDER BY chunk_id
    LIMIT :limit
""")  # noqa: S608 - an expression of this module


async def _chunks_without_sentences(
    sessions: Sessions, tenant_id: str, model: str, *, after: int, limit: int
) -> list[tuple[int, str]]:
    values = {"tenant": tenant_id, "model": model, "after": after, "limit": limit}
    return await _select_chunks(sessions, tenant_id, _CHUNKS_WITHOUT_SENTENCES, values)


async def _select_chunks(
    sessions: Sessions, tenant_id: str, statement: TextClause, values: dict[str, object]
) -> list[tuple[int, str]]:
    """Return the number and the indexed text of each chunk."""
    async with sessions(tenant_id) as session:
        rows = await session.execute(statement, values)
        return [(row[0], row[1]) for row in rows]
