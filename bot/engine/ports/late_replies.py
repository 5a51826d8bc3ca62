"""Port to late replies: stored replies that could not be shown when their turn ended."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from bot.types.conversation import Platform
from bot.types.turns import LateReplies, LateReply, Turn


class LateReplyStore(Protocol):
    """Leases late replies to processes. Every method may raise StoreAway.

    Writes name the lease's fencing token and raise LeaseLost once another process has the reply, or once its question
    was edited or deleted. ``Leases.renew`` and ``Leases.record_part`` take these leases too.
    """

    async def claim(self, platform: Platform, *, known: Collection[str] = (), most: int = 8) -> LateReplies:
        """Lease up to ``most`` replies that are due, the oldest question first; skip the turns in ``known``.

        The next try of each is scheduled at once, later with each try, so that a reply that kills its process is not
        tried without end.
        """

    async def postpone(self, reply: LateReply, *, wait: float | None) -> None:
        """Release the lease and try again after ``wait`` seconds, but not before the scheduled time. None: at once."""

    async def end(self, reply: LateReply, *, note: str = "") -> None:
        """Record that the reply is shown or never will be; ``note`` says so in the trace."""

    async def hurry(self, turn: Turn) -> bool:
        """Let the turn's reply be tried at once, since its platform is back. Return False if it is not late."""
