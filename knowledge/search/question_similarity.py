"""Reads the similarity of given chunks to a question: the cosines of chunks and sentences. Unpacks token signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.embedders.token_vectors import Signs, sentence_cosines
from knowledge.psycopg_connection import psycopg_connection
from knowledge.search.fusion import Place
from knowledge.store.chunk_vectors import Vector, halfvec
from knowledge.types.scope import Scope


@dataclass(frozen=True, slots=True)
class Similarity:
    """The cosine of a chunk to a question, the cosines of its sentences if their vectors are stored, and its place."""

    document_id: str
    cosine: float
    sentences: tuple[float, ...] = ()
    place: Place = ("", 0)

    @property
    def score(self) -> float:
        """The mean of the chunk's cosine and that of its best sentence.

        A passage may answer in one sentence while the rest of it is about other things.
        """
        return (self.cosine + max(self.sentences)) / 2 if self.sentences else self.cosine


# One query returns the cosines of the chunks and the vectors of their sentences. <#> is the negative inner product.
# Each large table is read by the numbers on its own: PostgreSQL would join whole tables where it has no statistics yet.
_SIMILARITIES = """
    WITH near AS MATERIALIZED (
        SELECT chunk_id, CAST(-(vector <#> CAST(%(vector)s AS halfvec)) AS float8) AS cosine
        FROM embeddings
        WHERE tenant_id = %(tenant)s AND model = %(model)s
            AND audience = ANY(%(audiences)s) AND chunk_id = ANY(%(numbers)s)
    ), wanted AS MATERIALIZED (
        SELECT chunk_id, document_id, position
        FROM chunks
        WHERE tenant_id = %(tenant)s AND chunk_id = ANY(%(numbers)s)
    ), sentences AS MATERIALIZED (
        SELECT chunk_id, vectors
        FROM sentence_vectors
        WHERE tenant_id = %(tenant)s AND model = %(model)s AND chunk_id = ANY(%(numbers)s)
    )
    SELECT near.chunk_id, cosine, document_id, vectors, uri, position
    FROM near
    JOIN wanted ON wanted.chunk_id = near.chunk_id
    LEFT JOIN sentences ON sentences.chunk_id = near.chunk_id
    JOIN documents ON documents.tenant_id = %(tenant)s AND documents.id = wanted.document_id
"""


async def read_similarities(
    session: AsyncSession, vector: Vector, scope: Scope, numbers: Sequence[int], *, model: str
) -> dict[int, Similarity]:
    """Return the similarity of each of these chunks to the unit vector.

    Chunks outside the scope, or without a vector of the model, are left out.
    """
    if not numbers:
        return {}
    cursor = (await psycopg_connection(session)).cursor(binary=True)
    values = {
        "vector": halfvec(vector),
        "tenant": scope.tenant_id,
        "model": model,
        "audiences": list(scope.audiences),
        "numbers": list(numbers),
    }
    await cursor.execute(_SIMILARITIES, values)
    rows = await cursor.fetchall()
    stored = {row[0]: np.frombuffer(row[3], np.int8).reshape(-1, len(vector)) for row in rows if row[3]}
    sentences = dict(zip(stored, sentence_cosines(vector, list(stored.values())), strict=True))
    return {
        number: Similarity(str(document), cosine, sentences.get(number, ()), (uri, position))
        for number, cosine, document, _, uri, position in rows
    }


def unpack_signs(packed: bytes, dimensions: int) -> Signs:
    """Return the token signs of a chunk as they are compared."""
    return np.frombuffer(packed, dtype=np.uint8).reshape(-1, (dimensions + 7) // 8)
