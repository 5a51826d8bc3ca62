"""A question to its passages; ``Retriever.__call__`` reads from top to bottom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge import bm25, evidence_confidence, followup_queries, scope_filter, search, serving_model
from knowledge.chunk_vectors import Vector
from knowledge.chunking import indexed_text
from knowledge.embedders.token_vectors import Signs, TokenEmbedder, TokenVectors
from knowledge.embedding_models import Models
from knowledge.errors import EmbeddingError
from knowledge.fusion import Fusion, Spread, both, convex, ranked, rrf, with_document
from knowledge.passage_merging import joined, joined_spans, with_sentences, without_duplicates
from knowledge.ports import Embedder, Reranker, Sessions
from knowledge.rerankers import LateInteraction
from knowledge.search import Meaning, Row
from knowledge.serving_model import Serving
from knowledge.types import Found, Legs, Passage, Scope

CANDIDATES = 100
"""Chunks that each leg brings."""
RERANKED = 20
"""Chunks that a cross-encoder sees."""
RERANKED_LATE = 50
"""Chunks that late interaction sees: their tokens are stored, so more of them cost little."""
MOST_AHEAD = 64
"""Questions that may be encoded before their search begins; an answer from the cache needs no search."""

Pairs = list[tuple[int, float]]


@dataclass(slots=True)
class _Clock:
    """Milliseconds of each stage."""

    timings: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.timings[name] = round((time.perf_counter() - began) * 1000, 2)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Every stage's ranked chunks: number and score, best first. ``final`` is what a reader is given from."""

    dense: Pairs
    sparse: Pairs
    fused: Pairs
    reranked: Pairs
    final: tuple[Passage, ...]
    version: int
    tokens: int
    timings_ms: Mapping[str, float]
    model: str
    serving: Serving
    searched: str = ""
    confidence: float = 0.0
    sentences: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    """The cosines of the sentences of each chunk in ``final``, where they are stored."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question, its vector, how many tokens it has, and their vectors where the reranker wants them."""

    query: str
    vector: Vector
    tokens: int
    seen: TokenVectors | None = None


class Retriever:
    """Finds passages: both legs side by side, fused, reranked, neighbours joined. It is the engine's ``Search``.

    Questions are encoded with the model that serves the tenant; ``models`` opens it where ``embedder`` is another one.
    Raises EmbeddingError where the question cannot be encoded.
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
        models: Models | None = None,
    ) -> None:
        self._models = models or Models(embedder)
        self._by_model: dict[str, Retriever] = {}
        self._serving: dict[str, Retriever] = {}
        self._sessions = sessions
        self._embedder = embedder
        self._reranker = reranker
        self._fusion = fusion
        self._candidates = candidates
        self._ahead: dict[str, _Asked] = {}
        self._reranked = reranked or (RERANKED_LATE if isinstance(reranker, LateInteraction) else RERANKED)

    def on(self, sessions: Sessions) -> Retriever:
        """The same retriever over another database."""
        return Retriever(
            sessions,
            self._embedder,
            self._reranker,
            fusion=self._fusion,
            candidates=self._candidates,
            reranked=self._reranked,
            models=self._models,
        )

    async def __call__(self, query: str, scope: Scope, *, k: int = 5, earlier: Sequence[str] = ()) -> Found:
        """The k best passages of the scope; empty where nothing is known or nothing was asked.

        ``earlier`` are the questions asked before in the thread, oldest first: what the question leaves out is theirs.
        """
        if not query.strip():
            return Found((), {"total": 0.0}, 0.0, await self._version(scope))
        ranking = await self.rank(query, scope, least=k, earlier=earlier)
        began = time.perf_counter()
        told = [with_sentences(one, ranking.sentences.get(one.chunk_id, ())) for one in ranking.final[: 3 * k]]
        final = await self._widened([*told, *ranking.final[3 * k :]], scope)
        passages = await self._joined(joined_spans(without_duplicates(final), k), scope)
        weights = evidence_confidence.shipped()
        timings = dict(ranking.timings_ms)
        timings["total"] = round(timings["total"] + (time.perf_counter() - began) * 1000, 2)
        return Found(
            passages=tuple(passages),
            timings_ms=timings,
            confidence=ranking.confidence,
            decline_below=weights.threshold,
            weak_below=weights.weak_below,
            documents=await self._documents(scope) if ranking.confidence < weights.threshold else 0,
            knowledge_version=ranking.version,
            embedding_model=ranking.model,
            embedding_tokens=ranking.tokens,
            searched=ranking.searched,
        )

    async def version(self, tenant_id: str) -> int:
        """The tenant's knowledge version: it grows with every change of its documents."""
        async with self._sessions(tenant_id) as session:
            return await search.version(session, tenant_id)

    @property
    def model(self) -> str:
        """The embedding model that questions are encoded with."""
        return self._embedder.model

    async def encode_ahead(self, query: str) -> list[float]:
        """The query's vector, for whoever needs it before the search, which then does not compute it again."""
        asked = self._ahead[query] = self._ahead.get(query) or await self._encode(query)
        while len(self._ahead) > MOST_AHEAD:
            del self._ahead[next(iter(self._ahead))]
        return [float(value) for value in asked.vector]

    async def rank(self, query: str, scope: Scope, *, least: int = 5, earlier: Sequence[str] = ()) -> Ranking:
        """Every stage's ranking, for measuring each alone. At least ``least`` chunks stand in ``final``."""
        chosen = self._serving.get(scope.tenant_id, self)
        while True:
            try:
                ranking = await chosen._ranked(query, scope, least=least, earlier=earlier)
            except EmbeddingError as error:
                if chosen is self:
                    raise
                self._models.give_up(chosen.model, error)
                chosen = self._serving[scope.tenant_id] = self
                continue
            right = await self._with_model_of(ranking.serving)
            if right is chosen:
                return ranking
            chosen = self._serving[scope.tenant_id] = right

    async def _with_model_of(self, state: Serving) -> Retriever:
        """The retriever whose questions are encoded with the model that serves."""
        embedder = await self._models.for_questions(state)
        if embedder is self._embedder:
            return self
        if embedder.model not in self._by_model:
            reranker = self._reranker
            if isinstance(reranker, LateInteraction):
                reranker = LateInteraction(embedder) if isinstance(embedder, TokenEmbedder) else None
            self._by_model[embedder.model] = Retriever(
                self._sessions, embedder, reranker, fusion=self._fusion, candidates=self._candidates
            )
        return self._by_model[embedder.model]

    async def _ranked(self, query: str, scope: Scope, *, least: int, earlier: Sequence[str]) -> Ranking:
        clock = _Clock()
        with clock.stage("total"):
            with clock.stage("embed"):
                leaning = await self._leaning(query, earlier, scope)
                asked = await self._asked(leaning)
            vector = asked.vector
            (dense, spread, state), (sparse, version) = await asyncio.gather(
                self._dense(clock, vector, scope), self._sparse(clock, leaning.terms, scope)
            )
            with clock.stage("fuse"):
                meanings = await self._meanings(dense, sparse, vector, scope)
                dense = ranked({number: meanings[number].score for number, _ in dense if number in meanings})
                fused = self._fuse(dense, sparse, meanings, spread)
                passages, signs = await self._passages(fused[: max(self._reranked, least * 3)], meanings, sparse, scope)
            with clock.stage("rerank"):
                final = await self._rerank(asked, passages, signs)
        order = [(passage.chunk_id, passage.score) for passage in final]
        shown = {number for number, _ in order}
        reranked = order + [pair for pair in fused if pair[0] not in shown]
        return Ranking(
            dense,
            sparse,
            fused,
            reranked,
            tuple(final),
            version,
            asked.tokens,
            clock.timings,
            self._embedder.model,
            state,
            leaning.text,
            self._confidence(asked, leaning.text, final[:least], meanings, signs),
            {one.chunk_id: meanings[one.chunk_id].sentences for one in final if one.chunk_id in meanings},
        )

    def _confidence(
        self,
        asked: _Asked,
        question: str,
        passages: Sequence[Passage],
        meanings: Mapping[int, Meaning],
        signs: Mapping[int, Signs],
    ) -> float:
        """How likely the passages hold the answer: by words and meaning where the tokens were seen, else by words."""
        weights = evidence_confidence.shipped()
        tokens = asked.seen.tokens if asked.seen and weights.embedding_model == self._embedder.model else None
        evidence = []
        for one in passages:
            text = indexed_text(one.title, one.heading, one.text)
            known = tokens is not None and one.chunk_id in meanings and one.chunk_id in signs
            if tokens is None or not known:
                evidence.append(evidence_confidence.Evidence(text))
                continue
            matched = evidence_confidence.matches(tokens, signs[one.chunk_id])
            evidence.append(evidence_confidence.Evidence(text, meanings[one.chunk_id].cosine, matched))
        return weights.confidence(question, evidence)

    async def _leaning(self, query: str, earlier: Sequence[str], scope: Scope) -> followup_queries.Asked:
        terms = followup_queries.earlier_terms(earlier)
        if not terms:
            return followup_queries.alone(query)
        async with self._sessions(scope.tenant_id) as session:
            return followup_queries.leaning(query, earlier, await bm25.idf(session, scope.tenant_id, terms))

    async def _asked(self, leaning: followup_queries.Asked) -> _Asked:
        """The question alone is what the reranker reads; its vector is drawn halfway to that with the earlier words."""
        alone = self._ahead.pop(leaning.question, None)
        if not leaning.words:
            return alone or await self._encode(leaning.question)
        whole = asyncio.ensure_future(self._encode(leaning.text))
        alone = alone or await self._encode(leaning.question)
        both = await whole
        middle = np.asarray(alone.vector, np.float32) + np.asarray(both.vector, np.float32)
        vector = middle / (float(np.linalg.norm(middle)) or 1.0)
        return replace(alone, vector=vector, tokens=alone.tokens + both.tokens)

    async def _encode(self, query: str) -> _Asked:
        if isinstance(self._reranker, LateInteraction) and isinstance(self._embedder, TokenEmbedder):
            row = (await self._embedder.encode_tokens([query], "query"))[0]
            return _Asked(query, row.pooled, len(row.signs), row)
        encoded = await self._embedder.encode([query], "query")
        return _Asked(query, encoded.vectors[0], encoded.tokens)

    async def _dense(self, clock: _Clock, vector: Vector, scope: Scope) -> tuple[Pairs, Spread, Serving]:
        """The nearest chunks, and which models serve: asked last, as old vectors go after a switch."""
        model = self._embedder.model
        with clock.stage("dense"):
            async with self._sessions(scope.tenant_id) as session:
                nearest = await search.dense(session, vector, scope, self._candidates, model=model)
                spread = await search.spread(session, vector, scope, model=model)
                return nearest, spread, await serving_model.read(session, scope.tenant_id)

    async def _sparse(self, clock: _Clock, terms: Mapping[str, float], scope: Scope) -> tuple[Pairs, int]:
        with clock.stage("sparse"):
            async with self._sessions(scope.tenant_id) as session:
                version = await search.version(session, scope.tenant_id)
                return await bm25.candidates(session, terms, scope, self._candidates), version

    async def _meanings(self, dense: Pairs, sparse: Pairs, vector: Vector, scope: Scope) -> dict[int, Meaning]:
        numbers = list(dict(dense) | dict(sparse))
        async with self._sessions(scope.tenant_id) as session:
            return await search.meanings(session, vector, scope, numbers, model=self._embedder.model)

    def _fuse(self, dense: Pairs, sparse: Pairs, meanings: Mapping[int, Meaning], spread: Spread) -> Pairs:
        if self._fusion == "rrf":
            return ranked(rrf(dense, sparse))
        scores = {number: meaning.score for number, meaning in meanings.items()}
        fused = convex(scores, sparse, spread=spread, limit=self._candidates)
        return ranked(with_document(fused, {number: meaning.document_id for number, meaning in meanings.items()}))

    async def _passages(
        self, fused: Pairs, meanings: Mapping[int, Meaning], sparse: Pairs, scope: Scope
    ) -> tuple[list[Passage], dict[int, Signs]]:
        """The passages in their order, and the signs of their tokens where late interaction reads them."""
        numbers = [number for number, _ in fused]
        async with self._sessions(scope.tenant_id) as session:
            rows = await search.rows(session, scope, numbers)
            late = isinstance(self._reranker, LateInteraction)
            signs = await self._signs(session, scope, numbers[: self._reranked]) if late else {}
        words = dict(sparse)
        passages = []
        for number, score in fused:
            if number in rows:
                meaning = meanings[number].score if number in meanings else None
                passages.append(_passage(rows[number], score, Legs(meaning, words.get(number), score)))
        return passages, signs

    async def _signs(self, session: AsyncSession, scope: Scope, numbers: Sequence[int]) -> dict[int, Signs]:
        return await search.signs(
            session, scope, numbers, model=self._embedder.model, dimensions=self._embedder.dimensions
        )

    async def _rerank(self, asked: _Asked, passages: Sequence[Passage], signs: Mapping[int, Signs]) -> list[Passage]:
        """The fused order stays below what the reranker saw."""
        if self._reranker is None or not passages:
            return list(passages)
        head, tail = passages[: self._reranked], passages[self._reranked :]
        if asked.seen is not None and isinstance(self._reranker, LateInteraction):
            scores = await self._reranker.score_stored(asked.seen, head, signs)
        else:
            scores = await self._reranker.score(asked.query, head)
        again = [
            replace(passage, score=score, legs=replace(passage.legs, rerank=given))
            for passage, score, given in zip(head, both([p.score for p in head], scores), scores, strict=True)
        ]
        again.sort(key=lambda passage: (-passage.score, passage.chunk_id))
        return [*again, *tail]

    async def _documents(self, scope: Scope) -> int:
        async with self._sessions(scope.tenant_id) as session:
            return await scope_filter.documents(session, scope)

    async def _version(self, scope: Scope) -> int:
        async with self._sessions(scope.tenant_id) as session:
            return await search.version(session, scope.tenant_id)

    async def _widened(self, passages: Sequence[Passage], scope: Scope) -> list[Passage]:
        """Each passage as it is read: a sentence with those around it."""
        numbers = [passage.chunk_id for passage in passages if passage.window]
        if not numbers:
            return list(passages)
        async with self._sessions(scope.tenant_id) as session:
            bodies = await search.windows(session, scope, numbers)
        return [
            replace(passage, text=bodies[passage.chunk_id], start=passage.window[0], end=passage.window[1], window=None)
            if passage.window and passage.chunk_id in bodies
            else passage
            for passage in passages
        ]

    async def _joined(self, groups: Sequence[Sequence[Passage]], scope: Scope) -> list[Passage]:
        if all(len(group) == 1 for group in groups):
            return [group[0] for group in groups]
        result: list[Passage] = []
        async with self._sessions(scope.tenant_id) as session:
            for group in groups:
                start, end = group[0].start, group[-1].end
                text = await search.between(session, scope, group[0].document_id, start, end)
                result += [joined(group, text)] if len(text) == end - start else group
        return result


def _passage(row: Row, score: float, legs: Legs) -> Passage:
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
    )
