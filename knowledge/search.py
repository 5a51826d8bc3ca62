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

from knowledge.binary_driver import driver
from knowledge.chunk_vectors import Vector, halfvec
from knowledge.embedders.token_vectors import Signs, sentence_cosines
from knowledge.fusion import NO_SPREAD, Spread
from knowledge.scope_filter import passing_chunks
from knowledge.types import Scope

EXACT_ROWS = 20_000
"""Scopes up to this many vectors are scanned, larger ones go through HNSW."""
INDEXED_DIMENSIONS = (64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 3072)
"""Dimensions that the migrations make an HNSW index for."""
EF_SEARCH = 200
SAMPLED = 256
"""Chunks that the spread of cosines is estimated from."""


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
    window: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Meaning:
    """How near a chunk is to a question: its own cosine, and those of its sentences where they are stored."""

    document_id: str
    cosine: float
    sentences: tuple[float, ...] = ()

    @property
    def score(self) -> float:
        """Half the whole, half its best sentence: a passage may answer in one line and speak of much else."""
        return (self.cosine + max(self.sentences)) / 2 if self.sentences else self.cosine


async def dense(session: AsyncSession, vector: Vector, scope: Scope, k: int, *, model: str) -> list[tuple[int, float]]:
    """The k chunks of the scope nearest to the unit vector: number and cosine, best first."""
    if not scope.audiences:
        return []
    values = _values(vector, scope, k, model)
    large = await _is_large(session, scope, values)
    if large and len(vector) in INDEXED_DIMENSIONS:
        await session.execute(
            text(
                "SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true), "
                "set_config('hnsw.ef_search', :ef, true), set_config('hnsw.max_scan_tuples', '100000', true)"
            ),
            {"ef": str(max(EF_SEARCH, k))},
        )
        return await _nearest(session, _indexed(len(vector), scope), values)
    return await _nearest(session, _scanned(scope), values)


async def scan(session: AsyncSession, vector: Vector, scope: Scope, k: int, *, model: str) -> list[tuple[int, float]]:
    """The same by looking at every vector of the scope: exact, and slow where there are many."""
    return await _nearest(session, _scanned(scope), _values(vector, scope, k, model))


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
        **passing_chunks(scope)[1],
    }


async def _is_large(session: AsyncSession, scope: Scope, values: dict[str, object]) -> bool:
    found = await session.scalar(
        text(
            "SELECT count(*) FROM (SELECT FROM embeddings WHERE tenant_id = :tenant AND model = :model "  # noqa: S608
            f"AND audience = ANY(:audiences) {passing_chunks(scope)[0]} LIMIT :limit) AS counted"
        ),
        {**values, "limit": EXACT_ROWS + 1},
    )
    return int(found or 0) > EXACT_ROWS


def _scanned(scope: Scope) -> str:
    return f"""
        WITH scoped AS MATERIALIZED (
            SELECT chunk_id, vector FROM embeddings
            WHERE tenant_id = :tenant AND model = :model AND audience = ANY(:audiences) {passing_chunks(scope)[0]}
        )
        SELECT chunk_id, -(vector <#> CAST(:vector AS halfvec)) FROM scoped
        ORDER BY vector <#> CAST(:vector AS halfvec), chunk_id LIMIT :k
    """  # noqa: S608 - conditions of this layer, values bound


def _indexed(dimensions: int, scope: Scope) -> str:
    """The expression and the condition must be those of the partial index to use it."""
    cast = f"CAST(:vector AS halfvec({dimensions}))"
    return f"""
        SELECT chunk_id, -(CAST(vector AS halfvec({dimensions})) <#> {cast}) FROM embeddings
        WHERE tenant_id = :tenant AND model = :model AND audience = ANY(:audiences) AND dimensions = {dimensions}
        {passing_chunks(scope)[0]}
        ORDER BY CAST(vector AS halfvec({dimensions})) <#> {cast} LIMIT :k
    """  # noqa: S608 - a number of this module


async def meanings(
    session: AsyncSession, vector: Vector, scope: Scope, numbers: Sequence[int], *, model: str
) -> dict[int, Meaning]:
    """How near each of these chunks of the scope is to the unit vector; one without a vector of the model is left out.

    One query brings the cosines of the chunks and the vectors of their sentences.
    """
    if not numbers:
        return {}
    cursor = (await driver(session)).cursor(binary=True)
    await cursor.execute(
        "SELECT embeddings.chunk_id, CAST(-(vector <#> CAST(%s AS halfvec)) AS float8), document_id, vectors "
        "FROM embeddings JOIN chunks USING (tenant_id, chunk_id) "
        "LEFT JOIN sentence_vectors USING (tenant_id, chunk_id, model) WHERE embeddings.tenant_id = %s "
        "AND embeddings.model = %s AND embeddings.audience = ANY(%s) AND embeddings.chunk_id = ANY(%s)",
        (halfvec(vector), scope.tenant_id, model, list(scope.audiences), list(numbers)),
    )
    found = await cursor.fetchall()
    packed = {row[0]: np.frombuffer(row[3], np.int8).reshape(-1, len(vector)) for row in found if row[3]}
    near = dict(zip(packed, sentence_cosines(vector, list(packed.values())), strict=True))
    return {number: Meaning(str(document), cosine, near.get(number, ())) for number, cosine, document, _ in found}


async def spread(session: AsyncSession, vector: Vector, scope: Scope, *, model: str) -> Spread:
    """How the cosines of the unit vector to the tenant's chunks lie.

    Taken from some spread over all the chunks, whatever the audience, as the statistics of BM25 are.
    """
    found = await session.execute(
        text(
            "SELECT -avg(vector <#> CAST(:vector AS halfvec)), stddev_pop(vector <#> CAST(:vector AS halfvec)) "
            "FROM embeddings WHERE tenant_id = :tenant AND model = :model AND chunk_id = ANY(ARRAY("
            "SELECT next_chunk * place / :sampled FROM knowledge_state "
            "CROSS JOIN generate_series(0, :sampled - 1) AS place WHERE tenant_id = :tenant))"
        ),
        {"vector": halfvec(vector), "tenant": scope.tenant_id, "model": model, "sampled": SAMPLED},
    )
    mean, deviation = found.one()
    return Spread(float(mean), float(deviation)) if deviation else NO_SPREAD


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
            "heading, uri, title, window_start, window_end FROM chunks "
            "JOIN documents ON documents.tenant_id = chunks.tenant_id AND documents.id = chunks.document_id "
            "WHERE chunks.tenant_id = :tenant AND chunks.audience = ANY(:audiences) AND chunk_id = ANY(:numbers)"
        ),
        {"tenant": scope.tenant_id, "audiences": list(scope.audiences), "numbers": list(numbers)},
    )
    return {
        number: Row(
            number, document, position, header, body, start, end, page, tuple(heading), uri, title, _window(*read)
        )
        for number, document, position, header, body, start, end, page, heading, uri, title, *read in found
    }


def _window(start: int | None, end: int | None) -> tuple[int, int] | None:
    return None if start is None or end is None else (start, end)


async def windows(session: AsyncSession, scope: Scope, numbers: Sequence[int]) -> dict[int, str]:
    """What is read of each of these chunks of the scope, of those that have a window."""
    found = await session.execute(
        text(
            "SELECT chunk_id, substr(documents.text, window_start + 1, window_end - window_start) FROM chunks "
            "JOIN documents ON documents.tenant_id = chunks.tenant_id AND documents.id = chunks.document_id "
            "WHERE chunks.tenant_id = :tenant AND chunks.audience = ANY(:audiences) AND chunk_id = ANY(:numbers) "
            "AND window_start IS NOT NULL"
        ),
        {"tenant": scope.tenant_id, "audiences": list(scope.audiences), "numbers": list(numbers)},
    )
    return {number: str(body) for number, body in found}


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


async def places(session: AsyncSession, scope: Scope) -> dict[int, tuple[str, int, int]]:
    """The document that each chunk of the scope belongs to, and the characters of it that the chunk is."""
    found = await session.execute(
        text(
            "SELECT chunk_id, uri, start_char, end_char FROM chunks JOIN documents "
            "ON documents.tenant_id = chunks.tenant_id AND documents.id = chunks.document_id "
            "WHERE chunks.tenant_id = :tenant AND chunks.audience = ANY(:audiences)"
        ),
        {"tenant": scope.tenant_id, "audiences": list(scope.audiences)},
    )
    return {number: (str(uri), start, end) for number, uri, start, end in found}


async def version(session: AsyncSession, tenant_id: str) -> int:
    """The tenant's knowledge version; 0 where nothing was ever taken in."""
    return int(
        await session.scalar(
            text("SELECT version FROM knowledge_state WHERE tenant_id = :tenant"), {"tenant": tenant_id}
        )
        or 0
    )
