"""The local classifier: no call, no network, a millisecond."""

from __future__ import annotations

from bot.engine.ports import Meter, Verdict
from bot.engine.routing.weights import Weights, shipped


class LocalClassifier:
    """Sends the hardest ``strong_share`` of the questions it was trained on to the strong model.

    A warm thread is left for questions among the hardest half of these. Deterministic.
    """

    def __init__(self, strong_share: float, weights: Weights | None = None) -> None:
        self._weights = weights or shipped()
        self._from = 1.0 - strong_share
        self._sure_from = 1.0 - strong_share / 2

    async def __call__(self, question: str, *, meter: Meter) -> Verdict:
        return self.judge(question)

    def judge(self, question: str) -> Verdict:
        """The tier of a question, by its score alone."""
        score = self._weights.score(question)
        strong = self._from < 1.0 and score >= self._from
        reason = (
            f"the question looks {'hard' if strong else 'simple'}: its score is {score:.2f}, "
            f"and the strong model answers from {self._from:.2f}"
        )
        return Verdict("strong" if strong else "cheap", strong and score >= self._sure_from, reason)
