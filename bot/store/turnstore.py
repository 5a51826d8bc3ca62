"""The part of the Store that is the queue: turns accepted, held, leased, recorded, changed and given back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from itertools import groupby
from typing import TypeVar

from psycopg.errors import UniqueViolation
from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import LeaseLost, StoreAway
from bot.store import (
    attachments,
    budget_reservations,
    leases,
    processes,
    question_changes,
    reply_parts,
    threads,
    turn_queue,
    turns,
)
from bot.store.retry import patiently
from bot.store.session import Database
from bot.types.conversation import Platform, StoredAttachment, ThreadKey
from bot.types.turns import Lease, Notice, Turn

Result = TypeVar("Result")

ACCEPT_PATIENCE = 1.0
"""Seconds that an acceptance waits: a connection may have broken since it was used last."""
PATIENCE = 30.0
"""Seconds that a running turn waits for a database that is away."""


class TurnStore(ABC):
    """Each method is one transaction. ``holder`` says under which number this process may hold turns just now.

    What a running turn needs waits ``patience`` seconds for a database that is away; what accepts one does not, for
    the platform waits only so long. Raises StoreAway.
    """

    def __init__(
        self,
        database: Database,
        *,
        count_tokens: Callable[[str], int],
        holder: Callable[[], int | None] = lambda: None,
        patience: float = PATIENCE,
        settling: float = processes.SETTLING,
    ) -> None:
        self._database = database
        self._count_tokens = count_tokens
        self._holder = holder
        self._patience = patience
        self._settling = settling

    async def _trying(self, tenant_id: str, work: Callable[[AsyncSession, bool], Awaitable[Result]]) -> Result:
        """``work`` in one transaction; again where the database was away, and told so."""

        async def once(again: bool) -> Result:
            async with self._database.tenant(tenant_id) as session:
                return await work(session, again)

        return await patiently(once, self._patience)

    # --- taking in

    async def first(self, thread: ThreadKey, message_id: str) -> bool:
        async with self._database.tenant(thread.tenant_id) as session:
            return await turns.first(session, thread=thread, message_id=message_id)

    async def knows(self, thread: ThreadKey) -> bool:
        async with self._database.tenant(thread.tenant_id) as session:
            return await threads.exists(session, key=thread)

    async def turn(self, tenant_id: str, turn_id: str) -> Turn | None:
        return await self._trying(
            tenant_id, lambda session, _: turns.get(session, tenant_id=tenant_id, turn_id=turn_id)
        )

    async def turns_of(self, thread: ThreadKey, message_id: str) -> Sequence[Turn]:
        async with self._database.tenant(thread.tenant_id) as session:
            found = await turns.of_message(session, thread=thread, message_id=message_id)
            known = [await turns.get(session, tenant_id=thread.tenant_id, turn_id=turn_id) for turn_id in found]
            return [turn for turn in known if turn is not None]

    async def begin_anew(self, turn: Turn, question: str) -> Turn | None:
        tenant_id = turn.thread.tenant_id
        async with self._database.tenant(tenant_id) as session:
            anew = await question_changes.begin_anew(
                session,
                tenant_id=tenant_id,
                turn_id=turn.id,
                question=question,
                tokens=self._count_tokens(question),
                holder=self._holder(),
            )
            if not anew:
                return None
            changed = await turns.get(session, tenant_id=tenant_id, turn_id=turn.id)
        await self._set_aside_anew(turn, self._count_tokens(question))
        return changed

    @abstractmethod
    async def _set_aside_anew(self, turn: Turn, tokens: int) -> None:
        """Give back what is held for a turn, and set aside what a question of so many tokens will likely take."""

    async def forget(self, turn: Turn) -> None:
        async with self._database.tenant(turn.thread.tenant_id) as session:
            await question_changes.forget_turn(
                session, tenant_id=turn.thread.tenant_id, turn_id=turn.id, holder=self._holder()
            )
        await self._database.flush(turn.thread.tenant_id, budget_reservations.release(turn.thread.tenant_id, turn.id))

    async def taken_away(self, turn: Turn) -> bool:
        async def once(session: AsyncSession, _: bool) -> bool:
            tenant_id = turn.thread.tenant_id
            return await question_changes.taken_away(
                session, tenant_id=tenant_id, turn_id=turn.id, holder=self._holder()
            )

        return await self._trying(turn.thread.tenant_id, once)

    async def is_forgotten(self, turn: Turn) -> bool:
        async def once(session: AsyncSession, _: bool) -> bool:
            row = await turns.row_of(session, tenant_id=turn.thread.tenant_id, turn_id=turn.id)
            return row is not None and not row.question

        return await self._trying(turn.thread.tenant_id, once)

    async def offer_part(self, turn: Turn, index: int, ref: str) -> str | None:
        return await self._trying(
            turn.thread.tenant_id, lambda session, _: reply_parts.offer(session, turn, index, ref)
        )

    async def attachments(self, turn: Turn) -> Sequence[StoredAttachment]:
        return await self._trying(turn.thread.tenant_id, lambda session, _: attachments.of_thread(session, turn=turn))

    async def keep_attachment(self, turn: Turn, attached: StoredAttachment) -> None:
        await self._trying(
            turn.thread.tenant_id,
            lambda session, _: attachments.keep(session, tenant_id=turn.thread.tenant_id, attached=attached),
        )

    async def ask_to_stop(self, turn: Turn) -> bool:
        async with self._database.tenant(turn.thread.tenant_id) as session:
            asked = await turns.ask_to_stop(session, turn=turn)
            if asked:
                await turn_queue.tell(session, Notice("stop", turn.id))
            return asked

    async def open_turns(self, thread: ThreadKey) -> Sequence[Turn]:
        async with self._database.tenant(thread.tenant_id) as session:
            return await turns.open_turns(session, thread=thread)

    # --- who runs what

    async def unfinished(
        self, platform: Platform, *, known: Collection[str] = (), most: int = 100, suspects: bool = True
    ) -> Sequence[Turn]:
        await self._free_what_the_dead_held()
        async with self._database.queue() as session:
            found = await turn_queue.ready(
                session, platform=platform, holder=self._holder(), known=known, most=most, suspects=suspects
            )
        claimed = [await self._claim(one) for one in found]
        return [turn for turn in claimed if turn is not None]

    async def _claim(self, found: turn_queue.Ready) -> Turn | None:
        """The turn, kept for this process where it waits; None where another one was faster."""
        async with self._database.tenant(found.tenant_id) as session:
            turn = await turns.get(session, tenant_id=found.tenant_id, turn_id=found.turn_id)
            if turn is None or found.running or self._holder() is None:
                return turn
            return turn if await turn_queue.hold(session, turn=turn, holder=self._holder()) else None

    async def _free_what_the_dead_held(self) -> None:
        async with self._database.queue() as session:
            left = await turn_queue.left_behind(session, holder=self._holder(), settling=self._settling)
        for (tenant_id, _), of_tenant in groupby(left, key=lambda one: (one.tenant_id, one.suspect)):
            async with self._database.tenant(tenant_id) as session:
                await turn_queue.set_free(session, tenant_id=tenant_id, left=list(of_tenant))

    async def withdrawn(self, platform: Platform, *, known: Collection[str] = (), most: int = 20) -> Sequence[Turn]:
        async with self._database.queue() as session:
            found = await turn_queue.withdrawn(
                session, platform=platform, holder=self._holder(), known=known, most=most
            )
        stored = [await self.turn(tenant_id, turn_id) for tenant_id, turn_id in found]
        return [turn for turn in stored if turn is not None]

    async def serves(self, platform: Platform) -> None:
        holder = self._holder()
        if holder is None:
            raise StoreAway("the line to the database is down")
        async with self._database.queue() as session:
            await processes.serves(session, process_id=holder, platform=platform)

    async def last_served(self, platform: Platform) -> datetime | None:
        async with self._database.queue() as session:
            return await processes.last_served(session, process_id=self._holder() or 0, platform=platform)

    async def direct_channels(self, platform: Platform) -> Sequence[str]:
        async with self._database.queue() as session:
            return await turn_queue.direct_channels(session, platform=platform)

    async def hold(self, turn: Turn) -> bool:
        async with self._database.tenant(turn.thread.tenant_id) as session:
            return await turn_queue.hold(session, turn=turn, holder=self._holder())

    async def release(self, turn: Turn) -> None:
        async with self._database.tenant(turn.thread.tenant_id) as session:
            await turn_queue.release(session, turn=turn, holder=self._holder())

    async def record_waiting(self, turn: Turn, index: int, ref: str | None) -> str | None:
        async with self._database.tenant(turn.thread.tenant_id) as session:
            return await turn_queue.record_waiting(session, turn=turn, holder=self._holder(), index=index, ref=ref)

    async def lease(self, turn: Turn) -> Lease | None:
        tenant_id, asked = turn.thread.tenant_id, leases.taking(turn, self._holder())
        try:
            rows = await patiently(lambda _: self._database.flush(tenant_id, *asked), self._patience)
        except UniqueViolation:
            return None
        lease = leases.taken(turn, *rows)
        if lease is not None and lease.fence > 1:
            await self._settle_interrupted(turn)
        return lease

    @abstractmethod
    async def _settle_interrupted(self, turn: Turn) -> None:
        """Settle what an earlier run of the turn still holds and had under way."""

    async def renew(self, turn: Turn, lease: Lease) -> None:
        (rows,) = await self._database.flush(turn.thread.tenant_id, leases.renewing(turn, lease, self._holder()))
        if not rows:
            raise LeaseLost(leases.TAKEN)

    async def record_part(self, turn: Turn, lease: Lease, index: int, ref: str | None) -> str | None:
        tenant_id, noting = turn.thread.tenant_id, leases.recording(turn, lease, index, ref)
        (rows,) = await patiently(lambda _: self._database.flush(tenant_id, noting), self._patience)
        if not rows:
            raise LeaseLost(leases.TAKEN)
        known: str | None = rows[0].ref
        return known
