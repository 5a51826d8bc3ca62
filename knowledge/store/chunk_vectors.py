"""Computes the vectors of chunks and stores them: chunk vectors, token signs and sentence vectors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.embedders.token_vectors import TokenEmbedder, TokenVectors
from knowledge.ports import Embedder
from knowledge.psycopg_connection import psycopg_connection

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


# The join leaves out chunks that were deleted meanwhile. The vectors are texts.
_INSERT_EMBEDDINGS = """
    INSERT INTO embeddings (tenant_id, chunk_id, model, audience, dimensions, vector)
    SELECT %(tenant)s, number, %(model)s, audience, %(dimensions)s, CAST(vector AS halfvec)
    FROM unnest(%(numbers)s::bigint[], %(values)s::text[]) AS new (number, vector)
    JOIN chunks ON chunks.tenant_id = %(tenant)s AND chunk_id = number
    ON CONFLICT DO NOTHING
"""

# As above, for the packed signs of tokens.
_INSERT_SIGNS = """
    INSERT INTO token_signs (tenant_id, chunk_id, model, signs)
    SELECT %(tenant)s, number, %(model)s, packed
    FROM unnest(%(numbers)s::bigint[], %(values)b::bytea[]) AS new (number, packed)
    JOIN chunks ON chunks.tenant_id = %(tenant)s AND chunk_id = number
    ON CONFLICT DO NOTHING
"""

# As above, for the packed vectors of sentences.
_INSERT_SENTENCE_VECTORS = """
    INSERT INTO sentence_vectors (tenant_id, chunk_id, model, vectors)
    SELECT %(tenant)s, number, %(model)s, packed
    FROM unnest(%(numbers)s::bigint[], %(values)b::bytea[]) AS new (number, packed)
    JOIN chunks ON chunks.tenant_id = %(tenant)s AND chunk_id = number
    ON CONFLICT DO NOTHING
"""


async def add_embeddings(session: AsyncSession, tenant_id: str, model: str, embedded: Mapping[int, Embedded]) -> None:
    """Store vectors, token signs and sentence vectors by chunk number; chunks that no longer exist are left out."""
    if not embedded:
        return
    connection = await psycopg_connection(session)
    named = {
        "tenant": tenant_id,
        "model": model,
        "dimensions": len(next(iter(embedded.values())).vector),
    }
    vectors = await asyncio.to_thread(_as_text, embedded)
    signs = {number: one.signs for number, one in embedded.items() if one.signs is not None}
    sentences = {number: one.sentences for number, one in embedded.items() if one.sentences is not None}
    for statement, values in (
        (_INSERT_EMBEDDINGS, vectors),
        (_INSERT_SIGNS, signs),
        (_INSERT_SENTENCE_VECTORS, sentences),
    ):
        if values:
            await connection.execute(statement, named | {"numbers": list(values), "values": list(values.values())})


def _as_text(embedded: Mapping[int, Embedded]) -> dict[int, str]:
    return {number: halfvec(one.vector) for number, one in embedded.items()}


def _embedded(row: TokenVectors) -> Embedded:
    sentences = None if row.sentences is None else row.sentences.tobytes()
    return Embedded(row.pooled, row.signs.tobytes(), sentences)


def halfvec(vector: Vector) -> str:
    """Return the vector in pgvector's text format."""
    return "[" + ",".join(f"{value:.5g}" for value in vector.tolist()) + "]"
