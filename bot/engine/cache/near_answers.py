"""Port of the semantic answer cache: cached answers found by the meaning of their question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.engine.cache.matching import Observation
from bot.types.answer_cache import CachedAnswer
from bot.types.turns import Turn


@dataclass(frozen=True, slots=True)
class SimilarAnswer:
    """A cached answer on the same ground, the cosine of the two questions, and feedback on the entry's earlier hits."""

    key: str
    question: str
    similarity: float
    observed: tuple[Observation, ...]
    answer: CachedAnswer


class SimilarAnswers(Protocol):
    """Finds cached answers by meaning and decides which of several identical turns answers. Limited to one tenant."""

    async def near(self, turn: Turn, ground: str) -> Sequence[SimilarAnswer]:
        """Return the closest cached answers; none if the question cannot be encoded."""

    async def keep(self, turn: Turn, key: str, ground: str) -> None:
        """Add the answer that the turn cached under ``key`` to the search by meaning."""

    async def note(self, turn: Turn, hit: SimilarAnswer, *, shadow: bool, right: bool | None = None) -> None:
        """Record a hit of the turn; after a shadow hit the turn was answered anew to compare both answers."""

    async def asked_afresh(self, turn: Turn) -> None:
        """Record that the asker rejected the cached answer by asking again."""

    async def take_off(self, turn: Turn, key: str) -> bool:
        """Return whether this turn answers the question, while other turns with the same key wait for it."""
