"""Periodic maintenance: expires old data, recovers work of crashed processes, refreshes sources, re-embeds passages."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from bot.commands.services import Services
from bot.commands.tenants_one_by_one import for_each_tenant
from bot.jobs.judged_sample import judge_sample
from bot.reports import cost_alerts
from bot.store import maintenance, refusals, slack_requests, slack_workspaces
from bot.store.budgets import budget_reservations, ledger, ledger_days
from bot.store.budgets import cost_alerts as stored_alerts
from bot.store.budgets.budget_counters import Defaults
from bot.store.budgets.budget_reservations import Owners
from bot.store.database.retry import patiently
from bot.store.database.session import Database
from bot.store.privacy import retention
from bot.store.tenants import (
    due_for_maintenance,
    every_tenant,
    to_refresh,
    with_changed_documents,
    with_new_calls,
    with_upkeep,
)
from bot.store.turns import changed_answers
from bot.store.verified_answers import staleness
from bot.types.conversation import Author
from knowledge.ingest.reembed import needs_reembedding
from knowledge.refusal_counts import WHOLE_SERVER
from knowledge.sources.source_factory import reads_local_files
from knowledge.store import source_records

log = logging.getLogger(__name__)

MAINTENANCE = "maintenance"
RETENTION_BATCHES = 20
"""Batches of one maintenance run, so that a first run over years of conversations does not take long."""
TENANTS_IN_USE = timedelta(hours=1)
"""How often tenants are maintained whose documents changed, or who had model calls."""
DUE_PER_ROUND = 100
"""Maximum number of due tenants that one round maintains. A round begins every minute."""
SCHEDULE = "schedule"
ALERTS_KEPT = timedelta(days=90)
"""How long cost alerts are kept, for the admin page."""


class RegularMaintenance:
    """Runs maintenance of the tenants that need it, which each round finds in a few statements, however many there are.

    These are tenants with something short-lived or under way; once an hour, tenants in use; and tenants that are due. A
    tenant is due once a day, or once a week if nobody uses it. One round maintains at most ``DUE_PER_ROUND`` due ones.
    """

    def __init__(self) -> None:
        self._next_of_used: datetime | None = None
        self._failed: dict[str, datetime] = {}
        """Tenants whose maintenance failed, and when they are tried again."""

    async def __call__(self, services: Services) -> None:
        """Run one round. Raises StoreAway."""
        now, database = services.clock(), services.database
        self._failed = {tenant: again for tenant, again in self._failed.items() if again > now}
        due = await due_for_maintenance(database, now=now, most=DUE_PER_ROUND, without=self._failed)
        named = {*due, *await with_upkeep(database)}
        if of_used := self._next_of_used is None or now >= self._next_of_used:
            named |= await with_changed_documents(database, services.models.current.model)
            named.update(await with_new_calls(database))
        maintained = await run_maintenance(services, sorted(named))
        self._failed |= dict.fromkeys(named.difference(maintained), now + TENANTS_IN_USE)
        if of_used:
            self._next_of_used = now + TENANTS_IN_USE


async def run_maintenance(services: Services, tenants: Iterable[str] | None = None) -> list[str]:
    """Run every maintenance step once for each of the tenants, by default for all. Return those that did not fail."""
    await slack_requests.delete_expired(services.database, services.clock())
    await refusals.delete_old(services.database, WHOLE_SERVER, services.clock().date())
    chosen = await every_tenant(services.database) if tenants is None else tenants
    return await for_each_tenant(MAINTENANCE, chosen, partial(maintain, services))


async def maintain(services: Services, tenant_id: str) -> str:
    """Run every maintenance step that has work for one tenant, and record when it is due next. Return the tenant."""
    now = services.clock()
    found = await maintenance.look(services.database, tenant_id, now=now)
    await release_reservations(services.database, tenant_id, found.orphaned)
    await charge_lost_calls(services.database, tenant_id, found.lost, count_free=services.settings.count_free)
    await delete_expired_conversations(services, tenant_id)
    await record_cost_alerts(services, tenant_id)
    await ledger_days.sum_up_days(services.database, tenant_id=tenant_id, price_steps=services.prices.steps)
    await services.database.run(tenant_id, partial(staleness.mark, tenant_id=tenant_id))
    await services.database.run(tenant_id, partial(changed_answers.mark, tenant_id=tenant_id))
    await judge_sample(services, tenant_id)
    if found.serving is not None and not services.models.is_complete(tenant_id, found.serving):
        await reembed_if_needed(services, tenant_id)
    if found.terms_outdated:
        await services.queue.defer("reindex", tenant_id=tenant_id, lock="reindex", once="reindex", across_tenants=True)
    if found.runs:
        await services.ingestion.revive(tenant_id)
    days = services.settings.retention_days
    await maintenance.schedule_next(services.database, tenant_id, found, now=now, retention_days=days)
    return tenant_id


async def delete_expired_conversations(services: Services, tenant_id: str) -> int:
    """Delete conversations older than PARLEY_RETENTION_DAYS, in batches; return the number of turns."""
    days = services.settings.retention_days
    if days is None:
        return 0
    before = services.clock() - timedelta(days=days)
    turns_deleted = threads_deleted = 0
    for _ in range(RETENTION_BATCHES):
        expired = await retention.delete_expired(services.database, tenant_id, before=before)
        turns_deleted += expired.turns
        threads_deleted += expired.threads
        if expired.turns < retention.BATCH:
            break
    if turns_deleted:
        log.info(
            "retention: deleted %d turns and %d threads of %s that are older than %d days",
            turns_deleted,
            threads_deleted,
            tenant_id,
            days,
        )
    return turns_deleted


async def record_cost_alerts(services: Services, tenant_id: str) -> None:
    """Store an alert if today is unusually expensive, and for each level of the team's budget that is reached."""
    *_, of_team = await services.stores.budgets.budgets(tenant_id, "-", Author("-", "-"))
    today = (of_team.resets_at - timedelta(hours=1)).date()

    async def store(session: AsyncSession) -> None:
        unusual = await cost_alerts.unusual_day(
            session, tenant_id=tenant_id, day=today, now=services.clock(), prices=services.prices
        )
        found = [*([unusual] if unusual else []), *cost_alerts.budget_levels(of_team, today)]
        await stored_alerts.record(session, tenant_id=tenant_id, alerts=found)
        await stored_alerts.delete_old(session, tenant_id=tenant_id, before=today - ALERTS_KEPT)

    await services.database.run(tenant_id, store)


async def refresh_due(services: Services) -> int:
    """Start a refresh of every source that is due; return how many."""
    due = await to_refresh(services.database, every_seconds=services.settings.refresh_seconds, now=services.clock())
    return sum(await for_each_tenant(MAINTENANCE, due, partial(refresh_due_of, services)))


async def refresh_due_of(services: Services, tenant_id: str) -> int:
    """Start a refresh of every source of the tenant that is due; return how many.

    Paths on the server are refreshed only if the terminal set an interval for the source.
    """
    async with services.database.tenant(tenant_id) as session:
        if await slack_workspaces.was_removed(session, tenant_id):
            return 0
        due = await source_records.due_for_refresh(
            session, tenant_id, now=services.clock(), every_seconds=services.settings.refresh_seconds
        )
    allowed = [one for one in due if one.has_own_interval or not reads_local_files(one.kind, one.uri)]
    for one in allowed:
        await services.ingestion.refresh(tenant_id, one.id, asked_by=SCHEDULE, files=one.has_own_interval)
    return len(allowed)


async def reembed_if_needed(services: Services, tenant_id: str) -> bool:
    """Start re-embedding if the embedding model has changed; return whether it was started."""
    if not await needs_reembedding(services.database.tenant, services.models, tenant_id):
        return False
    log.info("re-embedding the passages of %s with %s", tenant_id, services.models.current.model)
    await services.queue.defer("reembed", tenant_id=tenant_id, lock="reembed", once="reembed")
    return True


# Each of the two steps below locks a person's day, then the channel's, then the tenant's. Each transaction concerns one
# person, because one that held the tenant's day and waited for another person's could deadlock with an acceptance.


async def release_reservations(database: Database, tenant_id: str, turn_ids: Sequence[str]) -> None:
    """Release the budget reservations of turns that have ended or were deleted."""
    for turn_id in turn_ids:
        await database.flush(tenant_id, budget_reservations.release(tenant_id, turn_id))


async def charge_lost_calls(
    database: Database, tenant_id: str, lost: Sequence[ledger.LostCalls], *, count_free: bool = False
) -> None:
    """Charge the estimate for calls that never reported their end, because their process died.

    ``count_free``: calls that cost nothing count against budgets too.
    """
    for calls in lost:
        await patiently(partial(_charge, database, tenant_id, calls, count_free), 0)


async def _charge(database: Database, tenant_id: str, calls: ledger.LostCalls, count_free: bool, _: bool) -> None:
    owners = Owners(tenant_id, calls.user_id, "member", calls.channel_id, calls.day, Defaults(0, 0, 0))
    async with database.work(tenant_id) as work:
        (rows,) = await work.ask(
            ledger.settling_lost(tenant_id, calls, maintenance.OPEN_CALL_GRACE, count_free=count_free)
        )
        tokens = sum(row.tokens for row in rows)
        await work.last(budget_reservations.settle(owners, None, (), tokens))
