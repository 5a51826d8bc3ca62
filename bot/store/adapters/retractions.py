"""Retractions on PostgreSQL: see ``bot.engine.ports.retractions.Retractions``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.adapters.transactions import Transactions
from bot.store.budgets import budget_reservations
from bot.store.database.pipelined_transactions import Work
from bot.store.turns import question_changes, reply_parts, turn_queue, turns
from bot.types.conversation import Platform
from bot.types.turns import Turn


class PostgresRetractions:
    """Deletes questions and tracks their replies.

    ``holder`` returns the number under which this process may hold turns.
    """

    def __init__(self, transactions: Transactions, *, holder: Callable[[], int | None]) -> None:
        self._transactions = transactions
        self._database = transactions.database
        self._holder = holder

    async def forget(self, turn: Turn) -> None:
        tenant_id = turn.thread.tenant_id

        async def once(work: Work, _: bool) -> None:
            forgetting = question_changes.forgetting(tenant_id=tenant_id, turn_id=turn.id, holder=self._holder())
            (forgotten,) = await work.ask(forgetting)
            for row in forgotten:  # None if an erasure or the retention was faster.
                following = question_changes.following_a_deletion(
                    tenant_id=tenant_id, turn_id=turn.id, thread_uid=row.thread_uid
                )
                await work.last(*following, budget_reservations.release(tenant_id, turn.id))

        await self._transactions.work(tenant_id, once, seconds=0)

    async def is_forgotten(self, turn: Turn) -> bool:
        async def once(session: AsyncSession, _: bool) -> bool:
            row = await turns.row_of(session, tenant_id=turn.thread.tenant_id, turn_id=turn.id)
            return row is not None and not row.question

        return await self._transactions.session(turn.thread.tenant_id, once)

    async def withdrawn(self, platform: Platform, *, known: Collection[str] = (), most: int = 20) -> Sequence[Turn]:
        async with self._database.queue() as session:
            found = await turn_queue.withdrawn(
                session, platform=platform, holder=self._holder(), known=known, most=most
            )
        stored = [await self._stored(tenant_id, turn_id) for tenant_id, turn_id in found]
        return [turn for turn in stored if turn is not None]

    async def _stored(self, tenant_id: str, turn_id: str) -> Turn | None:
        return await self._transactions.session(
            tenant_id, lambda session, _: turns.get(session, tenant_id=tenant_id, turn_id=turn_id)
        )

    async def mark_removed(self, turn: Turn) -> bool:
        tenant_id = turn.thread.tenant_id

        async def once(session: AsyncSession, _: bool) -> bool:
            return await question_changes.taken_away(
                session, tenant_id=tenant_id, turn_id=turn.id, holder=self._holder()
            )

        return await self._transactions.session(tenant_id, once)

    async def offer_part(self, turn: Turn, index: int, ref: str) -> str | None:
        return await self._transactions.session(
            turn.thread.tenant_id, lambda session, _: reply_parts.offer(session, turn, index, ref)
        )
