"""Port to the turn queue: which process runs which waiting turn."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from bot.types.conversation import Platform, ThreadKey
from bot.types.turns import UNLIMITED, TenantRoom, Turn


class TurnQueue(Protocol):
    """Hands queued turns to processes. Every method may raise StoreAway."""

    async def ready_turns(
        self,
        platform: Platform,
        *,
        known: Collection[str] = (),
        room: TenantRoom = UNLIMITED,
        most: int = 100,
        suspects: bool = True,
    ) -> Sequence[Turn]:
        """Claim up to ``most`` turns for this process, the most urgent first; also free turns of dead processes.

        Turns in ``known`` are skipped, and so are those for which their tenant has no ``room`` in this process: other
        processes may have room for them.
        At most one poison suspect is returned, none unless ``suspects``.
        """

    async def has_work(self, platform: Platform, *, known: Collection[str] = ()) -> bool:
        """Return whether turns wait that this process may run, or replies that it must remove, besides ``known``.

        This is cheap, so that it can be asked every few seconds in case a notification was missed.
        """

    async def hold(self, turn: Turn) -> bool:
        """Reserve a queued turn for this process. Return False if it runs, has ended, or another process holds it."""

    async def release(self, turn: Turn) -> None:
        """Let any process run a queued turn that this process held."""

    async def record_waiting(self, turn: Turn, index: int, ref: str | None) -> str | None:
        """Like ``Leases.record_part``, for a queued turn that this process holds.

        Raise LeaseLost if it no longer holds it.
        """

    async def open_turns(self, thread: ThreadKey) -> Sequence[Turn]:
        """Return the queued and running turns of a thread, oldest first."""

    async def ask_to_stop(self, turn: Turn) -> bool:
        """Tell the process that runs the turn, now or later, to stop. Return False if the turn has ended."""

    async def mark_serving(self, platform: Platform) -> None:
        """Record that this process serves the platform and has read its missed messages."""

    async def last_served(self, platform: Platform) -> datetime | None:
        """Return when another process last served the platform, or None if none did within a day."""

    async def direct_channels(self, platform: Platform) -> Sequence[str]:
        """Return the direct-message channels in which the bot was asked within a week, the latest first."""
