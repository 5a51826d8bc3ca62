"""Port to the searchable memory of a thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bot.engine.memory import Remembered, StatedFact
from bot.types.conversation import Fact
from bot.types.turns import Turn


class Memory(Protocol):
    """Searches old messages and facts of the turn's own thread. Raises knowledge errors and ParleyError."""

    async def older(self, turn: Turn, query: str) -> Sequence[Remembered]:
        """Return the messages before the turn, oldest first, each scored against the query."""

    async def facts(self, turn: Turn) -> Sequence[Fact]:
        """Return the facts stated in the thread, oldest first, without those that a later statement replaced."""

    async def learn(self, turn: Turn, said: Sequence[StatedFact]) -> None:
        """Store the facts that the author stated in this turn. They replace the facts stored for the turn before."""

    async def index(self, turn: Turn) -> None:
        """Make the thread's messages up to the turn's answer searchable."""

    def terms(self, text: str) -> list[str]:
        """Return the content words of a text, stemmed."""
