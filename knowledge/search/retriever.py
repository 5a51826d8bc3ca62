"""Finds the passages for a question. ``Retriever.__call__`` is the list of the stages, in order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession

from knowledge import superseded
from knowledge.embedders.cosine_scale import comparable_cosine
from knowledge.embedders.stored_vector_names import split_name
from knowledge.embedders.token_vectors import TokenEmbedder
from knowledge.errors import EmbeddingError
from knowledge.ports import Embedder, Reranker, Sessions
from knowledge.scope_filter import count_documents
from knowledge.search import evidence_confidence
from knowledge.search.fusion import Fusion
from knowledge.search.passage_merging import (
    group_neighbors,
    heading_reach,
    heading_start,
    merge_group,
    with_sentences,
    without_duplicates,
)
from knowledge.search.ranking import CANDIDATES, Ranker, Ranking
from knowledge.search.rerankers import LateInteraction
from knowledge.store.chunk_lookup import load_span, load_windows
from knowledge.store.embedding_models import Models
from knowledge.store.knowledge_version import read_version
from knowledge.store.serving_model import Serving
from knowledge.text_locations import with_places
from knowledge.types.scope import Scope
from knowledge.types.search_results import Found, Passage

_WARMING = "How many days of leave does everybody have?"


class Retriever:
    """Finds passages with hybrid search: dense and sparse search, fusion, reranking, and merging of neighbors.

    ``refresh_seconds`` is the interval of sources without one of their own: a passage says when its document was last
    read if that cannot be read for longer than two intervals.

    Implements the engine's ``Search``. Questions are encoded with the model that serves the tenant; ``models`` opens it
    if ``embedder`` is another one. Raises EmbeddingError if the question cannot be encoded.
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
        refresh_seconds: int = 0,
    ) -> None:
        self._sessions = sessions
        self._embedder = embedder
        self._reranker = reranker
        self._fusion = fusion
        self._candidates = candidates
        self._reranked = reranked
        self._refresh_seconds = refresh_seconds
        self._models = models or Models(embedder)
        self._ranker = self._new_ranker(embedder, reranker)
        self._rankers_by_model: dict[str, Ranker] = {}
        self._rankers_by_tenant: dict[str, Ranker] = {}

    def on(self, sessions: Sessions) -> Retriever:
        """Return the same retriever for another database."""
        return Retriever(
            sessions,
            self._embedder,
            self._reranker,
            fusion=self._fusion,
            candidates=self._candidates,
            reranked=self._reranked,
            models=self._models,
            refresh_seconds=self._refresh_seconds,
        )

    async def __call__(self, query: str, scope: Scope, *, k: int = 5, earlier: Sequence[str] = ()) -> Found:
        """Return the k best passages of the scope; none if the query is empty or there are no documents.

        ``earlier`` are the earlier questions of the thread, oldest first. They add context to a follow-up question.
        """
        if not query.strip():
            return Found((), {"total": 0.0}, 0.0, await self.version(scope.tenant_id))
        ranking = await self.rank(query, scope, least=k, earlier=earlier)
        began = time.perf_counter()
        ranked = superseded.ranked_lower(self._attach_sentences(ranking, limit=3 * k), query)
        weights = evidence_confidence.shipped()
        declines = ranking.confidence < weights.threshold
        async with self._sessions(scope.tenant_id) as session:
            widened = await self._widen_to_windows(session, ranked, scope)
            groups = group_neighbors(without_duplicates(widened), k)
            merged = await self._merge_groups(session, groups, scope)
            passages = await with_places(session, scope.tenant_id, merged)
            documents = await count_documents(session, scope) if declines else 0
        timings = dict(ranking.timings_ms)
        timings["total"] = round(timings["total"] + (time.perf_counter() - began) * 1000, 2)
        return Found(
            passages=tuple(passages),
            timings_ms=timings,
            confidence=ranking.confidence,
            decline_below=weights.threshold,
            weak_below=weights.weak_below,
            documents=documents,
            knowledge_version=ranking.version,
            embedding_model=ranking.model,
            embedding_tokens=ranking.tokens,
            searched=ranking.searched,
        )

    async def version(self, tenant_id: str) -> int:
        """Return the tenant's knowledge version, which grows with every change of its documents."""
        async with self._sessions(tenant_id) as session:
            return await read_version(session, tenant_id)

    @property
    def model(self) -> str:
        """The configured embedding model."""
        return self._embedder.model

    async def encode_ahead(self, query: str) -> list[float]:
        """Return the query's vector before the search, and cache it for the search."""
        return [float(value) for value in await self._ranker.encoder.encode_ahead(query)]

    async def warm(self, tenant_id: str) -> None:
        """Load the embedding model and the reranker, and search once. Raises EmbeddingError."""
        await self(_WARMING, Scope(tenant_id))
        await self.encode_ahead(_WARMING)
        if self._reranker is not None:
            text = "Everybody has 30 days of leave a year."
            await self._reranker.score(_WARMING, [Passage(0, "", text, "", "", (), 0, len(text), None, 0.0)])

    async def rank(self, query: str, scope: Scope, *, least: int = 5, earlier: Sequence[str] = ()) -> Ranking:
        """Return the ranking of every stage, with at least ``least`` passages in ``final`` if there are so many.

        If another model serves the tenant by the end of the ranking, the ranking is repeated.
        """
        ranker = self._rankers_by_tenant.get(scope.tenant_id, self._ranker)
        while True:
            try:
                ranking = await ranker.rank(query, scope, least=least, earlier=earlier)
            except EmbeddingError as error:
                if ranker is self._ranker:
                    raise
                self._models.give_up(ranker.embedder.model, error)
                ranker = self._rankers_by_tenant[scope.tenant_id] = self._ranker
                continue
            serving = await self._ranker_for(ranking.serving)
            if serving is ranker:
                return ranking
            ranker = self._rankers_by_tenant[scope.tenant_id] = serving

    async def _ranker_for(self, serving: Serving) -> Ranker:
        """Return the ranker that encodes questions with the serving model."""
        embedder = await self._models.for_questions(serving)
        if embedder is self._embedder:
            return self._ranker
        if embedder.model not in self._rankers_by_model:
            reranker = self._reranker
            if isinstance(reranker, LateInteraction):
                reranker = LateInteraction(embedder) if isinstance(embedder, TokenEmbedder) else None
            self._rankers_by_model[embedder.model] = self._new_ranker(embedder, reranker)
        return self._rankers_by_model[embedder.model]

    def _new_ranker(self, embedder: Embedder, reranker: Reranker | None) -> Ranker:
        return Ranker(
            self._sessions,
            embedder,
            reranker,
            fusion=self._fusion,
            candidates=self._candidates,
            reranked=self._reranked,
            refresh_seconds=self._refresh_seconds,
        )

    @staticmethod
    def _attach_sentences(ranking: Ranking, *, limit: int) -> list[Passage]:
        """Return the ranked passages; the first ``limit`` have the cosines of their sentences."""
        model, _ = split_name(ranking.model)
        head = [
            with_sentences(one, [comparable_cosine(ranking.model, cosine) for cosine in sentences], model)
            for one in ranking.final[:limit]
            for sentences in [ranking.sentences.get(one.chunk_id, ())]
        ]
        return [*head, *ranking.final[limit:]]

    @staticmethod
    async def _widen_to_windows(session: AsyncSession, passages: Sequence[Passage], scope: Scope) -> list[Passage]:
        """Replace each passage that has a window, such as a single sentence, with the text of the window."""
        numbers = [passage.chunk_id for passage in passages if passage.window]
        if not numbers:
            return list(passages)
        bodies = await load_windows(session, scope, numbers)
        return [
            replace(passage, text=bodies[passage.chunk_id], start=passage.window[0], end=passage.window[1], window=None)
            if passage.window and passage.chunk_id in bodies
            else passage
            for passage in passages
        ]

    @staticmethod
    async def _merge_groups(session: AsyncSession, groups: Sequence[Sequence[Passage]], scope: Scope) -> list[Passage]:
        """Merge each group into one passage, unless its document changed meanwhile."""
        if all(len(group) == 1 for group in groups):
            return [group[0] for group in groups]
        result: list[Passage] = []
        for group in groups:
            start, end = group[0].start, group[-1].end
            first = start - heading_reach(group)
            text = await load_span(session, scope, group[0].document_id, first, end)
            if len(text) != end - first:
                result += group
                continue
            heading = group[0].heading[-1] if group[0].heading else ""
            result.append(merge_group(group, text[heading_start(heading, text[: start - first]) :]))
        return result
