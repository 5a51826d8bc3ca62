"""The engine's store."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from bot.engine.memory import Quoted
from bot.types.answer_cache import NO_CACHE_NOTE, CachedAnswer, CacheNote
from bot.types.conversation import (
    Author,
    History,
    Incoming,
    PastMessage,
    Platform,
    StoredAttachment,
    ThreadKey,
)
from bot.types.settings import ChannelSettings
from bot.types.turns import Lease, Outcome, Turn, TurnRecord
from bot.types.usage import BudgetState, Call, Reservation


class Store(Protocol):
    """What the engine remembers between calls, always inside the turn's tenant."""

    async def accept(self, incoming: Incoming) -> Turn | None:
        """Write inbox and turn, and set aside what the question will likely take, in one transaction; None when this
        message was accepted before. Raises StoreAway."""

    async def first(self, thread: ThreadKey, message_id: str) -> bool:
        """Note a message that becomes no turn; False where it was noted or accepted before, by any process."""

    async def turns_of(self, thread: ThreadKey, message_id: str) -> Sequence[Turn]:
        """The turn that a message became, then those that asked it again."""

    async def begin_anew(self, turn: Turn, question: str) -> Turn | None:
        """Queue the turn with a changed question; whoever runs it loses it. None where it asks just that already."""

    async def forget(self, turn: Turn) -> None:
        """End the turn and forget question, answer and what was made of them; whoever runs it loses it."""

    async def is_forgotten(self, turn: Turn) -> bool: ...

    async def withdrawn(self, platform: Platform, *, known: Collection[str] = (), most: int = 20) -> Sequence[Turn]:
        """Forgotten turns whose messages this process is to take away, ``known`` left out."""

    async def taken_away(self, turn: Turn) -> bool:
        """Forget the messages of a forgotten turn: they stand no more. False where its holder has to say so."""

    async def offer_part(self, turn: Turn, index: int, ref: str) -> str | None:
        """Put a message on record that was posted when the turn was lost; the reference that is on record then.

        None where the question was deleted.
        """

    async def ask_to_stop(self, turn: Turn) -> bool:
        """Tell whoever runs the turn, now or later, that it was stopped; False where it has ended."""

    async def open_turns(self, thread: ThreadKey) -> Sequence[Turn]:
        """The thread's turns that wait or run, oldest first."""

    async def lease(self, turn: Turn) -> Lease | None:
        """Take the turn for this process; None while the thread is busy. Raises LeaseLost once the turn has ended."""

    async def renew(self, turn: Turn, lease: Lease) -> None:
        """Prolong the lease. Raises LeaseLost."""

    async def brief(self, turn: Turn) -> TurnRecord:
        """All that is on record for answering the turn."""

    async def history(self, turn: Turn) -> History: ...

    async def settings(self, thread: ThreadKey) -> ChannelSettings: ...

    async def keep_attachment(self, turn: Turn, attached: StoredAttachment) -> None:
        """Keep what was read of a file, or of the thread above."""

    async def turn(self, tenant_id: str, turn_id: str) -> Turn | None:
        """A stored turn, with the reply messages known so far."""

    async def admins(self, tenant_id: str) -> Collection[str]:
        """Ids of people whom an admin has made admins, beside those that the platform or the operator names."""

    async def knows(self, thread: ThreadKey) -> bool:
        """Whether the bot was ever asked in this thread."""

    async def unfinished(
        self, platform: Platform, *, known: Collection[str] = (), most: int = 100, suspects: bool = True
    ) -> Sequence[Turn]:
        """Turns for this process to run, kept for it from now on, the most urgent first; frees what the dead held.

        ``known`` are left out; one suspect at most is among them, and none unless ``suspects``.
        """

    async def serves(self, platform: Platform) -> None:
        """Note that this process serves the platform and has heard what was said before. Raises StoreAway."""

    async def last_served(self, platform: Platform) -> datetime | None:
        """When another process last served it; None where none did within a day."""

    async def direct_channels(self, platform: Platform) -> Sequence[str]:
        """Channels that are their own thread, in which the bot was asked within a week, the latest first."""

    async def hold(self, turn: Turn) -> bool:
        """Keep a queued turn for this process; False where it runs, has ended, or is another's."""

    async def release(self, turn: Turn) -> None:
        """Let any process run a queued turn that this one held."""

    async def record_waiting(self, turn: Turn, index: int, ref: str | None) -> str | None:
        """``record_part`` for a queued turn of this process. Raises LeaseLost once it is no longer that."""

    async def rate(self, turn: Turn, by: Author, value: int, reason: str) -> None: ...

    async def reserve(self, turn: Turn, tokens: int) -> Reservation:
        """Set tokens aside for the asker, the channel and the tenant, for all or for none. Raises OverBudget."""

    async def budget(self, tenant_id: str, user_id: str) -> BudgetState:
        """A person's own day."""

    async def budgets(self, tenant_id: str, channel_id: str, author: Author) -> tuple[BudgetState, ...]:
        """Everything that limits a turn of the author in the channel: own day, the channel's, the tenant's."""

    async def cached(self, tenant_id: str, key: str) -> CachedAnswer | None: ...

    async def still_stands(self, tenant_id: str, known: CachedAnswer, version: int) -> None:
        """Note that a kept answer was found to stand in this version of the knowledge."""

    async def record_part(self, turn: Turn, lease: Lease, index: int, ref: str | None) -> str | None:
        """See ``PartRecorder``."""

    async def change(self, turn: Turn, reservation: Reservation, tokens: int) -> Reservation:
        """Let a reservation stand at so many tokens. Raises OverBudget, and then it stands as before."""

    async def open_call(
        self, turn: Turn, call: Call, reservation: Reservation | None, *, tokens: int | None = None
    ) -> None:
        """Put a call on record before it is sent, the reservation standing at ``tokens`` from then on.

        Raises OverBudget where that is more than there is.
        """

    async def finish(
        self,
        turn: Turn,
        lease: Lease,
        outcome: Outcome,
        *,
        reservation: Reservation | None,
        cache_key: str | None,
        keeping: CacheNote = NO_CACHE_NOTE,
    ) -> None:
        """In one transaction: reply, ledger, settled reservation, cache entry, released lease. Raises LeaseLost."""

    async def hand_back(
        self, turn: Turn, lease: Lease, calls: Sequence[Call], *, reservation: Reservation | None
    ) -> None:
        """Put an interrupted turn back into the queue; what its calls cost is settled. Raises LeaseLost."""

    async def bill(self, turn: Turn, calls: Sequence[Call], reservation: Reservation | None) -> None:
        """Ledger rows of calls made outside a turn's answer (summaries), settled at once."""

    async def summarize(
        self,
        turn: Turn,
        *,
        since: int,
        due: Sequence[PastMessage],
        summary: str,
        quoted: Sequence[Quoted] = (),
    ) -> bool:
        """In one transaction: append to the thread's summary what it says of the ``due`` messages, and keep the facts
        quoted from them. Neither, where the summary moved on from ``since`` or one of the messages was changed or
        deleted meanwhile; whether it was done."""
