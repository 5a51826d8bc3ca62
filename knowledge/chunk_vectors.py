"""What a model makes of chunks, and how it is stored."""

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
    """What a model made of a chunk: its vector and, where the model shows them, the packed signs of its tokens and the
    vectors of its sentences, one byte a dimension."""

    vector: Vector
    signs: bytes | None = None
    sentences: bytes | None = None


async def encode_passages(embedder: Embedder, texts: Sequence[str]) -> tuple[list[Embedded], int]:
    """What the model makes of the texts, and how many tokens it read. Raises EmbeddingError."""
    if isinstance(embedder, TokenEmbedder):
        rows = await embedder.encode_tokens(texts, "passage")
        return [_embedded(row) for row in rows], sum(len(row.signs) for row in rows)
    encoded = await embedder.encode(texts, "passage")
    return [Embedded(vector) for vector in encoded.vectors], encoded.tokens


async def add_embeddings(session: AsyncSession, tenant_id: str, model: str, embedded: Mapping[int, Embedded]) -> None:
    """Store vectors and token signs by number of the chunk; chunks that are gone by now are passed over."""
    if not embedded:
        return
    await session.execute(
        text(
            "INSERT INTO embeddings (tenant_id, chunk_id, model, audience, dimensions, vector) "
            "SELECT :tenant, number, :model, audience, :dimensions, CAST(vector AS halfvec) "
            "FROM unnest(CAST(:numbers AS bigint[]), CAST(:vectors AS text[])) AS new (number, vector) "
            "JOIN chunks ON chunks.tenant_id = :tenant AND chunk_id = number ON CONFLICT DO NOTHING"
        ),
        {
            "tenant": tenant_id,
            "model": model,
            "dimensions": len(next(iter(embedded.values())).vector),
            "numbers": list(embedded),
            "vectors": [halfvec(one.vector) for one in embedded.values()],
        },
    )
    signs = {number: one.signs for number, one in embedded.items() if one.signs is not None}
    await _add_packed(session, "token_signs", "signs", tenant_id, model, signs)
    sentences = {number: one.sentences for number, one in embedded.items() if one.sentences is not None}
    await _add_packed(session, "sentence_vectors", "vectors", tenant_id, model, sentences)


def _embedded(row: TokenVectors) -> Embedded:
    sentences = None if row.sentences is None else row.sentences.tobytes()
    return Embedded(row.pooled, row.signs.tobytes(), sentences)


async def _add_packed(
    session: AsyncSession, table: str, column: str, tenant_id: str, model: str, packed: Mapping[int, bytes]
) -> None:
    if not packed:
        return
    await session.execute(
        text(
            f"INSERT INTO {table} (tenant_id, chunk_id, model, {column}) SELECT :tenant, number, :model, packed "  # noqa: S608
            "FROM unnest(CAST(:numbers AS bigint[]), CAST(:packed AS bytea[])) AS new (number, packed) "
            "JOIN chunks ON chunks.tenant_id = :tenant AND chunk_id = number ON CONFLICT DO NOTHING"
        ),
        {"tenant": tenant_id, "model": model, "numbers": list(packed), "packed": list(packed.values())},
    )


def halfvec(vector: Vector) -> str:
    """A vector as pgvector reads it."""
    return "[" + ",".join(f"{value:.5g}" for value in vector.tolist()) + "]"
