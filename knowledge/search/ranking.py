"""Ranks chunks for a question with one embedding model: encode, search dense and sparse, fuse, rerank, confidence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from knowledge import bm25
from knowledge.chunking import indexed_text
from knowledge.embedders.token_vectors import Signs
from knowledge.ports import Embedder, Reranker, Sessions
from knowledge.psycopg_connection import ONE_SNAPSHOT
from knowledge.search import evidence_confidence, followup_queries
from knowledge.search.followup_queries import ExpandedQuery
from knowledge.search.fusion import (
    Fusion,
    Spread,
    add_document_scores,
    combine_with_reranker,
    convex,
    late_interaction_trust,
    rrf,
    sort_scores,
)
from knowledge.search.question_encoding import EncodedQuestion, QuestionEncoder
from knowledge.search.question_similarity import Similarity, read_similarities, unpack_signs
from knowledge.search.rerankers import LateInteraction
from knowledge.search.vector_search import search_snapshot
from knowledge.store.chunk_lookup import ChunkRow, load_chunks
from knowledge.store.chunk_vectors import Vector
from knowledge.store.serving_model import Serving
from knowledge.text.languages import ENGLISH, STEMMERS, of_script
from knowledge.text.search_terms import language_term
from knowledge.types.scope import Scope
from knowledge.types.search_results import Legs, Passage

Result = TypeVar("Result")

CANDIDATES = 100
"""Number of chunks that the dense and the sparse search each return."""
RERANKED = 20
"""Number of chunks that a cross-encoder scores."""
RERANKED_LATE = 50
"""Number of chunks that late interaction scores. Their token signs are stored, so more chunks cost little."""

Scores = list[tuple[int, float]]
"""Numbers of chunks with their scores, best first."""


@dataclass(slots=True)
class StageTimer:
    """Measures the milliseconds of each stage."""

    timings: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the time of a block as the stage ``name``."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.timings[name] = round((time.perf_counter() - began) * 1000, 2)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The ranked chunks of every stage, and the passages in their final order.

    ``searched`` is the text that was searched for. ``sentences`` has the cosines of the sentences of each chunk in
    ``final`` with stored sentence vectors.
    """

    dense: Scores
    sparse: Scores
    fused: Scores
    reranked: Scores
    final: tuple[Passage, ...]
    version: int
    tokens: int
    timings_ms: Mapping[str, float]
    model: str
    serving: Serving
    searched: str = ""
    confidence: float = 0.0
    sentences: Mapping[int, tuple[float, ...]] = field(default_factory=dict)


class Ranker:
    """Ranks the chunks of a scope for a question. Raises EmbeddingError if the question cannot be encoded.

    ``candidates`` is the number of chunks that each search returns; ``reranked`` is the number of fused chunks to
    rerank. ``refresh_seconds`` is as in ``load_chunks``.
    """

    def __init__(
        self,
        sessions: Sessions,
        embedder: Embedder,
        reranker: Reranker | None = None,
        *,
        fusion: Fusion = "convex",
        candidates: int = CANDIDATES,
        reranked: int | None = None,
        refresh_seconds: int = 0,
    ) -> None:
        self.embedder = embedder
        self.encoder = QuestionEncoder(embedder, with_tokens=isinstance(reranker, LateInteraction))
        self._sessions = sessions
        self._reranker = reranker
        self._refresh_seconds = refresh_seconds
        self._fusion = fusion
        self._candidates = candidates
        self._reranked = reranked or (RERANKED_LATE if isinstance(reranker, LateInteraction) else RERANKED)

    async def rank(self, question: str, scope: Scope, *, least: int = 5, earlier: Sequence[str] = ()) -> Ranking:
        """Return the ranking of every stage, with at least ``least`` passages if that many are found."""
        timer = StageTimer()
        with timer.stage("total"):
            with timer.stage("embed"):
                query, encoded = await self._encode(question, earlier, scope)
            async with AsyncExitStack() as stack:
                connected = asyncio.Event()
                sparse_search = await stack.enter_async_context(
                    _started(self._search_sparse(timer, query.terms, scope, connected))
                )
                # The fusion reads in the same transaction: beginning and ending one takes as long as reading.
                with timer.stage("dense"):
                    # Its connection is kept until the sparse search has ended. Were it taken first, searches that begin
                    # together could keep every connection, and wait for one more each.
                    await connected.wait()
                    session = await stack.enter_async_context(self._sessions(scope.tenant_id))
                    found = await search_snapshot(
                        session, encoded.vector, scope, self._candidates, model=self.embedder.model
                    )
                sparse, sparse_version = await sparse_search
                with timer.stage("fuse"):
                    similar = await self._similarities(session, found.nearest, sparse, encoded.vector, scope)
                    places = {number: one.place for number, one in similar.items()}
                    dense_scores = {number: similar[number].score for number, _ in found.nearest if number in similar}
                    dense, sparse = sort_scores(dense_scores, places), sort_scores(dict(sparse), places)
                    fused = self._fuse(dense, sparse, similar, found.spread)
                    head = fused[: max(self._reranked, least * 3)]
                    passages, signs = await self._load(session, head, similar, sparse, scope)
            with timer.stage("rerank"):
                final = await self._rerank(encoded, passages, signs)
            confidence = await asyncio.to_thread(self._confidence, encoded, query.text, final[:least], similar, signs)
        order = [(passage.chunk_id, passage.score) for passage in final]
        loaded = {number for number, _ in order}
        return Ranking(
            dense=dense,
            sparse=sparse,
            fused=fused,
            reranked=order + [pair for pair in fused if pair[0] not in loaded],
            final=tuple(final),
            version=min(found.version, sparse_version),
            tokens=encoded.tokens,
            timings_ms=timer.timings,
            model=self.embedder.model,
            serving=found.serving,
            searched=query.text,
            confidence=confidence,
            sentences={one.chunk_id: similar[one.chunk_id].sentences for one in final if one.chunk_id in similar},
        )

    async def _encode(
        self, question: str, earlier: Sequence[str], scope: Scope
    ) -> tuple[ExpandedQuery, EncodedQuestion]:
        """Expand the question and encode it. The model encodes the question itself while the database is read."""
        async with _started(self.encoder.encode(question)) as encoding:
            query = await self._expand(question, earlier, scope)
            return query, await self.encoder.expand(await encoding, query)

    async def _expand(self, question: str, earlier: Sequence[str], scope: Scope) -> ExpandedQuery:
        """Find the terms of the question, and expand it with those of the thread's earlier questions.

        If the question does not tell its language, it may be in any language of the tenant's documents.
        """
        spoken = followup_queries.spoken_languages(question)
        asked = {language_term(one): one for one in STEMMERS if len(spoken) != 1 and of_script(question) is None}
        if earlier or asked:
            terms = await asyncio.to_thread(followup_queries.earlier_terms, earlier, spoken)
            async with self._sessions(scope.tenant_id) as session:
                idf = await bm25.idf(session, scope.tenant_id, terms | asked.keys())
            in_documents = tuple(language for term, language in asked.items() if term in idf)
            spoken = tuple(one for one in in_documents if one in spoken) or in_documents or spoken
        else:
            idf = {}
        spoken = tuple(one for one in spoken if one != ENGLISH)
        # In a thread, because a word list may have to be loaded.
        return await asyncio.to_thread(followup_queries.expand, question, earlier, idf, spoken)

    async def _search_sparse(
        self, timer: StageTimer, terms: Mapping[str, float], scope: Scope, connected: asyncio.Event
    ) -> bm25.Best:
        """Return the best chunks by BM25, and the knowledge version that they were found in.

        All of it is read from one snapshot: frequencies from after an ingestion would not fit totals from before it.
        ``connected`` is set when the search has its connection, or has failed.
        """
        with timer.stage("sparse"):
            try:
                async with self._sessions(scope.tenant_id) as session:
                    connected.set()
                    return await bm25.candidates(session, terms, scope, self._candidates, first=(ONE_SNAPSHOT,))
            finally:
                connected.set()

    async def _similarities(
        self, session: AsyncSession, dense: Scores, sparse: Scores, vector: Vector, scope: Scope
    ) -> dict[int, Similarity]:
        """Read the similarity of every candidate, so that chunks found by BM25 alone have a cosine too."""
        numbers = list(dict(dense) | dict(sparse))
        return await read_similarities(session, vector, scope, numbers, model=self.embedder.model)

    def _fuse(self, dense: Scores, sparse: Scores, similar: Mapping[int, Similarity], spread: Spread) -> Scores:
        places = {number: one.place for number, one in similar.items()}
        if self._fusion == "rrf":
            return sort_scores(rrf(dense, sparse), places)
        scores = {number: one.score for number, one in similar.items()}
        fused = convex(scores, sparse, spread=spread, limit=self._candidates)
        documents = {number: one.document_id for number, one in similar.items()}
        return sort_scores(add_document_scores(fused, documents), places)

    async def _load(
        self, session: AsyncSession, fused: Scores, similar: Mapping[int, Similarity], sparse: Scores, scope: Scope
    ) -> tuple[list[Passage], dict[int, Signs]]:
        """Return the passages in their order, and the signs of their tokens if late interaction reads them."""
        numbers = [number for number, _ in fused]
        signs_of = self.embedder.model if isinstance(self._reranker, LateInteraction) else ""
        rows = await load_chunks(session, scope, numbers, refresh_seconds=self._refresh_seconds, signs_of=signs_of)
        signs = {
            number: unpack_signs(packed, self.embedder.dimensions)
            for number in numbers[: self._reranked]
            if number in rows and (packed := rows[number].signs) is not None
        }
        sparse_scores = dict(sparse)
        passages = []
        for number, score in fused:
            if number in rows:
                dense_score = similar[number].score if number in similar else None
                legs = Legs(dense_score, sparse_scores.get(number), score)
                passages.append(_passage(rows[number], score, legs))
        return passages, signs

    async def _rerank(
        self, encoded: EncodedQuestion, passages: Sequence[Passage], signs: Mapping[int, Signs]
    ) -> list[Passage]:
        """Rerank the first passages; the others keep their fused order below them."""
        if self._reranker is None or not passages:
            return list(passages)
        head, tail = passages[: self._reranked], passages[self._reranked :]
        if encoded.token_vectors is not None and isinstance(self._reranker, LateInteraction):
            scores = await self._reranker.score_stored(encoded.token_vectors, head, signs)
        else:
            scores = await self._reranker.score(encoded.question, head)
        fused = [passage.score for passage in head]
        late = isinstance(self._reranker, LateInteraction)
        combined = combine_with_reranker(fused, scores, trust=late_interaction_trust(fused, scores) if late else 1.0)
        reranked = [
            replace(passage, score=score, legs=replace(passage.legs, rerank=rerank_score))
            for passage, score, rerank_score in zip(head, combined, scores, strict=True)
        ]
        reranked.sort(key=lambda passage: (-passage.score, passage.source, passage.start, passage.chunk_id))
        return [*reranked, *tail]

    def _confidence(
        self,
        encoded: EncodedQuestion,
        question: str,
        passages: Sequence[Passage],
        similar: Mapping[int, Similarity],
        signs: Mapping[int, Signs],
    ) -> float:
        """Return how likely the passages contain the answer.

        Uses the words and, if the question's token vectors are available, the embedding model.
        """
        weights = evidence_confidence.shipped(self.embedder.model)
        tokens = None
        if encoded.token_vectors and weights.embedding_model == self.embedder.model:
            tokens = encoded.token_vectors.tokens
        evidence = []
        for one in passages:
            text = indexed_text(one.indexed_title, one.heading, one.text)
            if tokens is None or one.chunk_id not in similar or one.chunk_id not in signs:
                evidence.append(evidence_confidence.Evidence(text))
                continue
            matches = evidence_confidence.matches(tokens, signs[one.chunk_id])
            evidence.append(evidence_confidence.Evidence(text, similar[one.chunk_id].cosine, matches))
        return weights.confidence(question, evidence)


@asynccontextmanager
async def _started(work: Coroutine[Any, Any, Result]) -> AsyncIterator[asyncio.Task[Result]]:
    """Run the work beside the block. It has ended when the block has: it is canceled if the block fails."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _passage(row: ChunkRow, score: float, legs: Legs) -> Passage:
    return Passage(
        chunk_id=row.chunk_id,
        document_id=row.document_id,
        text=row.text,
        source=row.source,
        title=row.title,
        heading=row.heading,
        start=row.start,
        end=row.end,
        page=row.page,
        score=score,
        legs=legs,
        window=row.window,
        note=row.note,
        superseded=row.superseded,
    )
