"""What the engine needs to give an earlier answer to the same question in other words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.engine.cache.matching import Observation
from bot.types.answer_cache import CachedAnswer
from bot.types.turns import Turn


@dataclass(frozen=True, slots=True)
class SimilarAnswer:
    """A kept answer to a question of the same ground, how close the questions are, and what became of earlier hits."""

    key: str
    question: str
    similarity: float
    observed: tuple[Observation, ...]
    answer: CachedAnswer


class SimilarAnswers(Protocol):
    """Answers by what their questions ask, and whose turn it is to answer. Always inside the turn's tenant."""

    async def near(self, turn: Turn, ground: str) -> Sequence[SimilarAnswer]:
        """The closest kept answers; none where the question cannot be encoded."""

    async def keep(self, turn: Turn, key: str, ground: str) -> None:
        """Let the answer that the turn left under ``key`` be found by other words."""

    async def note(self, turn: Turn, hit: SimilarAnswer, *, shadow: bool, right: bool | None = None) -> None:
        """Keep that the turn hit an answer; a shadow hit was answered anew all the same."""

    async def asked_afresh(self, turn: Turn) -> None:
        """The answer that the asker got from the cache was not what was wanted."""

    async def take_off(self, turn: Turn, key: str) -> bool:
        """Whether this turn answers the question now, and others wait for it."""
