"""Finds the vectors of texts that were embedded before, also of texts that were deleted within the last 30 days.

Chunks are compared by the hash of their text and header. So a renamed file, a moved folder, and a document that comes
back are not embedded again. No text is kept. Every function runs inside its caller's transaction and tenant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.store.chunk_vectors import Embedded

KEPT = timedelta(days=30)

# A chunk that is stored again is deleted later than before. Rows are in the order of their key, so that two
# transactions wait for each other instead of ending in a deadlock.
_KEEP = text("""
    INSERT INTO kept_vectors (tenant_id, digest, model, vector, signs, sentences)
    SELECT DISTINCT ON (digest, model) :tenant, digest, model, CAST(vector AS text), signs, vectors
    FROM chunks
    JOIN embeddings USING (tenant_id, chunk_id)
    LEFT JOIN token_signs USING (tenant_id, chunk_id, model)
    LEFT JOIN sentence_vectors USING (tenant_id, chunk_id, model)
    WHERE tenant_id = :tenant AND chunk_id = ANY(:numbers)
    ORDER BY digest, model
    ON CONFLICT (tenant_id, digest, model) DO UPDATE SET deleted_at = excluded.deleted_at
""")


async def keep(session: AsyncSession, tenant_id: str, numbers: Sequence[int]) -> None:
    """Keep the vectors of chunks that are about to be deleted."""
    await session.execute(_KEEP, {"tenant": tenant_id, "numbers": list(numbers)})


# The vectors of stored chunks, and the kept ones of digests that no stored chunk has. Each chunk's vector is looked up
# by its key: before the tables have statistics, Postgres would join all vectors of the tenant with all signs.
_FIND = text("""
    WITH stored AS (
        SELECT DISTINCT ON (digest) digest, vector, signs, sentences
        FROM chunks
        CROSS JOIN LATERAL (
            SELECT
                CAST(vector AS text) AS vector,
                (
                    SELECT signs FROM token_signs
                    WHERE tenant_id = :tenant AND chunk_id = chunks.chunk_id AND model = :model
                ) AS signs,
                (
                    SELECT vectors FROM sentence_vectors
                    WHERE tenant_id = :tenant AND chunk_id = chunks.chunk_id AND model = :model
                ) AS sentences
            FROM embeddings
            WHERE tenant_id = :tenant AND chunk_id = chunks.chunk_id AND model = :model
            LIMIT 1
        ) AS embedded
        WHERE tenant_id = :tenant AND digest = ANY(:digests) AND (signs IS NOT NULL OR NOT :with_signs)
        ORDER BY digest, chunk_id
    )
    SELECT digest, vector, signs, sentences FROM stored
    UNION ALL
    SELECT digest, vector, signs, sentences
    FROM kept_vectors
    WHERE tenant_id = :tenant AND digest = ANY(:digests) AND model = :model
        AND (signs IS NOT NULL OR NOT :with_signs)
        AND digest NOT IN (SELECT digest FROM stored)
""")


async def find(
    session: AsyncSession, tenant_id: str, digests: Sequence[str], model: str, *, with_signs: bool
) -> Mapping[str, Embedded]:
    """Return the known vectors by digest. ``with_signs``: only those with the signs of their tokens."""
    if not digests:
        return {}
    rows = await session.execute(
        _FIND, {"tenant": tenant_id, "digests": list(digests), "model": model, "with_signs": with_signs}
    )
    return {row.digest: Embedded(_parsed(row.vector), row.signs, row.sentences) for row in rows}


def _parsed(vector: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array(vector.strip("[]").split(","), dtype=np.float32)


async def forget(session: AsyncSession, tenant_id: str) -> None:
    """Delete all kept vectors of the tenant. Nothing tells which of them came from one person's texts."""
    await session.execute(text("DELETE FROM kept_vectors WHERE tenant_id = :tenant"), {"tenant": tenant_id})
