"""The queue of turns: who may run next, fairly; what a dead process left; and telling processes of each other's."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import CursorResult, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import LeaseLost
from bot.store.line import CHANNEL, payload
from bot.store.processes import dead
from bot.store.tables import turns
from bot.store.turns import ANYBODY, is_turn, note_part
from bot.types import Notice, Platform, ThreadKey, Turn

UNCLAIMED = "5 seconds"
"""How long a queued turn of a process that does not say that it lives is left to it."""

_NEXT = text(
    f"""
    WITH open AS (
        SELECT tenant_id, turn_id, thread_uid, user_id, platform, seq, state, holder, created_at, lease_until
        FROM turns WHERE state IN ('queued', 'running')
    ), at_work AS (
        SELECT tenant_id, user_id, count(*) AS running FROM open WHERE state = 'running' GROUP BY tenant_id, user_id
    ), ready AS (
        SELECT open.*, coalesce(at_work.running, 0)
            + row_number() OVER (PARTITION BY tenant_id, user_id ORDER BY seq) AS of_user
        FROM open LEFT JOIN at_work USING (tenant_id, user_id)
        WHERE platform = :platform AND turn_id <> ALL (CAST(:known AS uuid[]))
          AND (state = 'queued' AND (holder IN ({ANYBODY}, :holder)
                                     OR holder IS NULL AND created_at < now() - interval '{UNCLAIMED}')
               OR state = 'running' AND (lease_until < now() OR holder = :holder))
          AND NOT EXISTS (
              SELECT 1 FROM turns older
              WHERE older.tenant_id = open.tenant_id AND older.thread_uid = open.thread_uid
                AND older.seq < open.seq AND older.state IN ('queued', 'running'))
    ), of_tenants AS (
        SELECT tenant_id, sum(running) AS running FROM at_work GROUP BY tenant_id
    )
    SELECT tenant_id, turn_id
    FROM (
        SELECT ready.*, coalesce(of_tenants.running, 0)
            + row_number() OVER (PARTITION BY tenant_id ORDER BY of_user, seq) AS of_tenant
        FROM ready LEFT JOIN of_tenants USING (tenant_id)
    ) ranked
    ORDER BY of_tenant, seq
    LIMIT :most
    """  # noqa: S608
)
"""Round robin: the n-th turn of a tenant, running ones counted, comes after the first n-1 of every other; within a
tenant its people take turns in the same way, and a person's questions stand in their order."""

_LEFT = text(
    f"""
    SELECT tenant_id, turn_id, platform, fence
    FROM turns JOIN (
        SELECT DISTINCT holder FROM turns
        WHERE state IN ('queued', 'running') AND holder <> {ANYBODY} AND holder IS DISTINCT FROM :holder
    ) others USING (holder)
    WHERE state IN ('queued', 'running') AND {dead("others.holder")}
    """  # noqa: S608
)


@dataclass(frozen=True, slots=True)
class Left:
    """A turn of a dead process."""

    tenant_id: str
    turn_id: str
    platform: str
    fence: int


async def ready(
    session: AsyncSession, *, platform: Platform, holder: int | None, known: Collection[str], most: int
) -> list[tuple[str, str]]:
    """``(tenant_id, turn_id)`` of turns that this process may run, the fairest first; needs ``Database.queue``.

    ``known`` are left out: this process has them already.
    """
    asked = {"platform": platform, "holder": holder, "known": list(known), "most": most}
    rows = await session.execute(_NEXT, asked)
    return [(row.tenant_id, str(row.turn_id)) for row in rows]


async def left_behind(session: AsyncSession, *, holder: int | None, settling: float) -> list[Left]:
    """The turns of processes that are dead; needs ``Database.queue``."""
    rows = await session.execute(_LEFT, {"holder": holder, "settling": settling})
    return [Left(row.tenant_id, str(row.turn_id), row.platform, row.fence) for row in rows]


async def set_free(session: AsyncSession, *, left: Left) -> bool:
    """Put a dead process's turn back into the queue for anybody; False where somebody was faster."""
    result = await session.execute(
        text(
            "UPDATE turns SET holder = 0, lease_until = NULL, state = 'queued', "
            "fence = fence + CASE WHEN state = 'running' THEN 1 ELSE 0 END, "
            "takeovers = takeovers + CASE WHEN state = 'running' THEN 1 ELSE 0 END "
            "WHERE tenant_id = :tenant AND turn_id = CAST(:turn AS uuid) AND fence = :fence "
            "AND state IN ('queued', 'running') RETURNING 1"
        ),
        {"tenant": left.tenant_id, "turn": left.turn_id, "fence": left.fence},
    )
    return result.first() is not None


async def direct_channels(session: AsyncSession, *, platform: Platform, most: int = 100) -> list[str]:
    """Channels that are their own thread, asked in within a week, the latest first; needs ``Database.queue``."""
    found = await session.scalars(
        select(turns.c.channel_id)
        .where(
            turns.c.platform == platform,
            turns.c.channel_id == turns.c.thread_id,
            turns.c.created_at > func.now() - timedelta(days=7),
        )
        .group_by(turns.c.channel_id)
        .order_by(func.max(turns.c.created_at).desc())
        .limit(most)
    )
    return list(found)


async def hold(session: AsyncSession, *, turn: Turn, holder: int | None) -> bool:
    """Keep a queued turn for this process; False where it runs, has ended, or is another's."""
    free = turns.c.holder.is_(None) | turns.c.holder.in_((ANYBODY, holder or ANYBODY))
    return _found(
        await session.execute(
            update(turns)
            .where(is_turn(turn), turns.c.state == "queued", free)
            .values(holder=holder)
            .returning(turns.c.seq)
        )
    )


async def release(session: AsyncSession, *, turn: Turn, holder: int | None) -> None:
    """Let any process run a queued turn that this one held, and say so."""
    mine = turns.c.holder.is_(None) | (turns.c.holder == (holder or ANYBODY))
    freed = await session.execute(
        update(turns)
        .where(is_turn(turn), turns.c.state == "queued", mine)
        .values(holder=ANYBODY)
        .returning(turns.c.seq)
    )
    if _found(freed):
        await tell(session, Notice("ready", turn.id, turn.thread.platform))


async def record_waiting(session: AsyncSession, *, turn: Turn, holder: int | None, index: int, ref: str | None) -> None:
    """Remember a message that tells an asker to wait. Raises LeaseLost where the turn no longer waits here."""
    if not await hold(session, turn=turn, holder=holder):
        raise LeaseLost("Another process answers this question now.")
    await note_part(session, turn, index, ref)


async def tell(session: AsyncSession, notice: Notice) -> None:
    """Send a notice to every process once the transaction is committed."""
    await session.execute(select(func.pg_notify(CHANNEL, payload(notice))))


async def tell_next(session: AsyncSession, *, thread: ThreadKey, thread_uid: Any) -> None:
    """Once the transaction is committed, say that the thread's next turn may run, if one waits."""
    row = (
        await session.execute(
            select(turns.c.turn_id, turns.c.platform, turns.c.holder)
            .where(turns.c.tenant_id == thread.tenant_id, turns.c.thread_uid == thread_uid, turns.c.state == "queued")
            .order_by(turns.c.seq)
            .limit(1)
        )
    ).one_or_none()
    if row is not None:
        await tell(session, Notice("ready", str(row.turn_id), row.platform, row.holder or ANYBODY))


def _found(result: CursorResult[Any]) -> bool:
    return result.first() is not None
