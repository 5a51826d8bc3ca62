"""Measures searches of a large tenant: each half, the whole, and beside them bare pgvector and bm25s in memory.

Everything answers the same questions in turn, in one run on one server, so that the ratios hold on a busy machine too.
"""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.shared.synthetic_chunks import (
    DIMENSIONS,
    Floats,
    Language,
    cluster_centers,
    clustered_vectors,
)
from bot.evals.metrics import percentile
from bot.store.database import connections
from bot.store.database.session import Database
from knowledge import bm25
from knowledge.bm25 import IndexedChunk
from knowledge.embedders import SentenceTransformerEmbedder
from knowledge.embedders.token_vectors import TokenVectors
from knowledge.packaged_models import OFFLINE_MODEL
from knowledge.ports import EncodeKind
from knowledge.search import vector_search
from knowledge.search.rerankers import LateInteraction
from knowledge.search.retriever import Retriever
from knowledge.search.vector_search import nearest_chunks, scan_exactly
from knowledge.store.chunk_vectors import Vector
from knowledge.types.scope import Scope

CANDIDATES = 100
QUESTION_TERMS = 5
EXACT_SCANS = 40
"""Questions that are also answered by an exact scan, which takes seconds for a million vectors."""
PERCENTILES = (("p50", 0.5), ("p95", 0.95))

InMemory = Callable[[Sequence[str], Scope], object]
"""Searches a corpus in memory for the words of a question."""


def build_in_memory(chunks: Iterable[IndexedChunk]) -> InMemory | None:
    """Index the chunks with bm25s; None if it is not installed. Chunks of other audiences weigh nothing in a search."""
    if importlib.util.find_spec("bm25s") is None:
        return None
    import bm25s
    from bm25s.tokenization import Tokenized

    vocabulary: dict[str, int] = {}
    ids, audiences = [], []
    for chunk in chunks:
        ids.append([vocabulary.setdefault(word, len(vocabulary)) for word in chunk.terms])
        audiences.append(chunk.audience)
    index = bm25s.BM25(k1=1.5, b=0.75)
    index.index(Tokenized(ids=ids, vocab=vocabulary), show_progress=False)
    stored = np.array(audiences)
    masks: dict[tuple[str, ...], Any] = {}

    def search(words: Sequence[str], scope: Scope) -> object:
        if scope.audiences not in masks:
            masks[scope.audiences] = np.isin(stored, scope.audiences).astype(np.float32)
        mask = masks[scope.audiences]
        known = [[word for word in words if word in vocabulary]]
        return index.retrieve(
            known, k=CANDIDATES, show_progress=False, weight_mask=None if mask.all() else mask, n_threads=1
        )

    return search


class BarePgvector:
    """Searches the vectors with one raw statement on an open connection, through the same index and settings."""

    def __init__(self, url: str, tenant_id: str, chunks: int) -> None:
        self._connection = connections.connect_blocking(url)
        self._connection.autocommit = True
        register_vector(self._connection)
        large = chunks > vector_search.LARGE_TENANT
        for name, value in (
            ("parley.tenant_id", tenant_id),
            ("hnsw.ef_search", str(vector_search.EF_SEARCH_LARGE if large else vector_search.EF_SEARCH)),
            ("hnsw.iterative_scan", "relaxed_order"),
        ):
            self._connection.execute("SELECT set_config(%s, %s, false)", (name, value))

    def __call__(self, vector: Vector, scope: Scope) -> list[Any]:
        """Return the numbers of the nearest chunks of the index that are of the scope's audiences."""
        statement = sql.SQL(
            "SELECT chunk_id FROM embeddings WHERE dimensions = {dimensions} AND audience = ANY(%s) "
            "ORDER BY vector::halfvec({dimensions}) <#> %s LIMIT {candidates}"
        ).format(dimensions=sql.Literal(DIMENSIONS), candidates=sql.Literal(CANDIDATES))
        values = (list(scope.audiences), HalfVector(vector))
        return self._connection.execute(statement, values).fetchall()

    def close(self) -> None:
        self._connection.close()


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


async def legs(
    database: Database, scope: Scope, questions: int, bare: BarePgvector, in_memory: InMemory | None
) -> dict[str, Any]:
    """Return the milliseconds of both halves in parallel, of each alone, and of what each is compared with.

    Also returns the dense half's recall@10 against an exact scan, and the ratios.
    """
    language, centers, random = Language(), cluster_centers(), np.random.default_rng(99)
    spent: dict[str, list[float]] = {}
    recalls: list[float] = []

    async def in_transaction(leg: Callable[[AsyncSession], Awaitable[Any]]) -> Any:
        async with database.tenant(scope.tenant_id) as session:
            return await leg(session)

    async def timed(name: str, work: Awaitable[Any]) -> Any:
        began = time.perf_counter()
        found = await work
        spent.setdefault(name, []).append((time.perf_counter() - began) * 1000)
        return found

    async def at_once(work: Callable[[], object]) -> object:
        return work()

    for number in range(questions):
        vector: Vector = clustered_vectors(centers, random, 1)[0]
        words = language.words(random, QUESTION_TERMS)

        def dense(session: AsyncSession, vector: Vector = vector) -> Awaitable[Any]:
            return nearest_chunks(session, vector, scope, CANDIDATES, model=OFFLINE_MODEL)

        def sparse(session: AsyncSession, words: Sequence[str] = words) -> Awaitable[Any]:
            return bm25.candidates(session, words, scope, CANDIDATES)

        found, _ = await timed("both", _both(in_transaction(dense), in_transaction(sparse)))
        await timed("dense", in_transaction(dense))
        await timed("bare_pgvector", at_once(lambda vector=vector: bare(vector, scope)))  # type: ignore[misc]
        await timed("sparse", in_transaction(sparse))
        if in_memory is not None:
            await timed("bm25s", at_once(lambda words=words: in_memory(words, scope)))  # type: ignore[misc]
        if number < EXACT_SCANS:
            exact = await in_transaction(
                lambda session, vector=vector: scan_exactly(session, vector, scope, 10, model=OFFLINE_MODEL)  # type: ignore[misc]
            )
            recalls.append(len({n for n, _ in exact} & {n for n, _ in found[:10]}) / len(exact))
    return {**_percentiles(spent), "dense_recall@10": round(float(np.mean(recalls)), 4), "ratios": _ratios(spent)}


async def _both(dense: Awaitable[Any], sparse: Awaitable[Any]) -> tuple[Any, Any]:
    return await asyncio.gather(dense, sparse)


def _percentiles(spent: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {f"{name}_{p}_ms": round(percentile(spent[name], s), 1) for name in spent for p, s in PERCENTILES}


def _ratios(spent: Mapping[str, Sequence[float]]) -> dict[str, float | str]:
    """Return how many times as long as its comparison each half takes, by the medians."""
    compared = (("dense", "bare_pgvector"), ("sparse", "bm25s"))
    return {
        f"{leg} / {other}": round(percentile(spent[leg], 0.5) / percentile(spent[other], 0.5), 2)
        if other in spent
        else "not measured: bm25s is not installed"
        for leg, other in compared
    }


async def whole_search(database: Database, scope: Scope, questions: int) -> dict[str, float]:
    """Return the milliseconds of a whole search of the large tenant: encode the question and rerank 20 chunks."""
    language, random = Language(), np.random.default_rng(5)
    embedder = ClusteredEmbedder(cluster_centers())
    retriever = Retriever(database.tenant, embedder, LateInteraction(embedder), reranked=20)
    spent: dict[str, list[float]] = {}
    for number in range(questions + 3):
        ranking = await retriever.rank(" ".join(language.words(random, QUESTION_TERMS)), scope)
        for stage, milliseconds in ranking.timings_ms.items():
            if number >= 3:
                spent.setdefault(stage, []).append(milliseconds)
    await embedder.aclose()
    return _percentiles(spent)
