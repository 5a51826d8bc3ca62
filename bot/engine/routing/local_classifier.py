"""Classifies questions as simple or hard without a model call; takes about a millisecond plus the question vector."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from bot.engine.ports.classifier import Verdict
from bot.engine.ports.llm import Meter
from bot.engine.routing.weights import Weights, shipped
from bot.errors import for_operator
from knowledge.errors import KnowledgeError

log = logging.getLogger(__name__)

Encode = Callable[[str], Awaitable[Sequence[float]]]
"""Returns the vector of a search query; the search that follows reuses it."""


class LocalClassifier:
    """Sends the hardest ``strong_share`` of questions, as measured on the training questions, to the strong model.

    A thread leaves the cheap model only for the harder half of these. ``encode`` must use the embedding model that the
    weights were trained for; without it, or if it fails, only lexical features count. Deterministic.
    """

    def __init__(self, strong_share: float, encode: Encode | None = None, weights: Weights | None = None) -> None:
        self._weights = weights or shipped()
        self._encode = encode
        self._from = 1.0 - strong_share
        self._sure_from = 1.0 - strong_share / 2

    async def __call__(self, question: str, *, query: str, meter: Meter) -> Verdict:
        return self.judge(question, await self._vector(query))

    def judge(self, question: str, vector: Sequence[float] | None = None) -> Verdict:
        """Return the tier of a question by its score."""
        score = self._weights.score(question, vector)
        strong = self._from < 1.0 and score >= self._from
        by = "" if self._weights.fits(vector) else ", by its form only"
        reason = (
            f"the question looks {'hard' if strong else 'simple'}{by}: its score is {score:.2f}, "
            f"and the strong model answers from {self._from:.2f}"
        )
        return Verdict("strong" if strong else "cheap", strong and score >= self._sure_from, reason)

    async def _vector(self, query: str) -> Sequence[float] | None:
        if self._encode is None or not query.strip():
            return None
        try:
            return await self._encode(query)
        except KnowledgeError as error:
            log.warning("routing without the question vector: %s", for_operator(error))
            return None
