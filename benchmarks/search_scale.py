"""Measures search on a large tenant: latency of both legs and of the whole search, filtered recall, and memory.

    python -m benchmarks.search_scale --database-url URL --chunks 100000

Fills a scratch schema that is dropped afterwards. Word frequencies of the generated texts are those of an encyclopedia;
the vectors are clustered around centers, as for texts on a few subjects. One chunk in a hundred belongs to a single
channel: the filter. A small tenant of 10,000 chunks shares the tables with the large one. Another process fills the
schema, so that the memory figure is that of searching.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pgvector import HalfVector
from pgvector.psycopg import register_vector_async
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.shared.harness import resident_mb
from bot.evals.metrics import percentile
from bot.evals.scratch_schema import scratch_schema
from bot.store.database.session import Database
from knowledge import bm25
from knowledge.bm25 import IndexedChunk
from knowledge.embedders import SentenceTransformerEmbedder
from knowledge.embedders.token_vectors import TokenVectors
from knowledge.packaged_models import OFFLINE_MODEL
from knowledge.ports import EncodeKind
from knowledge.psycopg_connection import psycopg_connection
from knowledge.search.rerankers import LateInteraction
from knowledge.search.retriever import Retriever
from knowledge.search.vector_search import nearest_chunks, scan_exactly
from knowledge.store.chunk_vectors import Vector
from knowledge.store.knowledge_version import lock_and_increment
from knowledge.types import TENANT_AUDIENCE, Scope

LARGE, SMALL = "large", "small"
CHANNEL = "narrow"
SHARE = 0.01
SMALL_CHUNKS = 10_000
MODEL = OFFLINE_MODEL
DIMENSIONS = 384
CENTRES = 500
SPREAD = 0.06
BATCH = 2000
TERMS = 70
"""Mean length of a text in words, without stop words."""
QUESTION_TERMS = 5
EXACT_SCANS = 40
"""Questions that are also answered by an exact scan, which takes seconds for a million vectors."""
TOKENS, SENTENCES = 96, 6
"""Tokens of a chunk that late interaction reads, and sentences that it is compared by."""
FREQUENCIES = (
    (1, 5.1e-3), (10, 2.9e-3), (50, 1.4e-3), (200, 7.4e-4), (1000, 2.2e-4), (5000, 2.55e-5), (20_000, 1.7e-6),
    (500_000, 2e-9),
)  # fmt: skip
"""Rank of a word and its share of all words, counted over 8,371 passages of an encyclopedia; the last one is a
guess."""

LETTERS = str.maketrans("0123456789", "bcdfghjklm")

Floats = npt.NDArray[np.float64]


class Language:
    """Draws words by their frequency."""

    def __init__(self) -> None:
        ranks = np.arange(1, FREQUENCIES[-1][0] + 1)
        known, shares = zip(*FREQUENCIES, strict=True)
        frequency = np.exp(np.interp(np.log(ranks), np.log(known), np.log(shares)))
        self._up_to = np.cumsum(frequency) / frequency.sum()

    def words(self, random: np.random.Generator, number: int) -> list[str]:
        drawn = np.searchsorted(self._up_to, random.random(number)).tolist()
        return [str(rank).translate(LETTERS) for rank in drawn]

    def texts(self, random: np.random.Generator, number: int) -> list[list[str]]:
        lengths = random.integers(TERMS // 2, TERMS * 3 // 2, size=number).tolist()
        words = self.words(random, sum(lengths))
        ends = np.cumsum(lengths).tolist()
        return [words[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def cluster_centers() -> Floats:
    drawn = np.random.default_rng(1).normal(size=(CENTRES, DIMENSIONS))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def clustered_vectors(centers: Floats, random: np.random.Generator, number: int) -> npt.NDArray[np.float32]:
    """Return unit vectors, shape ``(number, DIMENSIONS)``."""
    drawn = centers[random.integers(len(centers), size=number)] + random.normal(size=(number, DIMENSIONS)) * SPREAD
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), dtype=np.float32)


# --- filling


async def fill(url: str, chunks: int, *, with_tokens: bool) -> None:
    database = Database(url)
    try:
        async with database.engine.begin() as connection:
            found = await connection.execute(
                text("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'embeddings' AND indexdef ~ 'hnsw'")
            )
            indexes = {str(name): str(definition) for name, definition in found}
            for name in indexes:
                await connection.execute(text(f'DROP INDEX "{name}"'))
        for tenant, number in ((SMALL, SMALL_CHUNKS), (LARGE, chunks)):
            await _tenant(database, tenant, number, with_tokens)
        async with database.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("SET maintenance_work_mem = '2GB'"))
            for definition in indexes.values():
                await connection.execute(text(definition))
            for table in ("embeddings", "chunks", "postings", "posting_masks"):
                await connection.execute(text(f"VACUUM ANALYZE {table}"))
    finally:
        await database.aclose()


async def _tenant(database: Database, tenant: str, chunks: int, with_tokens: bool) -> None:
    async with database.tenant(tenant) as session:
        for statement in (
            "INSERT INTO sources (tenant_id, id, uri, kind, audience, fetched_at) "
            "VALUES (:tenant, gen_random_uuid(), 'benchmark', 'data', 'tenant', now())",
            "INSERT INTO documents (tenant_id, id, source_id, uri, title, text, blocks, metadata, content_hash, "
            "recipe, audience, state, fetched_at) "
            "SELECT tenant_id, gen_random_uuid(), id, 'd', 'd', '', '[]', '{}', '', '', 'tenant', 'ready', now() "
            "FROM sources WHERE tenant_id = :tenant",
        ):
            await session.execute(text(statement), {"tenant": tenant})
    language, centers = Language(), cluster_centers()
    for start in range(0, chunks, BATCH):
        random = np.random.default_rng((start, len(tenant)))
        size = min(BATCH, chunks - start)
        audiences = np.where(random.random(size) < SHARE, CHANNEL, TENANT_AUDIENCE).tolist()
        rows = [IndexedChunk(start + n, audiences[n], words) for n, words in enumerate(language.texts(random, size))]
        async with database.tenant(tenant) as session:
            await lock_and_increment(session, tenant)
            await _batch(session, tenant, rows, clustered_vectors(centers, random, size))
            if with_tokens:
                await _tokens(session, tenant, rows, random)
            await bm25.index(session, tenant, rows)
    async with database.tenant(tenant) as session:
        await session.execute(text("UPDATE knowledge_state SET next_chunk = :chunks"), {"chunks": chunks})


async def _batch(
    session: AsyncSession, tenant: str, rows: Sequence[IndexedChunk], vectors: npt.NDArray[np.float32]
) -> None:
    connection = await psycopg_connection(session)
    await register_vector_async(connection)
    numbers, audiences = [row.chunk_id for row in rows], [row.audience for row in rows]
    await connection.execute(
        "INSERT INTO chunks (tenant_id, chunk_id, document_id, position, audience, header, text, start_char, end_char, "
        "heading, digest, terms) SELECT %s, number, (SELECT id FROM documents), 0, audience, '', '', 0, 0, '{}', '', 0 "
        "FROM unnest(%s::bigint[], %s::text[]) AS made (number, audience)",
        (tenant, numbers, audiences),
    )
    await connection.execute(
        "INSERT INTO embeddings (tenant_id, chunk_id, model, audience, dimensions, vector) "
        "SELECT %s, number, %s, audience, %s, vector "
        "FROM unnest(%s::bigint[], %s::text[], %b::halfvec[]) AS made (number, audience, vector)",
        (tenant, MODEL, DIMENSIONS, numbers, audiences, [HalfVector(vector) for vector in vectors]),
    )


async def _tokens(
    session: AsyncSession, tenant: str, rows: Sequence[IndexedChunk], random: np.random.Generator
) -> None:
    connection, numbers = await psycopg_connection(session), [row.chunk_id for row in rows]
    for table, column, width in (
        ("token_signs", "signs", TOKENS * DIMENSIONS // 8),
        ("sentence_vectors", "vectors", SENTENCES * DIMENSIONS),
    ):
        drawn = random.bytes(len(rows) * width)
        await connection.execute(
            f"INSERT INTO {table} (tenant_id, chunk_id, model, {column}) "
            "SELECT %s, number, %s, packed FROM unnest(%s::bigint[], %b::bytea[]) AS made (number, packed)",
            (tenant, MODEL, numbers, [drawn[n * width : (n + 1) * width] for n in range(len(rows))]),
        )


def _fill(url: str, chunks: int, with_tokens: bool) -> None:
    asyncio.run(fill(url, chunks, with_tokens=with_tokens))


# --- searching


class ClusteredEmbedder(SentenceTransformerEmbedder):
    """Encodes for real, then moves the question's vector among the generated ones."""

    def __init__(self, centers: Floats) -> None:
        super().__init__()
        self._centers = centers
        self._random = np.random.default_rng(7)

    async def encode_tokens(self, texts: Sequence[str], kind: EncodeKind) -> list[TokenVectors]:
        rows = await super().encode_tokens(texts, kind)
        placed = clustered_vectors(self._centers, self._random, len(rows))
        return [TokenVectors(vector, row.tokens, row.signs) for vector, row in zip(placed, rows, strict=True)]


async def legs(database: Database, scope: Scope, questions: int) -> dict[str, float]:
    """Return the milliseconds of each leg and of both in parallel, and the dense leg's recall@10 against an exact
    scan."""
    language, centers, random = Language(), cluster_centers(), np.random.default_rng(99)
    spent: dict[str, list[float]] = {"dense": [], "sparse": [], "both": []}
    recalls = []

    async def timed(name: str, leg: Callable[[AsyncSession], Awaitable[Any]]) -> Any:
        began = time.perf_counter()
        async with database.tenant(scope.tenant_id) as session:
            found = await leg(session)
        spent[name].append((time.perf_counter() - began) * 1000)
        return found

    for number in range(questions):
        vector: Vector = clustered_vectors(centers, random, 1)[0]
        words = language.words(random, QUESTION_TERMS)
        began = time.perf_counter()
        found, _ = await asyncio.gather(
            timed("dense", lambda session, at=vector: nearest_chunks(session, at, scope, 100, model=MODEL)),  # type: ignore[misc]
            timed("sparse", lambda session, asked=words: bm25.candidates(session, asked, scope, 100)),  # type: ignore[misc]
        )
        spent["both"].append((time.perf_counter() - began) * 1000)
        if number >= EXACT_SCANS:
            continue
        async with database.tenant(scope.tenant_id) as session:
            exact = await scan_exactly(session, vector, scope, 10, model=MODEL)
        recalls.append(len({n for n, _ in exact} & {n for n, _ in found[:10]}) / len(exact))
    times = {f"{name}_{p}_ms": round(percentile(spent[name], s), 1) for name in spent for p, s in PERCENTILES}
    return {**times, "dense_recall@10": round(float(np.mean(recalls)), 4)}


PERCENTILES = (("p50", 0.5), ("p95", 0.95))


async def whole_search(database: Database, questions: int) -> dict[str, float]:
    """Return the milliseconds of a whole search of the large tenant: encode the question and rerank 20 chunks."""
    language, random = Language(), np.random.default_rng(5)
    embedder = ClusteredEmbedder(cluster_centers())
    retriever = Retriever(database.tenant, embedder, LateInteraction(embedder), reranked=20)
    spent: dict[str, list[float]] = {}
    for number in range(questions + 3):
        ranking = await retriever.rank(" ".join(language.words(random, QUESTION_TERMS)), Scope(LARGE))
        for stage, milliseconds in ranking.timings_ms.items():
            if number >= 3:
                spent.setdefault(stage, []).append(milliseconds)
    await embedder.aclose()
    return {f"{stage}_{p}_ms": round(percentile(spent[stage], s), 1) for stage in spent for p, s in PERCENTILES}


async def measure(url: str, chunks: int, questions: int, *, with_tokens: bool) -> dict[str, Any]:
    """Return all figures of one run, for a tenant of ``chunks`` chunks."""
    async with scratch_schema(url) as database:
        began = time.perf_counter()
        inside = database.engine.url.render_as_string(hide_password=False)
        filling = multiprocessing.get_context("spawn").Process(target=_fill, args=(inside, chunks, with_tokens))
        filling.start()
        await asyncio.to_thread(filling.join)
        if filling.exitcode:
            raise SystemExit("Filling failed; see above.")
        result: dict[str, Any] = {"chunks": chunks, "fill_seconds": round(time.perf_counter() - began, 1)}
        small, large = Scope(SMALL), Scope(LARGE)
        await legs(database, small, questions)
        before = resident_mb()
        result["all"] = await legs(database, large, questions)
        result["one_percent"] = await legs(database, Scope(LARGE, (CHANNEL,)), questions)
        result["memory_mb"] = {"at 10,000 chunks": round(before), f"at {chunks:,}": round(resident_mb())}
        if with_tokens:
            result["whole"] = await whole_search(database, questions)
        result["load"] = os.getloadavg()[0]
        return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--tokens", action="store_true", help="store tokens too, and time the whole search")
    given = parser.parse_args()
    found = asyncio.run(measure(given.database_url, given.chunks, given.questions, with_tokens=given.tokens))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
