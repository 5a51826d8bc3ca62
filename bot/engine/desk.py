"""The desk: takes messages in, runs their turns, and knows which are running in this process.

Platforms talk to the engine through it alone: ``accept`` before they acknowledge, ``start`` after.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from bot.engine.ports import Store, Surface
from bot.engine.turn import Engine
from bot.errors import NotAllowed
from bot.types import Author, Incoming, Outcome, Platform, ThreadKey, Tier, Turn

log = logging.getLogger(__name__)

SurfaceFor = Callable[[Turn], Surface]
"""Builds the place where a stored turn's reply goes; used after a restart."""


class Desk:
    """Runs turns as tasks, one at a time in a thread."""

    async def accept(self, incoming: Incoming) -> Turn | None:
        """Store the message and its turn; None when it was accepted before. Raises UsageError (empty, too long)."""

    def start(self, turn: Turn, surface: Surface) -> asyncio.Task[Outcome]:
        """Run the turn in the background. The task never raises for a failed turn: the outcome says how it ended."""

    async def stop(self, turn_id: str, by: Author) -> None:
        """Stop a running turn. Raises NotAllowed unless ``by`` asked it or is an admin; UsageError if it has ended."""

    async def repeat(self, turn_id: str, by: Author, *, tenant_id: str, wish: Tier | None) -> Turn:
        """Accept the question of an earlier turn once more, past the answer cache. Raises UsageError."""

    async def rate(self, turn_id: str, by: Author, *, tenant_id: str, value: int, reason: str = "") -> None:
        """Keep a thumb: ``value`` is 1 or -1; a later thumb of the same person replaces it."""

    async def follows(self, thread: ThreadKey) -> bool:
        """Whether the bot answers in this thread without being mentioned: it is in it, and the channel allows it."""

    async def resume(self, platform: Platform, surface_for: SurfaceFor) -> int:
        """Start the platform's turns that no live process holds; the number started. Called at start and now and then."""

    async def close(self, grace: float = 10.0) -> None:
        """Take no more, let running turns finish for ``grace`` seconds, then cancel what is left and hand it back."""
