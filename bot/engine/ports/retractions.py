"""Port to retractions: deleted questions, and replies that must be removed from a channel."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from bot.types.conversation import Platform
from bot.types.turns import Turn


class Retractions(Protocol):
    """Forgets questions and tracks the messages that still have to go. Every method may raise StoreAway."""

    async def forget(self, turn: Turn) -> None:
        """End the turn and delete its question, answer and what was derived from them."""

    async def is_forgotten(self, turn: Turn) -> bool:
        """Return whether the turn's question was deleted."""

    async def withdrawn(self, platform: Platform, *, known: Collection[str] = (), most: int = 20) -> Sequence[Turn]:
        """Return forgotten turns whose messages this process must remove; turns in ``known`` are skipped."""

    async def mark_removed(self, turn: Turn) -> bool:
        """Record that a forgotten turn's messages are gone. Return False if only its holder may say so."""

    async def offer_part(self, turn: Turn, index: int, ref: str) -> str | None:
        """Record a message that was posted as the lease was lost. Return the reference on record.

        Return None if the question was deleted.
        """
