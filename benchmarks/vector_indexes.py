"""Compares two HNSW indexes for the same vectors: half precision, and one bit for each dimension with rescoring.

    python -m benchmarks.vector_indexes --chunks 100000
    python -m benchmarks.vector_indexes --texts FILE.jsonl --limit 10000

Without texts, the vectors are those of ``benchmarks.shared.synthetic_chunks``, clustered around centers. With texts,
the offline model encodes their sentences. What is nearest by one bit for each dimension is sorted again by the stored
vectors.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, LiteralString

import numpy as np
import numpy.typing as npt
import psycopg
from pgvector import HalfVector
from pgvector.psycopg import register_vector

from benchmarks.shared.synthetic_chunks import DIMENSIONS, cluster_centers, clustered_vectors
from bot.evals.metrics import percentile
from bot.store.embedded.temporary import temporary_server
from knowledge.embedders import SentenceTransformerEmbedder
from knowledge.text.sentence_splitter import sentence_spans

QUESTIONS, K = 200, 10
POOLS = (50, 100, 200, 400, 800)
"""Entries that the index looks at (``hnsw.ef_search``); with one bit, also the candidates that are rescored."""
SERVER = {"fsync": "off", "synchronous_commit": "off", "shared_buffers": "1GB", "max_wal_size": "4GB"}
SENTENCE_CHARS = (40, 400)

Vectors = npt.NDArray[np.float32]

INDEXES: dict[str, LiteralString] = {
    "half precision": "CREATE INDEX tried ON stored USING hnsw (vector halfvec_ip_ops)",
    "one bit": "CREATE INDEX tried ON stored USING hnsw (CAST(binary_quantize(vector) AS bit(384)) bit_hamming_ops)",
}
SEARCHES: dict[str, LiteralString] = {
    "half precision": "SELECT id FROM stored ORDER BY vector <#> %(vector)s LIMIT %(k)s",
    "one bit": """
        WITH near AS MATERIALIZED (
            SELECT id, vector FROM stored
            ORDER BY CAST(binary_quantize(vector) AS bit(384)) <~> CAST(binary_quantize(%(vector)s) AS bit(384))
            LIMIT %(pool)s
        )
        SELECT id FROM near ORDER BY vector <#> %(vector)s LIMIT %(k)s
    """,
}


def made_up(chunks: int) -> tuple[Vectors, Vectors]:
    """Return clustered vectors, and those of questions."""
    centers, random = cluster_centers(), np.random.default_rng(2)
    return clustered_vectors(centers, random, chunks), clustered_vectors(centers, random, QUESTIONS)


def encoded(files: Sequence[Path], limit: int) -> tuple[Vectors, Vectors]:
    """Return the vectors of different sentences of texts. The questions are sentences that are not stored."""
    least, most = SENTENCE_CHARS
    found = {
        body[start:end].strip(): None
        for file in files
        for line in file.read_text().splitlines()
        for body in [json.loads(line)["text"]]
        for start, end in sentence_spans(body)
        if least <= end - start <= most
    }
    random = np.random.default_rng(4)
    chosen = random.permutation(list(found))[: limit + QUESTIONS].tolist()

    async def encode() -> Vectors:
        embedder = SentenceTransformerEmbedder()
        try:
            return (await embedder.encode(chosen, "passage")).vectors
        finally:
            await embedder.aclose()

    vectors = asyncio.run(encode())
    return vectors[QUESTIONS:], vectors[:QUESTIONS]


def nearest(stored: Vectors, questions: Vectors) -> list[set[int]]:
    """Return the ids of the ``K`` nearest by an exact scan in half precision, as the database stores them."""
    scores = questions.astype(np.float16).astype(np.float32) @ stored.astype(np.float16).astype(np.float32).T
    return [set(row.tolist()) for row in np.argpartition(-scores, K, axis=1)[:, :K]]


def measure(url: str, stored: Vectors, questions: Vectors) -> dict[str, Any]:
    """Return size, build time, recall and latency of each index."""
    exact = nearest(stored, questions)
    result: dict[str, Any] = {"vectors": len(stored)}
    with psycopg.connect(url, autocommit=True) as connection:
        register_vector(connection)
        connection.execute("CREATE TABLE stored (id integer PRIMARY KEY, vector halfvec(384))")
        with connection.cursor() as cursor, cursor.copy("COPY stored FROM STDIN WITH (FORMAT BINARY)") as copying:
            copying.set_types(["int4", "halfvec"])
            for number, vector in enumerate(stored):
                copying.write_row((number, HalfVector(vector)))
        connection.execute("VACUUM ANALYZE stored")
        connection.execute("SET maintenance_work_mem = '2GB'")
        connection.execute("SET enable_seqscan = off")
        for name, definition in INDEXES.items():
            began = time.perf_counter()
            connection.execute(definition)
            built = time.perf_counter() - began
            size = connection.execute("SELECT pg_relation_size('tried') / 1048576.0").fetchone() or (0.0,)
            pools = {pool: searches(connection, SEARCHES[name], questions, exact, pool) for pool in POOLS}
            result[name] = {"index_mb": round(float(size[0]), 1), "build_seconds": round(built, 1), "ef": pools}
            connection.execute("DROP INDEX tried")
    result["load"] = os.getloadavg()[0]
    return result


def searches(
    connection: psycopg.Connection[Any], statement: LiteralString, questions: Vectors, exact: list[set[int]], pool: int
) -> dict[str, float]:
    """Return recall@10 and the milliseconds of searches that look at ``pool`` entries."""
    connection.execute("SELECT set_config('hnsw.ef_search', %s, false)", (str(pool),))
    spent, recalls = [], []
    for question, expected in zip(questions, exact, strict=True):
        values = {"vector": HalfVector(question), "k": K, "pool": pool}
        began = time.perf_counter()
        found = {row[0] for row in connection.execute(statement, values).fetchall()}
        spent.append((time.perf_counter() - began) * 1000)
        recalls.append(len(found & expected) / K)
    return {
        "recall@10": round(float(np.mean(recalls)), 4),
        "p50_ms": round(percentile(spent, 0.5), 1),
        "p95_ms": round(percentile(spent, 0.95), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--texts", type=Path, nargs="+", help="JSON Lines with a text in each line")
    parser.add_argument("--limit", type=int, default=10_000, help="sentences to encode")
    given = parser.parse_args()
    assert DIMENSIONS == 384
    stored, questions = encoded(given.texts, given.limit) if given.texts else made_up(given.chunks)
    with temporary_server(f"{tempfile.gettempdir()}/parley-vectors-", options=SERVER) as server:
        print(json.dumps(measure(server.url, stored, questions), indent=1))


if __name__ == "__main__":
    main()
