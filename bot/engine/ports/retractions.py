"""Port to retractions: deleted questions, and replies that must be removed from a channel."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from bot.types.conversation import Platform
from bot.types.turns import Turn


class Retractions(Protocol):
    """Deletes questions and tracks the messages that must still be removed. Every method may raise StoreAway."""

    async def forget(self, turn: Turn) -> None:
        """End the turn and delete its question, its answer and everything derived from them."""

    async def is_forgotten(self, turn: Turn) -> bool:
        """Return whether the turn's question was deleted."""

    async def withdrawn(self, platform: Platform, *, known: Collection[str] = (), most: int = 20) -> Sequence[Turn]:
        """Return deleted turns whose messages this process must remove; turns in ``known`` are skipped."""

    async def mark_removed(self, turn: Turn) -> bool:
        """Record that a deleted turn's messages are gone.

        Return False if only the process that holds the turn may do so.
        """

    async def offer_part(self, turn: Turn, index: int, ref: str) -> str | None:
        """Record a message that was posted while the lease was being lost. Return the recorded reference.

        Return None if the question was deleted.
        """
