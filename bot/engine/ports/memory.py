"""Port to the searchable memory of a thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bot.engine.memory import Remembered, Said
from bot.types.conversation import (
    Fact,
)
from bot.types.turns import Turn


class Memory(Protocol):
    """Always inside the turn's thread. Raises knowledge errors and ParleyError."""

    async def older(self, turn: Turn, query: str) -> Sequence[Remembered]:
        """The messages before the turn, oldest first, each with what it says about the query."""

    async def facts(self, turn: Turn) -> Sequence[Fact]:
        """What people stated in the thread and nobody stated otherwise later, oldest first."""

    async def learn(self, turn: Turn, said: Sequence[Said]) -> None:
        """Keep what the turn's author stated in it, in place of what was kept of the turn before."""

    async def index(self, turn: Turn) -> None:
        """Make the thread's messages up to the turn's answer searchable."""

    def terms(self, text: str) -> list[str]:
        """The telling words of a text, stemmed."""
