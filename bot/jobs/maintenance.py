"""Periodic maintenance: expires old data, recovers work of crashed processes, refreshes sources, re-embeds passages."""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy import Boolean, delete, func, literal_column, select

from bot.commands.services import Services
from bot.store import budget_reservations, ledger, retention, slack_requests, slack_workspaces
from bot.store.answer_cache.validity import INTACT
from bot.store.budget_counters import Defaults
from bot.store.budget_reservations import Owners
from bot.store.schema import answers, reservations, turns
from bot.store.session import Database
from bot.store.tenants import every_tenant
from bot.store.turns import OPEN
from knowledge import ingest_runs, source_records
from knowledge.reembed import needs_reembedding

log = logging.getLogger(__name__)

RESERVATION_GRACE = timedelta(minutes=5)
OPEN_CALL_GRACE = timedelta(minutes=30)
"""Age at which an unsettled call counts as lost: longer than any provider call takes."""
RUN_RETENTION = timedelta(days=7)
RETENTION_BATCHES = 20
"""Batches of one maintenance run, so that a first run over years of conversations does not take long."""
SCHEDULE = "schedule"


async def run_maintenance(services: Services) -> None:
    """Run every maintenance step once for each tenant."""
    await slack_requests.delete_expired(services.database, services.clock())
    for tenant_id in await every_tenant(services.database):
        await delete_outdated_answers(services.database, tenant_id)
        await release_orphaned_reservations(services.database, tenant_id)
        await charge_lost_calls(services.database, tenant_id, count_free=services.settings.count_free)
        await delete_expired_conversations(services, tenant_id)
        await reembed_if_needed(services, tenant_id)
        await services.ingestion.revive(tenant_id)
        async with services.database.tenant(tenant_id) as session:
            await ingest_runs.delete_ended(session, tenant_id, before=services.clock() - RUN_RETENTION)


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


async def refresh_due(services: Services) -> int:
    """Start a refresh of every source that is due; return how many.

    Paths on the server are refreshed only if the terminal set an interval for the source.
    """
    default_seconds = int(services.settings.refresh_hours * 3600)
    started = 0
    for tenant_id in await every_tenant(services.database):
        async with services.database.tenant(tenant_id) as session:
            if await slack_workspaces.was_removed(session, tenant_id):
                continue
            due = await source_records.due_for_refresh(
                session, tenant_id, now=services.clock(), every_seconds=default_seconds
            )
        for source_id, has_own_interval in due:
            await services.ingestion.refresh(tenant_id, source_id, asked_by=SCHEDULE, files=has_own_interval)
            started += 1
    return started


async def reembed_if_needed(services: Services, tenant_id: str) -> bool:
    """Start re-embedding if the embedding model has changed; return whether it was started."""
    if not await needs_reembedding(services.database.tenant, services.models, tenant_id):
        return False
    log.info("re-embedding the passages of %s with %s", tenant_id, services.models.current.model)
    await services.queue.defer("reembed", tenant_id=tenant_id, lock="reembed", once="reembed")
    return True


async def delete_outdated_answers(database: Database, tenant_id: str) -> None:
    """Delete cached answers that have expired or that cite a document which was deleted or changed."""
    outdated = (answers.c.expires_at < func.now()) | ~literal_column(INTACT, Boolean)
    async with database.tenant(tenant_id) as session:
        await session.execute(delete(answers).where(answers.c.tenant_id == tenant_id, outdated))


# Each of the two steps below locks a person's day, then the channel's, then the tenant's. Each transaction concerns one
# person, because one that held the tenant's day and waited for another person's could deadlock with an acceptance.


async def release_orphaned_reservations(database: Database, tenant_id: str) -> None:
    """Release budget reservations of turns that have ended or were deleted.

    They remain if a process dies between the answer and the summary.
    """
    async with database.tenant(tenant_id) as session:
        orphaned = await session.scalars(
            select(reservations.c.turn_id)
            .outerjoin(
                turns,
                (turns.c.tenant_id == reservations.c.tenant_id) & (turns.c.turn_id == reservations.c.turn_id),
            )
            .where(
                reservations.c.tenant_id == tenant_id,
                reservations.c.state == "held",
                reservations.c.created_at < func.now() - RESERVATION_GRACE,
                turns.c.state.is_(None) | turns.c.state.not_in(OPEN),
            )
            .distinct()
        )
        turn_ids = [str(turn_id) for turn_id in orphaned]
    for turn_id in turn_ids:
        await database.flush(tenant_id, budget_reservations.release(tenant_id, turn_id))


async def charge_lost_calls(database: Database, tenant_id: str, *, count_free: bool = False) -> None:
    """Charge the estimate for calls that never reported their end, because their process died.

    ``count_free``: calls that cost nothing count against budgets too.
    """
    async with database.tenant(tenant_id) as session:
        lost = await ledger.lost(session, tenant_id=tenant_id, older=OPEN_CALL_GRACE)
    for calls in lost:
        owners = Owners(tenant_id, calls.user_id, "member", calls.channel_id, calls.day, Defaults(0, 0, 0))
        async with database.work(tenant_id) as work:
            (rows,) = await work.ask(ledger.settling_lost(tenant_id, calls, OPEN_CALL_GRACE, count_free=count_free))
            tokens = sum(row.tokens for row in rows)
            await work.last(budget_reservations.settle(owners, None, (), tokens))
