"""What comes by itself: old things go, what was left behind is taken up, sources are kept up to date."""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy import Boolean, delete, func, literal_column, select

from bot.commands.services import Services
from bot.store import budget_reservations, ledger, slack_workspaces
from bot.store.answer_cache.validity import INTACT
from bot.store.budgets import charge_left
from bot.store.pipeline import send
from bot.store.schema import answers, reservations, tenants, turns
from bot.store.session import Database
from bot.types.conversation import LOCAL_TENANT
from knowledge import ingest_runs, source_records
from knowledge.reembed import needs_reembedding

log = logging.getLogger(__name__)

LEFT_BEHIND = timedelta(minutes=5)
CALLS_LEFT_BEHIND = timedelta(minutes=30)
"""Longer than any call of a provider lasts."""
RUNS_KEPT = timedelta(days=7)
SCHEDULE = "schedule"


async def every_tenant(database: Database) -> list[str]:
    """The tenants there are; the terminal's own is always among them."""
    async with database.queue() as session:
        known = set(await session.scalars(select(tenants.c.tenant_id)))
    return sorted({LOCAL_TENANT, *known})


async def keep_house(services: Services) -> None:
    """One round through every tenant."""
    for tenant_id in await every_tenant(services.database):
        await drop_old_answers(services.database, tenant_id)
        await release_left_behind(services.database, tenant_id)
        await embed_what_is_missing(services, tenant_id)
        await services.ingestion.revive(tenant_id)
        async with services.database.tenant(tenant_id) as session:
            await ingest_runs.delete_ended(session, tenant_id, before=services.clock() - RUNS_KEPT)


async def refresh_due(services: Services) -> int:
    """Have sources read again whose time has come; returns how many. Paths of the server are read again only where the
    terminal gave the source an interval of its own."""
    every = int(services.settings.refresh_hours * 3600)
    asked = 0
    for tenant_id in await every_tenant(services.database):
        async with services.database.tenant(tenant_id) as session:
            if await slack_workspaces.was_removed(session, tenant_id):
                continue
            due = await source_records.due_for_refresh(session, tenant_id, now=services.clock(), every_seconds=every)
        for source_id, own_interval in due:
            await services.ingestion.begin_again(tenant_id, source_id, asked_by=SCHEDULE, files=own_interval)
            asked += 1
    return asked


async def embed_what_is_missing(services: Services, tenant_id: str) -> bool:
    """After a change of the embedding model: ask for vectors of the model in use for what was stored before."""
    if not await needs_reembedding(services.database.tenant, services.models, tenant_id):
        return False
    log.info("passages of %s get vectors of %s", tenant_id, services.models.current.model)
    await services.queue.defer("reembed", tenant_id=tenant_id, lock="reembed", once="reembed")
    return True


async def drop_old_answers(database: Database, tenant_id: str) -> None:
    """Forget cached answers whose time is over, and those that cite a document which is gone or reads otherwise."""
    outdated = (answers.c.expires_at < func.now()) | ~literal_column(INTACT, Boolean)
    async with database.tenant(tenant_id) as session:
        await session.execute(delete(answers).where(answers.c.tenant_id == tenant_id, outdated))


async def release_left_behind(database: Database, tenant_id: str) -> None:
    """Give back reservations whose turn has ended, and count what calls are estimated at whose end nobody told: a
    process died between the answer and the summary."""
    async with database.tenant(tenant_id) as session:
        held = await session.scalars(
            select(reservations.c.turn_id)
            .join(
                turns,
                (turns.c.tenant_id == reservations.c.tenant_id) & (turns.c.turn_id == reservations.c.turn_id),
            )
            .where(
                reservations.c.tenant_id == tenant_id,
                reservations.c.state == "held",
                reservations.c.created_at < func.now() - LEFT_BEHIND,
                turns.c.state.not_in(("queued", "running")),
            )
        )
        for turn_id in list(held):
            await send(session, budget_reservations.release(tenant_id, str(turn_id)))
        left = await ledger.settle_old(session, tenant_id=tenant_id, older=CALLS_LEFT_BEHIND)
        await charge_left(session, tenant_id=tenant_id, left=left)
