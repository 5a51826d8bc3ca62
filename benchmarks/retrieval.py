"""Latency of both legs and of the whole search on a large tenant, and ingestion against bare encoding.

    python -m benchmarks.retrieval scale --database-url URL --chunks 100000
    python -m benchmarks.retrieval ingest --database-url URL --folder DIR

``scale`` writes random texts with random unit vectors, a share of them for one channel, into a scratch schema that is
dropped afterwards. ``ingest`` times the same chunks through ``Ingestor`` and through ``SentenceTransformer.encode``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from bot.evals.metrics import percentile
from bot.evals.scratch import scratch_schema
from bot.store.session import Database
from knowledge import bm25, search, store, tokens
from knowledge.chunking import chunk, indexed_text
from knowledge.embedders import SentenceTransformerEmbedder
from knowledge.errors import ParseError
from knowledge.ingest import Ingestor
from knowledge.parsing.sandbox import Parser
from knowledge.postings import IndexedChunk
from knowledge.sources import FolderSource
from knowledge.types import TENANT_AUDIENCE, Fetched, Scope
from knowledge.vectors import Vector, halfvec

TENANT = "benchmark"
CHANNEL = "narrow"
SHARE = 0.01
DIMENSIONS = 384
WORDS = 60_000
BATCH = 1000


def _texts(random_: random.Random, number: int) -> list[list[str]]:
    """Texts of 60 to 140 words whose frequencies fall off as those of a language do."""
    picks = np.random.default_rng(random_.randrange(2**32)).zipf(1.15, size=number * 140) % WORDS
    lengths = [random_.randint(60, 140) for _ in range(number)]
    return [[f"w{pick}" for pick in picks[n * 140 : n * 140 + length]] for n, length in enumerate(lengths)]


async def _fill(database: Database, chunks: int, centres: np.ndarray[Any, Any], random_: random.Random) -> None:
    async with database.tenant(TENANT) as session:
        await session.execute(
            text(
                "INSERT INTO sources (tenant_id, id, uri, kind, audience, fetched_at) "
                "VALUES (:tenant, gen_random_uuid(), 'benchmark', 'data', 'tenant', now())"
            ),
            {"tenant": TENANT},
        )
        await session.execute(
            text(
                "INSERT INTO documents (tenant_id, id, source_id, uri, title, text, blocks, metadata, content_hash, "
                "recipe, audience, state, fetched_at) SELECT tenant_id, gen_random_uuid(), id, 'd', 'd', '', '[]', "
                "'{}', '', '', 'tenant', 'ready', now() FROM sources"
            )
        )
    for start in range(0, chunks, BATCH):
        await _batch(database, start, min(BATCH, chunks - start), centres, random_)
    async with database.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("ANALYZE embeddings"))


async def _batch(
    database: Database, start: int, size: int, centres: np.ndarray[Any, Any], random_: random.Random
) -> None:
    """Vectors stand around centres, as those of texts on some subjects do."""
    terms = _texts(random_, size)
    noise = np.random.default_rng(start)
    vectors = centres[noise.integers(len(centres), size=size)] + noise.normal(size=(size, DIMENSIONS)) * 0.06
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    audiences = [CHANNEL if random_.random() < SHARE else TENANT_AUDIENCE for _ in range(size)]
    async with database.tenant(TENANT) as session:
        await store.bump(session, TENANT)
        await session.execute(
            text(
                "INSERT INTO chunks SELECT :tenant, number, (SELECT id FROM documents), 0, audience, '', '', 0, 0, "
                "NULL, '{}', '', 0 FROM unnest(CAST(:numbers AS bigint[]), CAST(:audiences AS text[])) "
                "AS new (number, audience)"
            ),
            {"tenant": TENANT, "numbers": list(range(start, start + size)), "audiences": audiences},
        )
        await session.execute(
            text(
                "INSERT INTO embeddings SELECT :tenant, number, 'm', audience, :dimensions, CAST(vector AS halfvec) "
                "FROM unnest(CAST(:numbers AS bigint[]), CAST(:audiences AS text[]), CAST(:vectors AS text[])) "
                "AS new (number, audience, vector)"
            ),
            {
                "tenant": TENANT,
                "dimensions": DIMENSIONS,
                "numbers": list(range(start, start + size)),
                "audiences": audiences,
                "vectors": [halfvec(vector) for vector in vectors.astype(np.float32)],
            },
        )
        rows = [IndexedChunk(start + n, audiences[n], terms[n]) for n in range(size)]
        await bm25.index(session, TENANT, rows)


async def scale(database_url: str, chunks: int, questions: int) -> dict[str, Any]:
    """Both legs side by side, without embedding and reranking: everything, and a filter that keeps one in a hundred."""
    random_ = random.Random(1)
    centres = np.random.default_rng(1).normal(size=(200, DIMENSIONS))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    async with scratch_schema(database_url) as database:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        await _fill(database, chunks, centres, random_)
        filled = time.perf_counter() - began
        result: dict[str, Any] = {"chunks": chunks, "fill_seconds": round(filled, 1)}
        for name, scope in (("all", Scope(TENANT)), ("one_percent", Scope(TENANT, (CHANNEL,)))):
            result[name] = await _legs(database, scope, centres, random_, questions)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {**result, "memory_growth_mb": round((after - before) / 1024)}


async def _legs(
    database: Database, scope: Scope, centres: np.ndarray[Any, Any], random_: random.Random, questions: int
) -> dict[str, float]:
    spent: dict[str, list[float]] = {"dense": [], "sparse": [], "both": []}
    recalls = []

    async def timed(name: str, leg: Any) -> Any:
        began = time.perf_counter()
        async with database.tenant(TENANT) as session:
            found = await leg(session)
        spent[name].append((time.perf_counter() - began) * 1000)
        return found

    for _ in range(questions):
        noise = np.random.default_rng(random_.randrange(2**32)).normal(size=DIMENSIONS) * 0.06
        vector = (centres[random_.randrange(len(centres))] + noise).astype(np.float32)
        vector /= np.linalg.norm(vector)
        words = random_.sample(_texts(random_, 1)[0], k=8)
        began = time.perf_counter()
        found, _ = await asyncio.gather(
            timed("dense", lambda s, v=vector: search.dense(s, v, scope, 100, model="m")),
            timed("sparse", lambda s, w=words: bm25.candidates(s, w, scope, 100)),
        )
        spent["both"].append((time.perf_counter() - began) * 1000)
        recalls.append(await _recall(database, scope, vector, found))
    times = {f"{name}_{p}": round(percentile(spent[name], s), 1) for name in spent for p, s in _SHARES}
    return {**times, "dense_recall@10": round(float(np.mean(recalls)), 4)}


_SHARES = (("p50", 0.5), ("p95", 0.95))


async def _recall(database: Database, scope: Scope, vector: Vector, found: Sequence[tuple[int, float]]) -> float:
    async with database.tenant(TENANT) as session:
        exact = await search.scan(session, vector, scope, 10, model="m")
    return len({number for number, _ in exact} & {number for number, _ in found[:10]}) / len(exact)


async def ingest(database_url: str, folder: Path) -> dict[str, Any]:
    """Seconds of the whole ingestion, and of bare encoding of the same chunks in the same process."""
    model = SentenceTransformerEmbedder()
    parser = Parser()
    texts = []
    async for item in FolderSource(folder, max_bytes=50 * 2**20).fetch():
        try:
            document = await parser.parse(item) if isinstance(item, Fetched) else None
        except ParseError:
            continue
        if document:
            pieces = chunk(document, count=model.count_tokens, tokens=model.max_tokens)
            texts += [indexed_text(document.title, piece.heading, piece.text) for piece in pieces]
    bare_model = model.loaded()
    bare_model.encode(texts[:64], batch_size=32)
    began = time.perf_counter()
    bare_model.encode(texts, batch_size=32, normalize_embeddings=True)
    bare = time.perf_counter() - began
    async with scratch_schema(database_url) as database:
        ingestor = Ingestor(database.tenant, model, parser=parser)
        report = await ingestor.ingest([FolderSource(folder, max_bytes=50 * 2**20)], tenant_id=TENANT)
    await ingestor.aclose()
    await model.aclose()
    return {
        "documents": report.documents,
        "chunks": report.chunks,
        "terms": tokens.VERSION,
        "seconds": round(report.seconds, 2),
        "bare_seconds": round(bare, 2),
        "share_of_bare_speed": round(bare / report.seconds, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["scale", "ingest"])
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.what == "scale":
        print(json.dumps(asyncio.run(scale(given.database_url, given.chunks, given.questions)), indent=1))
        return
    if given.folder is None:
        parser.error("ingest needs --folder")
    print(json.dumps(asyncio.run(ingest(given.database_url, given.folder)), indent=1))


if __name__ == "__main__":
    main()
