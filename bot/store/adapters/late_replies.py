"""Late replies on PostgreSQL: see ``bot.engine.ports.late_replies.LateReplyStore``."""

from __future__ import annotations

from collections.abc import Callable, Collection

from sqlalchemy.ext.asyncio import AsyncSession

from bot.engine.user_messages import LOST
from bot.errors import LeaseLost
from bot.store import late_replies, turn_queue
from bot.store.adapters.transactions import Transactions
from bot.types.conversation import Platform
from bot.types.turns import LateReplies, LateReply, Notice, Turn


class PostgresLateReplies:
    """Leases late replies. ``holder`` returns the number under which this process may hold turns."""

    def __init__(self, transactions: Transactions, *, holder: Callable[[], int | None]) -> None:
        self._transactions = transactions
        self._database = transactions.database
        self._holder = holder

    async def claim(self, platform: Platform, *, known: Collection[str] = (), most: int = 8) -> LateReplies:
        async with self._database.queue() as session:
            found = await late_replies.due(session, platform=platform, known=known, most=most + 1)
        claimed = [await self._claim(one) for one in found[:most] if one.wait <= 0]
        waits = [one.wait for one in found[len(claimed) :]]
        return LateReplies(tuple(one for one in claimed if one is not None), max(0.0, waits[0]) if waits else None)

    async def _claim(self, found: late_replies.Due) -> LateReply | None:
        async def claim(session: AsyncSession) -> LateReply | None:
            return await late_replies.claim(session, found, holder=self._holder())

        return await self._database.run(found.tenant_id, claim)

    async def postpone(self, reply: LateReply, *, wait: float | None) -> None:
        async def once(session: AsyncSession, _: bool) -> bool:
            await turn_queue.tell(session, Notice("ready", "", reply.turn.thread.platform))
            return await late_replies.postpone(session, reply, wait=wait)

        if not await self._transactions.session(reply.turn.thread.tenant_id, once):
            raise LeaseLost(LOST)

    async def end(self, reply: LateReply, *, note: str = "") -> None:
        async def once(session: AsyncSession, again: bool) -> bool:
            ended = await late_replies.end(session, reply, note=note, again=again)
            await turn_queue.tell_next(session, thread=reply.turn.thread)
            return ended

        if not await self._transactions.session(reply.turn.thread.tenant_id, once):
            raise LeaseLost(LOST)

    async def hurry(self, turn: Turn) -> bool:
        async def hurry(session: AsyncSession) -> bool:
            late = await late_replies.hurry(session, turn)
            if late:
                await turn_queue.tell(session, Notice("ready", "", turn.thread.platform))
            return late

        return await self._database.run(turn.thread.tenant_id, hurry)
