"""Dense candidates and the rows of passages: SQL and nothing else. Tenant and audience filter inside the search.

The planner prefers the HNSW index even where a filter leaves few rows, and then loses most of them; so a scope of few
rows is scanned exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.driver import driver
from knowledge.embedders.tokens import Signs
from knowledge.types import Scope
from knowledge.vectors import Vector, halfvec

EXACT_ROWS = 10_000
"""Scopes up to this many vectors are scanned, larger ones go through HNSW."""
INDEXED_DIMENSIONS = (256, 384, 512, 768, 1024, 1536, 3072)
"""Dimensions that the migrations make an HNSW index for."""
EF_SEARCH = 200


@dataclass(frozen=True, slots=True)
class Row:
    """A chunk with what is shown of its document."""

    chunk_id: int
    document_id: str
    position: int
    header: str
    text: str
    start: int
    end: int
    page: int | None
    heading: tuple[str, ...]
    source: str
    title: str


async def dense(session: AsyncSession, vector: Vector, scope: Scope, k: int, *, model: str) -> list[tuple[int, float]]:
    """The k chunks of the scope nearest to the unit vector: number and cosine, best first."""
    if not scope.audiences:
        return []
    values = _values(vector, scope, k, model)
    large = await _is_large(session, values)
    if large and len(vector) in INDEXED_DIMENSIONS:
        await session.execute(
            text(
                "SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true), "
                "set_config('hnsw.ef_search', :ef, true), set_config('hnsw.max_scan_tuples', '100000', true)"
            ),
            {"ef": str(max(EF_SEARCH, k))},
        )
        return await _nearest(session, _indexed(len(vector)), values)
    return await _nearest(session, _SCANNED, values)


async def scan(session: AsyncSession, vector: Vector, scope: Scope, k: int, *, model: str) -> list[tuple[int, float]]:
    """The same by looking at every vector of the scope: exact, and slow where there are many."""
    return await _nearest(session, _SCANNED, _values(vector, scope, k, model))


async def _nearest(session: AsyncSession, statement: str, values: dict[str, object]) -> list[tuple[int, float]]:
    found = await session.execute(text(statement), values)
    return sorted(((number, float(score)) for number, score in found), key=lambda pair: (-pair[1], pair[0]))


def _values(vector: Vector, scope: Scope, k: int, model: str) -> dict[str, object]:
    return {
        "tenant": scope.tenant_id,
        "model": model,
        "audiences": list(scope.audiences),
        "vector": halfvec(vector),
        "k": k,
    }


async def _is_large(session: AsyncSession, values: dict[str, object]) -> bool:
    found = await session.scalar(
        text(
            "SELECT count(*) FROM (SELECT FROM embeddings WHERE tenant_id = :tenant AND model = :model "
            "AND audience = ANY(:audiences) LIMIT :limit) AS counted"
        ),
        {**values, "limit": EXACT_ROWS + 1},
    )
    return int(found or 0) > EXACT_ROWS


_SCANNED = """
    WITH scoped AS MATERIALIZED (
        SELECT chunk_id, vector FROM embeddings
        WHERE tenant_id = :tenant AND model = :model AND audience = ANY(:audiences)
    )
    SELECT chunk_id, -(vector <#> CAST(:vector AS halfvec)) FROM scoped
    ORDER BY vector <#> CAST(:vector AS halfvec), chunk_id LIMIT :k
"""


def _indexed(dimensions: int) -> str:
    """The expression and the condition must be those of the partial index to use it."""
    cast = f"CAST(:vector AS halfvec({dimensions}))"
    return f"""
        SELECT chunk_id, -(CAST(vector AS halfvec({dimensions})) <#> {cast}) FROM embeddings
        WHERE tenant_id = :tenant AND model = :model AND audience = ANY(:audiences) AND dimensions = {dimensions}
        ORDER BY CAST(vector AS halfvec({dimensions})) <#> {cast} LIMIT :k
    """  # noqa: S608 - a number of this module


async def cosines(
    session: AsyncSession, vector: Vector, scope: Scope, numbers: Sequence[int], *, model: str
) -> dict[int, float]:
    """The cosine of each of these chunks, for those that the dense search did not bring."""
    if not numbers:
        return {}
    rows = await session.execute(
        text(
            "SELECT chunk_id, -(vector <#> CAST(:vector AS halfvec)) FROM embeddings WHERE tenant_id = :tenant "
            "AND model = :model AND audience = ANY(:audiences) AND chunk_id = ANY(:numbers)"
        ),
        {
            "tenant": scope.tenant_id,
            "model": model,
            "audiences": list(scope.audiences),
            "vector": halfvec(vector),
            "numbers": list(numbers),
        },
    )
    return {number: float(score) for number, score in rows}


async def signs(
    session: AsyncSession, scope: Scope, numbers: Sequence[int], *, model: str, dimensions: int
) -> dict[int, Signs]:
    """The stored token signs of chunks that were found before in the same scope."""
    cursor = (await driver(session)).cursor(binary=True)
    await cursor.execute(
        "SELECT chunk_id, signs FROM token_signs WHERE tenant_id = %s AND model = %s AND chunk_id = ANY(%s)",
        (scope.tenant_id, model, list(numbers)),
    )
    width = (dimensions + 7) // 8
    return {
        number: np.frombuffer(packed, dtype=np.uint8).reshape(-1, width) for number, packed in await cursor.fetchall()
    }


async def rows(session: AsyncSession, scope: Scope, numbers: Sequence[int]) -> dict[int, Row]:
    """The chunks by number, those of the scope alone."""
    if not numbers:
        return {}
    found = await session.execute(
        text(
            "SELECT chunk_id, CAST(document_id AS text), position, header, chunks.text, start_char, end_char, page, "
            "heading, uri, title FROM chunks JOIN documents ON documents.tenant_id = chunks.tenant_id "
            "AND documents.id = chunks.document_id WHERE chunks.tenant_id = :tenant "
            "AND chunks.audience = ANY(:audiences) AND chunk_id = ANY(:numbers)"
        ),
        {"tenant": scope.tenant_id, "audiences": list(scope.audiences), "numbers": list(numbers)},
    )
    return {
        number: Row(number, document, position, header, body, start, end, page, tuple(heading), uri, title)
        for number, document, position, header, body, start, end, page, heading, uri, title in found
    }


async def between(session: AsyncSession, scope: Scope, document_id: str, start: int, end: int) -> str:
    """The characters ``start:end`` of a document of the scope; empty where it is not seen."""
    return str(
        await session.scalar(
            text(
                "SELECT substr(text, :first, :length) FROM documents WHERE tenant_id = :tenant "
                "AND id = CAST(:document AS uuid) AND audience = ANY(:audiences)"
            ),
            {
                "tenant": scope.tenant_id,
                "audiences": list(scope.audiences),
                "document": document_id,
                "first": start + 1,
                "length": end - start,
            },
        )
        or ""
    )


async def document_names(session: AsyncSession, scope: Scope) -> dict[int, str]:
    """The document that each chunk of the scope belongs to."""
    found = await session.execute(
        text(
            "SELECT chunk_id, uri FROM chunks JOIN documents ON documents.tenant_id = chunks.tenant_id "
            "AND documents.id = chunks.document_id WHERE chunks.tenant_id = :tenant "
            "AND chunks.audience = ANY(:audiences)"
        ),
        {"tenant": scope.tenant_id, "audiences": list(scope.audiences)},
    )
    return {number: str(uri) for number, uri in found}


async def version(session: AsyncSession, tenant_id: str) -> int:
    """The tenant's knowledge version; 0 where nothing was ever taken in."""
    return int(
        await session.scalar(
            text("SELECT version FROM knowledge_state WHERE tenant_id = :tenant"), {"tenant": tenant_id}
        )
        or 0
    )
