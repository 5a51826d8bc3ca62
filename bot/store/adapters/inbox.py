"""The inbox on PostgreSQL: see ``bot.engine.ports.inbox.Inbox``."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime

from bot.errors import StoreAway, for_operator
from bot.store import threads
from bot.store.adapters.budget_settlement import BudgetDays
from bot.store.adapters.transactions import Transactions
from bot.store.budgets import budget_reservations
from bot.store.budgets.budget_reservations import ACCOUNTS
from bot.store.database.pipelined_transactions import Work
from bot.store.database.retry import patiently
from bot.store.turns import late_replies, question_changes, reply_parts, turns
from bot.types.audience import Audience
from bot.types.conversation import Incoming, Platform, ThreadKey
from bot.types.turns import Turn

log = logging.getLogger(__name__)

ACCEPT_SECONDS = 2.5
"""Seconds that one attempt to accept a question may take."""
HURRY_SECONDS = 1.0
"""Seconds that an acceptance waits for other transactions in order to bring late replies forward."""
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
            (rows, *_, late) = await self._database.flush(thread.tenant_id, *accepting, late_replies.waiting(thread))
            if late:
                await self._hurry(thread)
            if not rows:
                return await self.turn(thread.tenant_id, turn_id) if again else None
            if 0 < rows[0].held < ACCOUNTS:
                await self._database.flush(thread.tenant_id, budget_reservations.release(thread.tenant_id, turn_id))
            return turns.accepted(rows[0])

        return await patiently(once, ACCEPT_RETRY_SECONDS, longest=ACCEPT_SECONDS)

    async def _hurry(self, thread: ThreadKey) -> None:
        """Try the thread's late replies at once. If that fails, they wait for their time: the question is stored."""
        try:
            async with asyncio.timeout(HURRY_SECONDS):
                await self._database.flush(thread.tenant_id, *late_replies.hurrying(thread))
        except (StoreAway, TimeoutError) as error:
            log.info("late replies of a thread were not brought forward: %s", for_operator(error))

    async def note_command(self, thread: ThreadKey, message_id: str) -> bool:
        return await self._database.run(
            thread.tenant_id, lambda session: turns.first(session, thread=thread, message_id=message_id)
        )

    async def turn(self, tenant_id: str, turn_id: str) -> Turn | None:
        return await self._transactions.session(
            tenant_id, lambda session, _: turns.get(session, tenant_id=tenant_id, turn_id=turn_id)
        )

    async def turn_shown_in(self, tenant_id: str, platform: Platform, ref: str, channel_id: str | None) -> Turn | None:
        async with self._database.tenant(tenant_id) as session:
            found = await reply_parts.turn_shown_in(
                session, tenant_id=tenant_id, platform=platform, ref=ref, channel_id=channel_id
            )
            return await turns.get(session, tenant_id=tenant_id, turn_id=found) if found else None

    async def turns_of(self, thread: ThreadKey, message_id: str) -> Sequence[Turn]:
        async with self._database.tenant(thread.tenant_id) as session:
            found = await turns.of_message(session, thread=thread, message_id=message_id)
            known = [await turns.get(session, tenant_id=thread.tenant_id, turn_id=turn_id) for turn_id in found]
            return [turn for turn in known if turn is not None]

    async def replace_question(
        self, turn: Turn, question: str, audience: Audience, edited_at: datetime | None = None
    ) -> Turn | None:
        """See the port. The turn is queued, and the tokens that it will likely use are reserved, in one transaction."""
        tenant_id, tokens = turn.thread.tenant_id, self._count_tokens(question)
        _, owners = await self._days.owners_of(turn)
        edit = {"tenant_id": tenant_id, "turn_id": turn.id, "question": question}
        noted = question_changes.noting_an_edit(**edit, edited_at=edited_at)
        anew = question_changes.beginning_anew(**edit, audience=audience, holder=self._holder(), edited_at=edited_at)
        release = budget_reservations.release(tenant_id, turn.id)
        reserve = budget_reservations.reserve(
            owners, reservation_id=uuid.uuid4().hex, turn_id=turn.id, tokens=self._expected(tokens)
        )

        async def once(work: Work, _: bool) -> int | None:
            (changed,) = await work.ask(anew)
            if not changed:
                await work.last(noted)
                return None
            following = question_changes.following_an_edit(
                tenant_id=tenant_id,
                turn_id=turn.id,
                thread_uid=changed[0].thread_uid,
                question=question,
                tokens=tokens,
            )
            rows = await work.last(*following, release, reserve)
            return int(rows[-1][0].many)

        reserved = await self._transactions.work(tenant_id, once, seconds=0)
        if reserved is None:
            return None
        if reserved < ACCOUNTS:
            await self._database.flush(tenant_id, release)
        return await self.turn(tenant_id, turn.id)

    async def follows(self, thread: ThreadKey) -> bool:
        async with self._database.tenant(thread.tenant_id) as session:
            return await threads.follows(session, key=thread)
