"""The engine's Store on Postgres: each method is one transaction of the turn's tenant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from bot.engine.answer.budget import without
from bot.engine.memory import Quoted
from bot.errors import LeaseLost
from bot.store import attachments, budget_reservations, facts, leases, tenants, threads, turn_queue
from bot.store.answer_cache import answers, similar
from bot.store.ledgerstore import LedgerStore
from bot.store.pipeline import Statement, Work
from bot.store.retry import patiently
from bot.types.answer_cache import NO_CACHE_NOTE, CachedAnswer, CacheNote
from bot.types.conversation import Author, History, PastMessage, ThreadKey
from bot.types.settings import ChannelSettings
from bot.types.turns import Lease, Outcome, Turn, TurnRecord
from bot.types.usage import Call, Reservation


class PostgresStore(LedgerStore):
    """See ``bot.engine.ports.Store``."""

    # --- what a turn reads

    async def history(self, turn: Turn) -> History:
        return await self._trying(
            turn.thread.tenant_id,
            lambda session, _: threads.history(session, key=turn.thread, before_turn=turn.id),
        )

    async def settings(self, thread: ThreadKey) -> ChannelSettings:
        return await self._trying(
            thread.tenant_id,
            lambda session, _: tenants.channel_settings(
                session, tenant_id=thread.tenant_id, channel_id=thread.channel_id
            ),
        )

    async def admins(self, tenant_id: str) -> Collection[str]:
        made = await self._trying(tenant_id, lambda session, _: tenants.settings(session, tenant_id=tenant_id))
        return made.admins

    async def brief(self, turn: Turn) -> TurnRecord:
        tenant_id, thread = turn.thread.tenant_id, turn.thread

        async def once(_: bool) -> TurnRecord:
            today, owners = await self._owners_of(turn)
            ((settings,), (days,), held, beside, stated, *said) = await self._database.flush(
                tenant_id,
                tenants.settings_read(tenant_id, thread.channel_id),
                budget_reservations.read(owners),
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
                attached=tuple(attachments.of_thread_in(beside)),
                facts=tuple(facts.current_in(stated)),
                reservation=reservation,
            )

        return await patiently(once, self._patience)

    async def cached(self, tenant_id: str, key: str) -> CachedAnswer | None:
        looking = answers.lookup(tenant_id=tenant_id, key=key)
        (rows,) = await patiently(lambda _: self._database.flush(tenant_id, looking), self._patience)
        return answers.found(rows)

    async def still_stands(self, tenant_id: str, known: CachedAnswer, version: int) -> None:
        stands = answers.standing(tenant_id=tenant_id, turn_id=known.turn_id, evidence=known.evidence, version=version)
        await patiently(lambda _: self._database.flush(tenant_id, stands), self._patience)

    # --- how a turn ends

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
        """See the port. The days are locked last, after the turn and its thread, as where a question is accepted."""
        said = self._said(turn, outcome, cache_key, keeping)
        settled = await self._settled(turn, outcome.calls, reservation)

        async def once(work: Work, again: bool) -> None:
            if again and (await work.ask(leases.ended(turn, lease, outcome)))[0]:
                return
            if not (await work.ask(leases.ending(turn, lease, outcome)))[0]:
                raise LeaseLost(leases.TAKEN)
            await work.last(*said, *settled, budget_reservations.release(turn.thread.tenant_id, turn.id))

        try:
            await self._working(turn.thread.tenant_id, once)
        except LeaseLost:
            await self.bill(turn, outcome.calls, reservation)
            raise

    def _said(self, turn: Turn, outcome: Outcome, cache_key: str | None, keeping: CacheNote) -> list[Statement]:
        """What an outcome leaves behind beside the turn itself, and who is told of its end."""
        made = []
        if outcome.answer:
            tokens = self._count_tokens(outcome.answer)
            made.append(threads.answering(turn.thread, turn_id=turn.id, text=outcome.answer, tokens=tokens))
        if outcome.route and outcome.state == "done":
            made.append(threads.answered_by(turn.thread, outcome.route.tier))
        if cache_key and outcome.state == "done" and not outcome.cached:
            made.append(self._kept(outcome, cache_key, keeping))
        return [*made, *_let_go(turn)]

    def _kept(self, outcome: Outcome, cache_key: str, keeping: CacheNote) -> Statement:
        made = self._settings
        hours = made.answer_cache_hours if keeping.lasting == "hour" else made.answer_cache_stable_hours
        return answers.keeping(
            tenant_id=outcome.thread.tenant_id,
            key=cache_key,
            turn_id=outcome.turn_id,
            answer=outcome.answer,
            citations=outcome.citations,
            ttl=timedelta(hours=hours),
            keeping=keeping,
        )

    async def hand_back(
        self, turn: Turn, lease: Lease, calls: Sequence[Call], *, reservation: Reservation | None
    ) -> None:
        settled = await self._settled(turn, calls, reservation)

        async def once(work: Work, _: bool) -> None:
            if not (await work.ask(leases.handing_back(turn, lease)))[0]:
                raise LeaseLost(leases.TAKEN)
            await work.last(*_let_go(turn), *settled, budget_reservations.release(turn.thread.tenant_id, turn.id))

        await self._working(turn.thread.tenant_id, once)

    async def summarize(
        self,
        turn: Turn,
        *,
        since: int,
        due: Sequence[PastMessage],
        summary: str,
        quoted: Sequence[Quoted] = (),
    ) -> bool:
        key = turn.thread
        async with self._database.tenant(key.tenant_id) as session:
            if await threads.lock(session, key=key) != since:
                return False
            if not await threads.still_says(session, key=key, since=since, said=due):
                return False
            await threads.append_summary(session, key=key, since=since, summary=summary, upto=due[-1].seq)
            await facts.quote(session, thread=key, quoted=quoted)
            return True

    async def rate(self, turn: Turn, by: Author, value: int, reason: str) -> None:
        tenant_id = turn.thread.tenant_id
        async with self._database.tenant(tenant_id) as session:
            await answers.rate(session, tenant_id=tenant_id, turn_id=turn.id, user_id=by.id, value=value, reason=reason)


def _let_go(turn: Turn) -> tuple[Statement, Statement]:
    """Whoever waits for the turn's answer, or for its thread, is let go on."""
    return similar.landing(tenant_id=turn.thread.tenant_id, turn_id=turn.id), turn_queue.telling_next(
        thread=turn.thread
    )
