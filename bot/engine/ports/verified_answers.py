"""Port to the answers that people have verified."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bot.types.verified_answers import SimilarQuestion
from knowledge.types.scope import Scope


class VerifiedAnswers(Protocol):
    """Finds verified answers. Every method may raise StoreAway."""

    async def near(self, question: str, scope: Scope) -> Sequence[SimilarQuestion]:
        """Return the most similar questions of verified answers in force that everybody in the scope may read.

        Return none if the question cannot be encoded.
        """
