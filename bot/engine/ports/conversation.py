"""Port to a thread's conversation: its history, rolling summary and ratings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bot.engine.memory import VerifiedFact
from bot.types.conversation import Author, History, PastMessage
from bot.types.turns import Turn, TurnRecord


class Conversation(Protocol):
    """Reads a thread's history and appends summaries and ratings. Every method may raise StoreAway."""

    async def turn_record(self, turn: Turn) -> TurnRecord:
        """Return everything stored that an answer needs, in one read."""

    async def history(self, turn: Turn) -> History:
        """Return the messages and summary before the turn."""

    async def summarize(
        self,
        turn: Turn,
        *,
        since: int,
        due: Sequence[PastMessage],
        summary: str,
        quoted: Sequence[VerifiedFact] = (),
    ) -> bool:
        """Append a summary of the ``due`` messages and store the facts quoted from them, in one transaction.

        If the summary no longer ends at ``since``, or a message was edited or deleted, store nothing and return False.
        """

    async def rate(self, turn: Turn, by: Author, value: int, reason: str) -> None:
        """Store a rating of the turn's answer: 1 or -1. A later rating by the same person replaces it."""

    async def withdraw_rating(self, turn: Turn, by: Author, value: int) -> None:
        """Delete the person's rating if it still has this value."""
