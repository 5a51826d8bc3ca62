"""Port to leases: the exclusive right to answer a turn, and the ways in which a leased turn ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bot.types.answer_cache import NO_CACHE_NOTE, CacheNote
from bot.types.turns import Lease, Outcome, Turn
from bot.types.usage import Call, Reservation


class Leases(Protocol):
    """Every write names the lease's fencing token and raises LeaseLost once another process has the turn.

    Every method may raise StoreAway.
    """

    async def lease(self, turn: Turn) -> Lease | None:
        """Lease the turn to this process. Return None while the thread is busy; raise LeaseLost if the turn ended."""

    async def renew(self, turn: Turn, lease: Lease) -> None:
        """Extend the lease."""

    async def record_part(
        self, turn: Turn, lease: Lease, index: int, ref: str | None, *, replaced: str | None = None
    ) -> str | None:
        """Record a reply message as ``PartRecorder`` describes. Return the recorded reference."""

    async def finish(
        self,
        turn: Turn,
        lease: Lease,
        outcome: Outcome,
        *,
        reservation: Reservation | None,
        cache_key: str | None,
        cache_note: CacheNote = NO_CACHE_NOTE,
    ) -> None:
        """Store the reply, ledger rows and cache entry, and settle the reservation, in one transaction.

        The lease is released, unless ``outcome.deliver_in`` says that the reply is not shown yet: then the lease allows
        to show it, and ``LateReplyStore.end`` or ``postpone`` releases it. If the lease is lost, the calls and the
        reservation are settled alone, before LeaseLost is raised.
        """

    async def hand_back(
        self, turn: Turn, lease: Lease, calls: Sequence[Call], *, reservation: Reservation | None
    ) -> None:
        """Queue an interrupted turn again and settle what its calls cost; if the lease is lost, settle nothing."""
