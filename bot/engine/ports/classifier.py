"""Port to the router's classifier, which rates how hard a question is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bot.engine.ports.llm import Meter
from bot.types.usage import Tier


@dataclass(frozen=True, slots=True)
class Verdict:
    """The tier that a question wants, and why; ``sure`` where that is worth leaving a warm thread for."""

    tier: Tier
    sure: bool
    reason: str


class Classifier(Protocol):
    """Judges a question; ``query`` is the question as it is searched for, made to stand alone.

    Raises nothing of a provider: one that asks a model has another to fall back on.
    """

    async def __call__(self, question: str, *, query: str, meter: Meter) -> Verdict: ...
