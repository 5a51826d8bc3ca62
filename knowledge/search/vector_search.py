"""Dense search: finds the chunks of a scope whose vectors are nearest to a question's vector.

Tenant, audience and filter are part of the search itself. The planner prefers the HNSW index even if a filter leaves
few rows, and the index then misses most of them. So scopes with few vectors are scanned exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.psycopg_connection import ONE_SNAPSHOT, Command, psycopg_connection, send_together, with_placeholders
from knowledge.scope_filter import passing_chunks
from knowledge.search.fusion import NO_SPREAD, Spread
from knowledge.store.chunk_vectors import Vector, halfvec
from knowledge.store.serving_model import Serving
from knowledge.types.scope import Scope

EXACT_ROWS = 20_000
"""Scopes with up to this many vectors are scanned exactly; larger ones use the HNSW index."""
INDEXED_DIMENSIONS = (64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 3072)
"""The dimensions for which the migrations create an HNSW index."""
EF_SEARCH, EF_SEARCH_LARGE = 200, 800
"""Entries that a search of the HNSW index looks at: for tenants with up to LARGE_TENANT chunks, and with more."""
LARGE_TENANT = 250_000
SAMPLE_SIZE = 256
"""Number of sampled chunks from which the spread of cosines is estimated."""

# The settings last until the end of the transaction. Relaxed order is enough: the result is sorted afterwards.
_CONFIGURE_HNSW = """
    SELECT
        set_config('hnsw.iterative_scan', 'relaxed_order', true),
        set_config('hnsw.ef_search', %(ef)s, true),
        set_config('hnsw.max_scan_tuples', '100000', true)
"""

Cosines = list[tuple[int, float]]
"""Numbers of chunks with their cosines, best first."""


class DenseSearch(NamedTuple):
    """The nearest chunks, the spread of cosines, the models that serve the tenant, and its knowledge version."""

    nearest: Cosines
    spread: Spread
    serving: Serving
    version: int


async def search_snapshot(session: AsyncSession, vector: Vector, scope: Scope, k: int, *, model: str) -> DenseSearch:
    """Search in two round trips, as the first statements of the session's transaction.

    All of it, and whatever the transaction reads later, is of one state of the database.
    """
    connection, values = await psycopg_connection(session), _values(vector, scope, k, model)
    _, state, counted, spread = await send_together(
        connection, ONE_SNAPSHOT, (_STATE, values), (_count_sql(scope), values), (_COSINE_SPREAD, values), binary=True
    )
    version, *models = state[0] if state else (0,)
    nearest = await _nearest(connection, vector, scope, k, values, counted)
    return DenseSearch(nearest, _spread(spread), Serving(*models), version)


async def nearest_chunks(session: AsyncSession, vector: Vector, scope: Scope, k: int, *, model: str) -> Cosines:
    """Return the k chunks of the scope nearest to the unit vector as (number, cosine), best first."""
    connection, values = await psycopg_connection(session), _values(vector, scope, k, model)
    (counted,) = await send_together(connection, (_count_sql(scope), values), binary=True)
    return await _nearest(connection, vector, scope, k, values, counted)


async def _nearest(
    connection: psycopg.AsyncConnection[Any],
    vector: Vector,
    scope: Scope,
    k: int,
    values: Mapping[str, object],
    counted: Sequence[Sequence[int]],
) -> Cosines:
    """Use the HNSW index if the scope has more than EXACT_ROWS vectors, else compare every vector."""
    searching: tuple[Command, ...] = ((_exact_search_sql(scope), values),)
    in_scope, in_tenant = counted[0]
    if in_scope > EXACT_ROWS and len(vector) in INDEXED_DIMENSIONS:
        ef = max(EF_SEARCH_LARGE if (in_tenant or 0) > LARGE_TENANT else EF_SEARCH, k)
        searching = ((_CONFIGURE_HNSW, {"ef": str(ef)}), (_index_search_sql(len(vector), scope), values))
    return _sorted((await send_together(connection, *searching, binary=True))[-1])


async def scan_exactly(session: AsyncSession, vector: Vector, scope: Scope, k: int, *, model: str) -> Cosines:
    """Like ``nearest_chunks``, but compares every vector of the scope: exact, but slow for many vectors."""
    searching = (_exact_search_sql(scope), _values(vector, scope, k, model))
    return _sorted((await send_together(await psycopg_connection(session), searching, binary=True))[0])


def _sorted(rows: Sequence[Sequence[Any]]) -> Cosines:
    return sorted(((number, score) for number, score in rows), key=lambda pair: (-pair[1], pair[0]))


# Samples the chunks with the smallest digests of their text: a random sample that does not depend on the order in which
# documents were added. <#> is the negative inner product.
_COSINE_SPREAD = """
    SELECT
        -avg(vector <#> CAST(%(vector)s AS halfvec)), stddev_pop(vector <#> CAST(%(vector)s AS halfvec)), count(*)
    FROM embeddings
    WHERE tenant_id = %(tenant)s
        AND model = %(model)s
        AND chunk_id = ANY(ARRAY(
            SELECT chunk_id FROM chunks WHERE tenant_id = %(tenant)s ORDER BY digest, chunk_id LIMIT %(sampled)s
        ))
"""


async def cosine_spread(session: AsyncSession, vector: Vector, scope: Scope, *, model: str) -> Spread:
    """Estimate mean and standard deviation of the unit vector's cosines to the tenant's chunks.

    The sample covers all chunks, whatever their audience, as the statistics of BM25 do.
    """
    values = _values(vector, scope, 0, model)
    return _spread((await send_together(await psycopg_connection(session), (_COSINE_SPREAD, values)))[0])


def _spread(rows: Sequence[Sequence[float | None]]) -> Spread:
    mean, deviation, sampled = rows[0]
    return Spread(float(mean or 0.0), float(deviation), int(sampled or 0)) if deviation else NO_SPREAD


def _values(vector: Vector, scope: Scope, k: int, model: str) -> dict[str, object]:
    return {
        "tenant": scope.tenant_id,
        "model": model,
        "audiences": list(scope.audiences),
        "vector": halfvec(vector),
        "k": k,
        "counted": EXACT_ROWS + 1,
        "sampled": SAMPLE_SIZE,
        **passing_chunks(scope)[1],
    }


_STATE = "SELECT version, model, next_model FROM knowledge_state WHERE tenant_id = %(tenant)s"


def _scoped(scope: Scope) -> str:
    """Return the condition that a row of ``embeddings`` is in the scope."""
    condition = passing_chunks(scope)[0]
    return f"tenant_id = :tenant AND model = :model AND audience = ANY(:audiences) {condition}"


def _count_sql(scope: Scope) -> str:
    """Return the statement that counts the vectors of the scope, up to EXACT_ROWS + 1, and the tenant's chunks."""
    return with_placeholders(f"""
        SELECT count(*), (SELECT chunks FROM knowledge_state WHERE tenant_id = :tenant)
        FROM (SELECT FROM embeddings WHERE {_scoped(scope)} LIMIT :counted) AS counted
    """)  # noqa: S608 - conditions of this layer, values bound


def _exact_search_sql(scope: Scope) -> str:
    """Return the search that compares every vector; MATERIALIZED keeps the planner from using the HNSW index.

    What is materialized has no vectors: thousands of them would be written to a file.
    """
    return with_placeholders(f"""
        WITH scoped AS MATERIALIZED (
            SELECT chunk_id, vector <#> CAST(:vector AS halfvec) AS distance FROM embeddings WHERE {_scoped(scope)}
        )
        SELECT chunk_id, -distance FROM scoped ORDER BY distance, chunk_id LIMIT :k
    """)  # noqa: S608 - conditions of this layer, values bound


def _index_search_sql(dimensions: int, scope: Scope) -> str:
    """Return the search that uses the HNSW index.

    Postgres uses the partial index only if the expression and the condition are exactly those of the index.
    """
    cast = f"CAST(:vector AS halfvec({dimensions}))"
    return with_placeholders(f"""
        SELECT chunk_id, -(CAST(vector AS halfvec({dimensions})) <#> {cast})
        FROM embeddings
        WHERE {_scoped(scope)} AND dimensions = {dimensions}
        ORDER BY CAST(vector AS halfvec({dimensions})) <#> {cast}
        LIMIT :k
    """)  # noqa: S608 - a number and conditions of this layer, values bound
