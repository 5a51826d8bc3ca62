"""Background work that belongs to no turn: what an interrupted process left behind, and what has grown old."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from sqlalchemy import delete, func, select

from bot.store import budgets
from bot.store.session import Database
from bot.store.tables import answers, reservations, tenants, turns
from bot.types import LOCAL_TENANT
from knowledge.ports import Embedder
from knowledge.reembed import missing, reembed

log = logging.getLogger(__name__)

EVERY = 60.0
LEFT_BEHIND = timedelta(minutes=5)


async def work(database: Database, embedder: Embedder, *, every: float = EVERY) -> None:
    """Keep house until cancelled. A failure is logged and tried again."""
    while True:
        try:
            await keep_house(database, embedder)
        except Exception:
            log.exception("background work failed; it is tried again in %.0f s", every)
        await asyncio.sleep(every)


async def keep_house(database: Database, embedder: Embedder) -> None:
    """One round through every tenant."""
    async with database.queue() as session:
        known = set(await session.scalars(select(tenants.c.tenant_id)))
    for tenant_id in sorted({LOCAL_TENANT, *known}):
        await drop_old_answers(database, tenant_id)
        await release_left_behind(database, tenant_id)
        await embed_what_is_missing(database, embedder, tenant_id)


async def embed_what_is_missing(database: Database, embedder: Embedder, tenant_id: str) -> int:
    """After a change of the embedding model: vectors of the model in use for what was stored before."""
    async with database.tenant(tenant_id) as session:
        behind = await missing(session, tenant_id, embedder.model)
    if not behind:
        return 0
    log.info("%d passages of %s get vectors of %s", behind, tenant_id, embedder.model)
    return await reembed(database.tenant, embedder, tenant_id)


async def drop_old_answers(database: Database, tenant_id: str) -> None:
    """Forget cached answers whose time is over."""
    async with database.tenant(tenant_id) as session:
        await session.execute(
            delete(answers).where(answers.c.tenant_id == tenant_id, answers.c.expires_at < func.now())
        )


async def release_left_behind(database: Database, tenant_id: str) -> None:
    """Give back reservations whose turn has ended: a process died between the answer and the summary."""
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
            await budgets.release_held(session, tenant_id=tenant_id, turn_id=str(turn_id))
