"""Ports to the answer cache: exact lookups, and answers to the same question in other words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.engine.cache.matching import Observation
from bot.types.answer_cache import CachedAnswer
from bot.types.turns import Turn


class AnswerCache(Protocol):
    """Finds earlier answers by key. ``Leases.finish`` stores them. Every method may raise StoreAway."""

    async def cached(self, tenant_id: str, key: str) -> CachedAnswer | None:
        """Return the unexpired answer stored under the key."""

    async def titles(self, tenant_id: str, documents: Sequence[str]) -> Mapping[str, str]:
        """Return the titles that citations of documents show now, by ID, with a note such as “gone since ...”."""

    async def mark_current(self, tenant_id: str, known: CachedAnswer, version: int) -> None:
        """Record that the answer is still valid for this version of the knowledge."""


@dataclass(frozen=True, slots=True)
class SimilarAnswer:
    """A cached answer to a similar question, the similarity of the two questions, and the feedback on earlier hits."""

    key: str
    question: str
    similarity: float
    observed: tuple[Observation, ...]
    answer: CachedAnswer


class SimilarAnswers(Protocol):
    """Finds answers by the meaning of their question. Lets one turn answer while others with the same question wait."""

    async def near(self, turn: Turn, ground: str) -> Sequence[SimilarAnswer]:
        """Return the cached answers whose questions are most similar; none if the question cannot be encoded."""

    async def keep(self, turn: Turn, key: str, ground: str) -> None:
        """Make the answer that the turn stored under ``key`` findable by meaning."""

    async def note(self, turn: Turn, hit: SimilarAnswer, *, shadow: bool, right: bool | None = None) -> None:
        """Record that the turn hit an answer. A shadow hit was answered again for comparison."""

    async def asked_afresh(self, turn: Turn) -> None:
        """Record that the asker rejected the cached answer and asked for another."""

    async def claim_question(self, turn: Turn, key: str) -> bool:
        """Return whether this turn answers the question now while others wait for it."""
