"""Port to the router's classifier, which rates how hard a question is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bot.engine.ports.llm import Meter
from bot.types.usage import Tier


@dataclass(frozen=True, slots=True)
class Verdict:
    """The tier a question needs and why. ``sure``: certain enough to leave a thread's warm prompt cache."""

    tier: Tier
    sure: bool
    reason: str


class Classifier(Protocol):
    """Rates a question; ``query`` is the question with the earlier words that it leans on.

    Never raises provider errors: a classifier that asks a model falls back to a local one.
    """

    async def __call__(self, question: str, *, query: str, meter: Meter) -> Verdict: ...
