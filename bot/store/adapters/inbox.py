"""The inbox on PostgreSQL: see ``bot.engine.ports.inbox.Inbox``."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from bot.store import budget_reservations, late_replies, question_changes, threads, turns
from bot.store.adapters.budget_days import BudgetDays
from bot.store.adapters.transactions import Transactions
from bot.store.budget_reservations import ACCOUNTS
from bot.store.retry import patiently
from bot.types.audience import Audience
from bot.types.conversation import Incoming, ThreadKey
from bot.types.turns import Turn

ACCEPT_RETRY_SECONDS = 1.0
"""Seconds for which an acceptance is retried, since a connection may have broken after its last use.

The platform waits only 3 s.
"""


class PostgresInbox:
    """Stores questions and their turns. ``holder`` returns the number under which this process may hold turns.

    ``expected`` takes the length of a question in tokens and returns the tokens to reserve for it, 0 for none.
    """

    def __init__(
        self,
        transactions: Transactions,
        days: BudgetDays,
        *,
        count_tokens: Callable[[str], int],
        holder: Callable[[], int | None],
        expected: Callable[[int], int],
    ) -> None:
        self._transactions = transactions
        self._database = transactions.database
        self._days = days
        self._count_tokens = count_tokens
        self._holder = holder
        self._expected = expected

    async def accept(self, incoming: Incoming) -> Turn | None:
        thread, tokens = incoming.thread, self._count_tokens(incoming.text)
        author, turn_id, reservation_id = incoming.author, uuid.uuid4().hex, uuid.uuid4().hex

        async def once(again: bool) -> Turn | None:
            today = await self._days.today(thread.tenant_id)
            accepting = turns.accepting(
                incoming,
                turn_id=turn_id,
                tokens=tokens,
                holder=self._holder(),
                owners=self._days.owners(thread.tenant_id, author.id, author.role, thread.channel_id, today.date),
                reservation_id=reservation_id,
                need=self._expected(tokens),
            )
            (rows, *_) = await self._database.flush(thread.tenant_id, *accepting, late_replies.hurrying(thread))
            if not rows:
                return await self.turn(thread.tenant_id, turn_id) if again else None
            if 0 < rows[0].held < ACCOUNTS:
                await self._database.flush(thread.tenant_id, budget_reservations.release(thread.tenant_id, turn_id))
            return turns.accepted(rows[0])

        return await patiently(once, ACCEPT_RETRY_SECONDS)

    async def note_command(self, thread: ThreadKey, message_id: str) -> bool:
        async with self._database.tenant(thread.tenant_id) as session:
            return await turns.first(session, thread=thread, message_id=message_id)

    async def turn(self, tenant_id: str, turn_id: str) -> Turn | None:
        return await self._transactions.session(
            tenant_id, lambda session, _: turns.get(session, tenant_id=tenant_id, turn_id=turn_id)
        )

    async def turns_of(self, thread: ThreadKey, message_id: str) -> Sequence[Turn]:
        async with self._database.tenant(thread.tenant_id) as session:
            found = await turns.of_message(session, thread=thread, message_id=message_id)
            known = [await turns.get(session, tenant_id=thread.tenant_id, turn_id=turn_id) for turn_id in found]
            return [turn for turn in known if turn is not None]

    async def replace_question(self, turn: Turn, question: str, audience: Audience) -> Turn | None:
        tenant_id, tokens = turn.thread.tenant_id, self._count_tokens(question)
        async with self._database.tenant(tenant_id) as session:
            changed = await question_changes.begin_anew(
                session,
                tenant_id=tenant_id,
                turn_id=turn.id,
                question=question,
                audience=audience,
                tokens=tokens,
                holder=self._holder(),
            )
            if not changed:
                return None
            queued = await turns.get(session, tenant_id=tenant_id, turn_id=turn.id)
        await self._reserve_again(turn, tokens)
        return queued

    async def _reserve_again(self, turn: Turn, tokens: int) -> None:
        """Release the turn's reservation, and reserve the tokens that the edited question will likely use."""
        _, owners = await self._days.owners_of(turn)
        need, reservation_id = self._expected(tokens), uuid.uuid4().hex
        release = budget_reservations.release(owners.tenant_id, turn.id)
        reserve = budget_reservations.reserve(owners, reservation_id=reservation_id, turn_id=turn.id, tokens=need)
        _, ((row,)) = await self._database.flush(owners.tenant_id, release, reserve)
        if row.many < ACCOUNTS:
            await self._database.flush(owners.tenant_id, release)

    async def knows(self, thread: ThreadKey) -> bool:
        async with self._database.tenant(thread.tenant_id) as session:
            return await threads.exists(session, key=thread)
