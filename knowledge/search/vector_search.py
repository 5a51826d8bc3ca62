"""Dense search: finds the chunks of a scope whose vectors are nearest to a question's vector.

Tenant, audience and filter are part of the search itself. The planner prefers the HNSW index even if a filter leaves
few rows, and the index then misses most of them. So scopes with few vectors are scanned exactly.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.scope_filter import passing_chunks
from knowledge.search.fusion import NO_SPREAD, Spread
from knowledge.store.chunk_vectors import Vector, halfvec
from knowledge.types import Scope

EXACT_ROWS = 20_000
"""Scopes with up to this many vectors are scanned exactly; larger ones use the HNSW index."""
INDEXED_DIMENSIONS = (64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 3072)
"""The dimensions for which the migrations create an HNSW index."""
EF_SEARCH = 200
SAMPLE_SIZE = 256
"""Number of sampled chunks from which the spread of cosines is estimated."""

# The settings last until the end of the transaction. Relaxed order is enough: the result is sorted afterwards.
_CONFIGURE_HNSW = text("""
    SELECT
        set_config('hnsw.iterative_scan', 'relaxed_order', true),
        set_config('hnsw.ef_search', :ef, true),
        set_config('hnsw.max_scan_tuples', '100000', true)
""")


async def nearest_chunks(
    session: AsyncSession, vector: Vector, scope: Scope, k: int, *, model: str
) -> list[tuple[int, float]]:
    """Return the k chunks of the scope nearest to the unit vector as (number, cosine), best first."""
    if not scope.audiences:
        return []
    values = _values(vector, scope, k, model)
    large = await _is_large(session, scope, values)
    if large and len(vector) in INDEXED_DIMENSIONS:
        await session.execute(_CONFIGURE_HNSW, {"ef": str(max(EF_SEARCH, k))})
        return await _run_search(session, _index_search_sql(len(vector), scope), values)
    return await _run_search(session, _exact_search_sql(scope), values)


async def scan_exactly(
    session: AsyncSession, vector: Vector, scope: Scope, k: int, *, model: str
) -> list[tuple[int, float]]:
    """Like ``nearest_chunks``, but compares every vector of the scope: exact, but slow for many vectors."""
    return await _run_search(session, _exact_search_sql(scope), _values(vector, scope, k, model))


# Samples the chunks with the smallest digests of their text: a random sample that does not depend on the order in which
# documents were added. <#> is the negative inner product.
_COSINE_SPREAD = text("""
    SELECT -avg(vector <#> CAST(:vector AS halfvec)), stddev_pop(vector <#> CAST(:vector AS halfvec)), count(*)
    FROM embeddings
    WHERE tenant_id = :tenant
        AND model = :model
        AND chunk_id = ANY(ARRAY(
            SELECT chunk_id FROM chunks WHERE tenant_id = :tenant ORDER BY digest, chunk_id LIMIT :sampled
        ))
""")


async def cosine_spread(session: AsyncSession, vector: Vector, scope: Scope, *, model: str) -> Spread:
    """Estimate mean and standard deviation of the unit vector's cosines to the tenant's chunks.

    The sample covers all chunks, whatever their audience, as the statistics of BM25 do.
    """
    found = await session.execute(
        _COSINE_SPREAD,
        {"vector": halfvec(vector), "tenant": scope.tenant_id, "model": model, "sampled": SAMPLE_SIZE},
    )
    mean, deviation, sampled = found.one()
    return Spread(float(mean), float(deviation), int(sampled)) if deviation else NO_SPREAD


async def _run_search(session: AsyncSession, statement: str, values: dict[str, object]) -> list[tuple[int, float]]:
    found = await session.execute(text(statement), values)
    return sorted(((number, float(score)) for number, score in found), key=lambda pair: (-pair[1], pair[0]))


def _values(vector: Vector, scope: Scope, k: int, model: str) -> dict[str, object]:
    return {
        "tenant": scope.tenant_id,
        "model": model,
        "audiences": list(scope.audiences),
        "vector": halfvec(vector),
        "k": k,
        **passing_chunks(scope)[1],
    }


async def _is_large(session: AsyncSession, scope: Scope, values: dict[str, object]) -> bool:
    """Return whether the scope has more than EXACT_ROWS vectors; counting stops there."""
    found = await session.scalar(text(_count_sql(scope)), {**values, "limit": EXACT_ROWS + 1})
    return int(found or 0) > EXACT_ROWS


def _count_sql(scope: Scope) -> str:
    return f"""
        SELECT count(*) FROM (
            SELECT FROM embeddings
            WHERE tenant_id = :tenant AND model = :model AND audience = ANY(:audiences) {passing_chunks(scope)[0]}
            LIMIT :limit
        ) AS counted
    """  # noqa: S608 - conditions of this layer, values bound


def _exact_search_sql(scope: Scope) -> str:
    """Return the search that compares every vector; MATERIALIZED keeps the planner from using the HNSW index."""
    return f"""
        WITH scoped AS MATERIALIZED (
            SELECT chunk_id, vector
            FROM embeddings
            WHERE tenant_id = :tenant AND model = :model AND audience = ANY(:audiences) {passing_chunks(scope)[0]}
        )
        SELECT chunk_id, -(vector <#> CAST(:vector AS halfvec))
        FROM scoped
        ORDER BY vector <#> CAST(:vector AS halfvec), chunk_id
        LIMIT :k
    """  # noqa: S608 - conditions of this layer, values bound


def _index_search_sql(dimensions: int, scope: Scope) -> str:
    """Return the search that uses the HNSW index.

    Postgres uses the partial index only if the expression and the condition are exactly those of the index.
    """
    cast = f"CAST(:vector AS halfvec({dimensions}))"
    return f"""
        SELECT chunk_id, -(CAST(vector AS halfvec({dimensions})) <#> {cast})
        FROM embeddings
        WHERE tenant_id = :tenant AND model = :model AND audience = ANY(:audiences) AND dimensions = {dimensions}
            {passing_chunks(scope)[0]}
        ORDER BY CAST(vector AS halfvec({dimensions})) <#> {cast}
        LIMIT :k
    """  # noqa: S608 - a number and conditions of this layer, values bound
