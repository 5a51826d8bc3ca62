"""Measures search on a large tenant: latency of both legs and of the whole search, filtered recall, and memory.

    python -m benchmarks.search_scale --database-url URL --chunks 100000
    python -m benchmarks.search_scale --database-url URL --chunks 1000000 --fill    # then, any number of times:
    python -m benchmarks.search_scale --database-url URL --chunks 1000000 --filled

Fills a scratch schema that is dropped afterwards, or with ``--fill`` an empty database that is kept. Texts and vectors
are those of ``benchmarks.shared.synthetic_chunks``. One chunk in a hundred belongs to a single channel: the filter. A
small tenant of 10,000 chunks shares the tables with the large one. Another process fills the schema, so that the memory
figure is that of searching. The same questions are asked of bare pgvector and, if it is installed, of ``bm25s`` in
memory (``pip install bm25s``, which Parley does not need).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from contextlib import aclosing, closing
from typing import Any

import numpy as np
import numpy.typing as npt
from pgvector import HalfVector
from pgvector.psycopg import register_vector_async
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.shared.harness import resident_mb
from benchmarks.shared.large_tenant_searches import BarePgvector, InMemory, build_in_memory, legs, whole_search
from benchmarks.shared.synthetic_chunks import DIMENSIONS, Language, cluster_centers, clustered_vectors
from bot.evals.scratch_schema import scratch_schema
from bot.store.database import connections, migrate
from bot.store.database.session import Database
from knowledge import bm25
from knowledge.bm25 import IndexedChunk
from knowledge.packaged_models import OFFLINE_MODEL
from knowledge.psycopg_connection import psycopg_connection
from knowledge.store.knowledge_version import lock_and_increment
from knowledge.types.scope import TENANT_AUDIENCE, Scope

Random = np.random.Generator

LARGE, SMALL = "large", "small"
CHANNEL = "narrow"
SHARE = 0.01
SMALL_CHUNKS = 10_000
MODEL = OFFLINE_MODEL
BATCH = 2000
TOKENS, SENTENCES = 96, 6
"""Tokens of a chunk that late interaction reads, and sentences that it is compared by."""


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
    finally:
        await database.aclose()
    await asyncio.to_thread(_build_indexes, url, list(indexes.values()))


def _build_indexes(url: str, definitions: Sequence[str]) -> None:
    """Build the indexes on a connection that bounds no round trip: one takes minutes."""
    with connections.connect_blocking(url) as connection:
        connection.autocommit = True
        connection.execute("SET maintenance_work_mem = '2GB'")
        for definition in definitions:
            connection.execute(definition.encode())
        for table in ("embeddings", "chunks", "postings", "posting_masks", "token_signs", "sentence_vectors"):
            connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(table)))


def made_rows(tenant: str, start: int, chunks: int, language: Language) -> tuple[list[IndexedChunk], Random]:
    """Return the made-up chunks from one number on, and the generator that makes their vectors next."""
    random = np.random.default_rng((start, len(tenant)))
    size = min(BATCH, chunks - start)
    audiences = np.where(random.random(size) < SHARE, CHANNEL, TENANT_AUDIENCE).tolist()
    return [
        IndexedChunk(start + n, audiences[n], words) for n, words in enumerate(language.texts(random, size))
    ], random


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
        rows, random = made_rows(tenant, start, chunks, language)
        async with database.tenant(tenant) as session:
            await lock_and_increment(session, tenant)
            await _batch(session, tenant, rows, clustered_vectors(centers, random, len(rows)))
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
        "heading, digest, terms) "
        "SELECT %s, number, (SELECT id FROM documents), 0, audience, '', '', 0, 0, '{}', md5(number::text), 0 "
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


def in_memory(chunks: int) -> InMemory | None:
    """Index the texts of the large tenant in memory."""
    language = Language()
    return build_in_memory(
        row for start in range(0, chunks, BATCH) for row in made_rows(LARGE, start, chunks, language)[0]
    )


async def measure(database: Database, chunks: int, questions: int, *, with_tokens: bool) -> dict[str, Any]:
    """Return all figures of one run, for a tenant of ``chunks`` chunks."""
    large, narrow = Scope(LARGE), Scope(LARGE, (CHANNEL,))
    result: dict[str, Any] = {"chunks": chunks}
    with closing(BarePgvector(database.engine.url.render_as_string(hide_password=False), LARGE, chunks)) as bare:
        await legs(database, Scope(SMALL), questions, bare, None)
        before = resident_mb()
        await legs(database, large, questions, bare, None)
        result["memory_mb"] = {"at 10,000 chunks": round(before), f"at {chunks:,}": round(resident_mb())}
        if with_tokens:
            result["whole"] = await whole_search(database, large, questions)
        searcher = in_memory(chunks)
        result["all"] = await legs(database, large, questions, bare, searcher)
        result["one_percent"] = await legs(database, narrow, questions, bare, searcher)
    result["load"] = os.getloadavg()[0]
    return result


async def run(url: str, chunks: int, questions: int, *, with_tokens: bool, filled: bool) -> dict[str, Any]:
    """Fill a scratch schema unless the database is filled, and return all figures."""
    if filled:
        async with aclosing(Database(url)) as database:
            return await measure(database, chunks, questions, with_tokens=with_tokens)
    async with scratch_schema(url) as database:
        began = time.perf_counter()
        inside = database.engine.url.render_as_string(hide_password=False)
        filling = multiprocessing.get_context("spawn").Process(target=_fill, args=(inside, chunks, with_tokens))
        filling.start()
        await asyncio.to_thread(filling.join)
        if filling.exitcode:
            raise SystemExit("Filling failed; see above.")
        seconds = round(time.perf_counter() - began, 1)
        return {**await measure(database, chunks, questions, with_tokens=with_tokens), "fill_seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--tokens", action="store_true", help="store tokens too, and time the whole search")
    parser.add_argument("--fill", action="store_true", help="migrate and fill an empty database, and measure nothing")
    parser.add_argument("--filled", action="store_true", help="measure a database that --fill has filled")
    given = parser.parse_args()
    if given.fill:
        migrate.upgrade(given.database_url)
        _fill(given.database_url, given.chunks, given.tokens)
        return
    found = asyncio.run(
        run(given.database_url, given.chunks, given.questions, with_tokens=given.tokens, filled=given.filled)
    )
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
