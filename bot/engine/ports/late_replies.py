"""Port to late replies: stored replies that were not shown when their turn ended."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from bot.types.conversation import Platform
from bot.types.turns import LateReplies, Lease, Turn


class LateReplyStore(Protocol):
    """Leases late replies to processes. Every method may raise StoreAway.

    Writes name the lease's fencing token and raise LeaseLost once another process has the reply, or once its question
    was edited or deleted. ``Leases.renew`` and ``Leases.record_part`` take these leases too.
    """

    async def claim(
        self, platform: Platform, *, known: Collection[str] = (), most: int = 8, suspects: bool = True
    ) -> LateReplies:
        """Lease up to ``most`` replies that are due, the oldest question first; skip the turns in ``known``.

        At most one of them is a suspect (``bot.engine.answer.poison``), without ``suspects`` none.

        The next try of each is scheduled at once, later with each try, so that a reply that kills its process is not
        tried without end.
        """

    async def postpone(self, turn: Turn, lease: Lease, *, wait: float | None) -> None:
        """Release the lease and try again after ``wait`` seconds, but not before the scheduled time. None: at once."""

    async def end(self, turn: Turn, lease: Lease, *, note: str = "", total_ms: float | None = None) -> None:
        """Record that the reply is shown or never will be; ``note`` says so in the trace.

        ``total_ms`` is given by the process that answered the turn; without it, the reply counts as shown late.
        """

    async def hurry(self, turn: Turn) -> bool:
        """Let the turn's reply be tried at once, since its platform is back. Return False if it is not late."""
