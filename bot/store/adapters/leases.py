"""Leases on PostgreSQL: see ``bot.engine.ports.leases.Leases``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from psycopg.errors import UniqueViolation

from bot.config import Settings
from bot.engine.user_messages import LOST
from bot.errors import LeaseLost
from bot.store import threads
from bot.store.adapters.budget_settlement import BudgetDays
from bot.store.adapters.transactions import Transactions
from bot.store.answer_cache import answers, similar_answer_statements
from bot.store.budgets import budget_reservations, ledger
from bot.store.database.pipelined_transactions import Rows, Statement, Work
from bot.store.database.retry import patiently
from bot.store.turns import leases, turn_queue
from bot.types.answer_cache import NO_CACHE_NOTE, CacheNote
from bot.types.turns import Lease, Outcome, Turn
from bot.types.usage import Call, Reservation

RENEW_SECONDS, RENEW_ATTEMPT_SECONDS = 6.0, 3.0
"""How long renewing a lease is retried, and how long one attempt may take, in seconds.

Together with ``HEARTBEAT_SECONDS`` this is less than half of a lease, so that a process whose connection goes silent
keeps its turns.
"""


class PostgresLeases:
    """Leases turns and stores how they end. ``holder`` returns the number under which this process may hold turns."""

    def __init__(
        self,
        transactions: Transactions,
        days: BudgetDays,
        settings: Settings,
        *,
        count_tokens: Callable[[str], int],
        holder: Callable[[], int | None],
    ) -> None:
        self._transactions = transactions
        self._days = days
        self._settings = settings
        self._count_tokens = count_tokens
        self._holder = holder

    async def lease(self, turn: Turn) -> Lease | None:
        async def once(again: bool) -> list[Rows]:
            taking = leases.taking(turn, self._holder(), again=again)
            return await self._transactions.database.flush(turn.thread.tenant_id, *taking)

        try:
            rows = await self._transactions.retry(once)
        except UniqueViolation:
            return None
        lease = leases.taken(turn, *rows)
        if lease is not None and lease.fence > 1:
            await self._settle_interrupted(turn)
        return lease

    async def _settle_interrupted(self, turn: Turn) -> None:
        """Settle the reservation and the open calls of an earlier attempt at the turn."""
        tenant_id = turn.thread.tenant_id

        async def once(work: Work, _: bool) -> None:
            (left,) = await work.ask(ledger.left(tenant_id, turn.id, count_free=self._days.count_free))
            counted = [
                budget_reservations.settle(
                    self._days.owners(tenant_id, one.user_id, "member", one.channel_id, one.budget_day),
                    None,
                    (),
                    one.tokens,
                )
                for one in left
                if one.tokens
            ]
            await work.last(*counted, budget_reservations.release(tenant_id, turn.id))

        await self._transactions.work(tenant_id, once)

    async def renew(self, turn: Turn, lease: Lease) -> None:
        async def once(_: bool) -> list[Rows]:
            renewing = leases.renewing(turn, lease, self._holder())
            return await self._transactions.database.flush(turn.thread.tenant_id, renewing)

        (rows,) = await patiently(once, RENEW_SECONDS, longest=RENEW_ATTEMPT_SECONDS)
        if not rows:
            raise LeaseLost(LOST)

    async def record_part(
        self, turn: Turn, lease: Lease, index: int, ref: str | None, *, replaced: str | None = None
    ) -> str | None:
        recording = leases.recording(turn, lease, index, ref, replaced=replaced)
        _, rows = await self._transactions.send(turn.thread.tenant_id, *recording)
        if not rows:
            raise LeaseLost(LOST)
        known: str | None = rows[0].ref
        return known

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
        """See the port. Locks the turn and its thread first and the days last, in the same order as an acceptance."""
        tenant_id = turn.thread.tenant_id
        written = self._written(turn, outcome, cache_key, cache_note)
        settled = await self._days.settling(turn, outcome.calls, reservation)

        async def once(work: Work, again: bool) -> None:
            if again and (await work.ask(leases.ended(turn, lease, outcome)))[0]:
                return
            if not (await work.ask(leases.ending(turn, lease, outcome)))[0]:
                raise LeaseLost(LOST)
            await work.last(*written, *settled, budget_reservations.release(tenant_id, turn.id))

        try:
            await self._transactions.work(tenant_id, once)
        except LeaseLost:
            await self._transactions.work(tenant_id, lambda work, _: work.last(*settled))
            raise

    def _written(self, turn: Turn, outcome: Outcome, cache_key: str | None, cache_note: CacheNote) -> list[Statement]:
        """Return the statements that append the answer to its thread, cache it, and notify about the turn's end."""
        statements = []
        if outcome.answer:
            tokens = self._count_tokens(outcome.answer)
            statements.append(threads.answering(turn.thread, turn_id=turn.id, text=outcome.answer, tokens=tokens))
        if outcome.route and outcome.state == "done":
            statements.append(threads.answered_by(turn.thread, outcome.route.tier))
        if cache_key and outcome.state == "done" and not outcome.cached:
            statements.append(self._caching(outcome, cache_key, cache_note))
        landing, next_turn = _notices(turn)
        return [*statements, landing, *(() if outcome.deliver_in is not None else (next_turn,))]

    def _caching(self, outcome: Outcome, cache_key: str, cache_note: CacheNote) -> Statement:
        settings = self._settings
        short, long = settings.answer_cache_hours, settings.answer_cache_stable_hours
        return answers.keeping(
            tenant_id=outcome.thread.tenant_id,
            key=cache_key,
            turn_id=outcome.turn_id,
            answer=outcome.answer,
            citations=outcome.citations,
            ttl=timedelta(hours=short if cache_note.lasting == "hour" else long),
            keeping=cache_note,
        )

    async def hand_back(
        self, turn: Turn, lease: Lease, calls: Sequence[Call], *, reservation: Reservation | None
    ) -> None:
        tenant_id = turn.thread.tenant_id
        settled = await self._days.settling(turn, calls, reservation)

        async def once(work: Work, _: bool) -> None:
            if not (await work.ask(leases.handing_back(turn, lease)))[0]:
                raise LeaseLost(LOST)
            await work.last(*_notices(turn), *settled, budget_reservations.release(tenant_id, turn.id))

        await self._transactions.work(tenant_id, once)


def _notices(turn: Turn) -> tuple[Statement, Statement]:
    """Wake the turns that wait for this turn's answer or for its thread."""
    landing = similar_answer_statements.landing(tenant_id=turn.thread.tenant_id, turn_id=turn.id)
    return landing, turn_queue.telling_next(thread=turn.thread)
