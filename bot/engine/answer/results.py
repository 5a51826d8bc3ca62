"""Collects the results of an attempt's steps so far, so that a failed answer can be stored and explained."""

from __future__ import annotations

from dataclasses import dataclass

from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.cached import CacheLookup
from bot.engine.answer.citations import Resolved, resolve
from bot.engine.answer.query import Query
from bot.engine.answer.retrieval import Evidence
from bot.types.answer_cache import CachedAnswer
from bot.types.turns import TurnState
from bot.types.usage import Route
from bot.types.verified_answers import VerifiedAnswer
from knowledge.types.search_results import Passage

NO_LOOKUP = CacheLookup()
NOTHING_RESOLVED = Resolved("", ())


@dataclass(slots=True)
class Results:
    """The frozen results of the steps that a failed answer is stored with, None or empty until the step has returned.

    Only ``Engine`` sets them.
    """

    query: Query | None = None
    route: Route | None = None
    lookup: CacheLookup = NO_LOOKUP
    verified: VerifiedAnswer | None = None
    evidence: Evidence | None = None

    @property
    def passages(self) -> tuple[Passage, ...]:
        """The passages that the answer may cite."""
        return self.evidence.passages if self.evidence else ()

    @property
    def reused(self) -> CachedAnswer | VerifiedAnswer | None:
        """The stored answer that is given, so that no model is asked; None if there is none."""
        return self.verified or self.lookup.hit


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of an attempt. ``reason`` tells the asker why there is no answer."""

    state: TurnState
    answer: Resolved = NOTHING_RESOLVED
    reason: str | None = None


def resolved(attempt: Attempt, results: Results) -> Resolved:
    """Check the citations of the text written so far against its passages."""
    sent = attempt.journal.sent
    return resolve(attempt.journal.text, sent.passages if sent else results.passages)
