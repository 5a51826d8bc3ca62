"""Late replies on PostgreSQL: see ``bot.engine.ports.late_replies.LateReplyStore``."""

from __future__ import annotations

from collections.abc import Callable, Collection

from sqlalchemy.ext.asyncio import AsyncSession

from bot.engine.user_messages import LOST
from bot.errors import LeaseLost
from bot.store.adapters.transactions import Transactions
from bot.store.turns import late_replies, turn_queue
from bot.types.conversation import Platform
from bot.types.turns import LateReplies, LateReply, Lease, Notice, Turn


class PostgresLateReplies:
    """Leases late replies. ``holder`` returns the number under which this process may hold turns."""

    def __init__(self, transactions: Transactions, *, holder: Callable[[], int | None]) -> None:
        self._transactions = transactions
        self._database = transactions.database
        self._holder = holder

    async def claim(
        self, platform: Platform, *, known: Collection[str] = (), most: int = 8, suspects: bool = True
    ) -> LateReplies:
        async with self._database.queue() as session:
            found = await late_replies.due(session, platform=platform, known=known, most=most + 1, suspects=suspects)
        first = next((one for one in found if one.suspect), None)
        found = [one for one in found if not one.suspect or one is first]
        claimed = [await self._claim(one) for one in found[:most] if one.wait <= 0]
        waits = [one.wait for one in found[len(claimed) :]]
        return LateReplies(tuple(one for one in claimed if one is not None), max(0.0, waits[0]) if waits else None)

    async def _claim(self, found: late_replies.Due) -> LateReply | None:
        async def claim(session: AsyncSession) -> LateReply | None:
            return await late_replies.claim(session, found, holder=self._holder())

        return await self._database.run(found.tenant_id, claim)

    async def postpone(self, turn: Turn, lease: Lease, *, wait: float | None) -> None:
        postponing = late_replies.postponing(turn, lease, wait=wait)
        ready = turn_queue.telling(Notice("ready", "", turn.thread.platform))
        (rows, *_) = await self._transactions.send(turn.thread.tenant_id, postponing, ready)
        if not rows:
            raise LeaseLost(LOST)

    async def end(self, turn: Turn, lease: Lease, *, note: str = "", total_ms: float | None = None) -> None:
        tenant_id, next_turn = turn.thread.tenant_id, turn_queue.telling_next(thread=turn.thread)
        ending = late_replies.ending(turn, lease, note=note, total_ms=total_ms)

        async def once(again: bool) -> bool:
            (rows, *_) = await self._database.flush(tenant_id, ending, next_turn)
            if not rows and again:
                (rows,) = await self._database.flush(tenant_id, late_replies.ended(turn, lease))
            return bool(rows)

        if not await self._transactions.retry(once):
            raise LeaseLost(LOST)

    async def hurry(self, turn: Turn) -> bool:
        async def hurry(session: AsyncSession) -> bool:
            late = await late_replies.hurry(session, turn)
            if late:
                await turn_queue.tell(session, Notice("ready", "", turn.thread.platform))
            return late

        return await self._database.run(turn.thread.tenant_id, hurry)
