"""Computes the vectors of chunks and stores them: chunk vectors, token signs and sentence vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.embedders.token_vectors import TokenEmbedder, TokenVectors
from knowledge.ports import Embedder

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors that a model computed for a chunk.

    ``signs`` are the packed signs of its token vectors and ``sentences`` the vectors of its sentences, one byte per
    dimension. Both are None if the model does not provide token vectors.
    """

    vector: Vector
    signs: bytes | None = None
    sentences: bytes | None = None


async def encode_passages(embedder: Embedder, texts: Sequence[str]) -> tuple[list[Embedded], int]:
    """Return the vectors of each text, and the number of tokens that the model read. Raises EmbeddingError."""
    if isinstance(embedder, TokenEmbedder):
        rows = await embedder.encode_tokens(texts, "passage")
        return [_embedded(row) for row in rows], sum(len(row.signs) for row in rows)
    encoded = await embedder.encode(texts, "passage")
    return [Embedded(vector) for vector in encoded.vectors], encoded.tokens


# The join leaves out chunks that were deleted meanwhile.
_INSERT_EMBEDDINGS = text("""
    INSERT INTO embeddings (tenant_id, chunk_id, model, audience, dimensions, vector)
    SELECT :tenant, number, :model, audience, :dimensions, CAST(vector AS halfvec)
    FROM unnest(CAST(:numbers AS bigint[]), CAST(:vectors AS text[])) AS new (number, vector)
    JOIN chunks ON chunks.tenant_id = :tenant AND chunk_id = number
    ON CONFLICT DO NOTHING
""")

# As above, for the packed signs of tokens.
_INSERT_TOKEN_SIGNS = text("""
    INSERT INTO token_signs (tenant_id, chunk_id, model, signs)
    SELECT :tenant, number, :model, packed
    FROM unnest(CAST(:numbers AS bigint[]), CAST(:packed AS bytea[])) AS new (number, packed)
    JOIN chunks ON chunks.tenant_id = :tenant AND chunk_id = number
    ON CONFLICT DO NOTHING
""")

# As above, for the packed vectors of sentences.
_INSERT_SENTENCE_VECTORS = text("""
    INSERT INTO sentence_vectors (tenant_id, chunk_id, model, vectors)
    SELECT :tenant, number, :model, packed
    FROM unnest(CAST(:numbers AS bigint[]), CAST(:packed AS bytea[])) AS new (number, packed)
    JOIN chunks ON chunks.tenant_id = :tenant AND chunk_id = number
    ON CONFLICT DO NOTHING
""")


async def add_embeddings(session: AsyncSession, tenant_id: str, model: str, embedded: Mapping[int, Embedded]) -> None:
    """Store vectors, token signs and sentence vectors by chunk number; chunks that no longer exist are left out."""
    if not embedded:
        return
    named = {"tenant": tenant_id, "model": model}
    await session.execute(
        _INSERT_EMBEDDINGS,
        named
        | {
            "dimensions": len(next(iter(embedded.values())).vector),
            "numbers": list(embedded),
            "vectors": [halfvec(one.vector) for one in embedded.values()],
        },
    )
    signs = {number: one.signs for number, one in embedded.items() if one.signs is not None}
    if signs:
        await session.execute(_INSERT_TOKEN_SIGNS, named | {"numbers": list(signs), "packed": list(signs.values())})
    sentences = {number: one.sentences for number, one in embedded.items() if one.sentences is not None}
    if sentences:
        await session.execute(
            _INSERT_SENTENCE_VECTORS, named | {"numbers": list(sentences), "packed": list(sentences.values())}
        )


def _embedded(row: TokenVectors) -> Embedded:
    sentences = None if row.sentences is None else row.sentences.tobytes()
    return Embedded(row.pooled, row.signs.tobytes(), sentences)


def halfvec(vector: Vector) -> str:
    """Return the vector in pgvector's text format."""
    return "[" + ",".join(f"{value:.5g}" for value in vector.tolist()) + "]"
