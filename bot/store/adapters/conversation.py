"""Conversations on PostgreSQL: see ``bot.engine.ports.conversation.Conversation``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from bot.engine.answer.budget_limits import without
from bot.engine.memory import VerifiedFact
from bot.store import tenants, threads
from bot.store.adapters.budget_settlement import BudgetDays
from bot.store.adapters.transactions import Transactions
from bot.store.answer_cache import answers
from bot.store.budgets import budget_reservations
from bot.store.turns import attachments, facts
from bot.store.verified_answers import similar_questions
from bot.types.conversation import Author, History, PastMessage
from bot.types.turns import Turn, TurnRecord


class PostgresConversation:
    """Reads a thread's history and appends to its summary."""

    def __init__(self, transactions: Transactions, days: BudgetDays) -> None:
        self._transactions = transactions
        self._database = transactions.database
        self._days = days

    async def turn_record(self, turn: Turn) -> TurnRecord:
        tenant_id, thread = turn.thread.tenant_id, turn.thread

        async def once(_: bool) -> TurnRecord:
            today, owners = await self._days.owners_of(turn)
            ((settings,), (days,), ((has_verified,),), held, attached, stated, *said) = await self._database.flush(
                tenant_id,
                tenants.settings_read(tenant_id, thread.channel_id),
                budget_reservations.read(owners),
                similar_questions.any_in_force(tenant_id),
                budget_reservations.held(tenant_id, turn.id),
                attachments.of_thread_read(turn),
                facts.current_read(thread),
                *threads.history_read(thread, turn.id),
            )
            reservation = budget_reservations.reservation(held)
            states = (today.state(account) for account in budget_reservations.accounts(days))
            return TurnRecord(
                settings=tenants.settings_in(settings),
                history=threads.history_in(*said),
                budgets=tuple(without(state, reservation) for state in states),
                attached=tuple(attachments.of_thread_in(attached)),
                facts=tuple(facts.current_in(stated)),
                reservation=reservation,
                has_verified=has_verified,
            )

        return await self._transactions.retry(once)

    async def history(self, turn: Turn) -> History:
        return await self._transactions.session(
            turn.thread.tenant_id,
            lambda session, _: threads.history(session, key=turn.thread, before_turn=turn.id),
        )

    async def summarize(
        self,
        turn: Turn,
        *,
        since: int,
        due: Sequence[PastMessage],
        summary: str,
        quoted: Sequence[VerifiedFact] = (),
    ) -> bool:
        key = turn.thread

        async def store(session: AsyncSession) -> bool:
            await threads.keep_turns(session, key=key, since=since, upto=due[-1].seq)
            if await threads.lock(session, key=key) != since:
                return False
            if not await threads.still_says(session, key=key, since=since, said=due):
                return False
            await threads.append_summary(session, key=key, since=since, summary=summary, upto=due[-1].seq)
            await facts.quote(session, thread=key, quoted=quoted)
            return True

        return await self._database.run(key.tenant_id, store)

    async def rate(self, turn: Turn, by: Author, value: int, reason: str) -> None:
        tenant_id = turn.thread.tenant_id
        rating = partial(answers.rate, tenant_id=tenant_id, turn_id=turn.id, user_id=by.id, value=value, reason=reason)
        await self._database.run(tenant_id, rating)

    async def withdraw_rating(self, turn: Turn, by: Author, value: int) -> None:
        tenant_id = turn.thread.tenant_id
        removal = partial(answers.withdraw_rating, tenant_id=tenant_id, turn_id=turn.id, user_id=by.id, value=value)
        await self._database.run(tenant_id, removal)
