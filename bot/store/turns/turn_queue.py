"""The turn queue: picks the next turns fairly, frees the turns of dead processes, and notifies processes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.engine.answer.poison import SUSPECT_AFTER
from bot.engine.user_messages import LOST
from bot.errors import LeaseLost
from bot.store.database.notifications import CHANNEL, payload
from bot.store.database.pipelined_transactions import Statement
from bot.store.database.process_liveness import Evidence, dead
from bot.store.schema import turns
from bot.store.threads import thread_uid
from bot.store.turns import reply_parts
from bot.store.turns.leases import LEASE, LEASED
from bot.store.turns.turns import ANYBODY, is_turn
from bot.types.conversation import Platform, ThreadKey
from bot.types.turns import UNLIMITED, Notice, TenantRoom, Turn

UNCLAIMED = "5 seconds"
"""How long a queued turn is left to its process while that process does not show that it is alive."""

TRIED_FOR = "1 day"
"""How long removing the messages of a deleted question is retried."""


@dataclass(frozen=True, slots=True)
class Left:
    """A turn of a dead process. ``charged``: the death counts against it if it was running or being shown."""

    tenant_id: str
    turn_id: str
    platform: str
    fence: int
    suspect: bool
    charged: bool


@dataclass(frozen=True, slots=True)
class Ready:
    """A turn that a process may run. ``running`` if its lease has expired."""

    tenant_id: str
    turn_id: str
    running: bool


_NEXT = text(
    f"""
    WITH open AS (
        SELECT *, takeovers >= {SUSPECT_AFTER} AS suspect,
               seq = min(seq) OVER (PARTITION BY tenant_id, thread_uid) AS first_of_thread
        FROM queued_turns() WHERE state IN ('queued', 'running') OR deliver_at IS NOT NULL
    ), at_work AS (
        SELECT tenant_id, user_id, count(*) AS running FROM open WHERE state = 'running' GROUP BY tenant_id, user_id
    ), ready AS (
        SELECT open.*, coalesce(at_work.running, 0)
            + row_number() OVER (PARTITION BY tenant_id, user_id ORDER BY queued_at, seq) AS of_user,
            row_number() OVER (PARTITION BY suspect ORDER BY queued_at, seq) AS nth
        FROM open LEFT JOIN at_work USING (tenant_id, user_id)
        WHERE platform = :platform AND turn_id <> ALL (CAST(:known AS uuid[]))
          AND (state = 'queued' AND (holder IN ({ANYBODY}, :holder)
                                     OR holder IS NULL AND queued_at < now() - interval '{UNCLAIMED}')
               OR state = 'running' AND (lease_until < now() OR holder = :holder))
          AND first_of_thread
    ), of_tenants AS (
        SELECT tenant_id, sum(running) AS running FROM at_work GROUP BY tenant_id
    )
    SELECT tenant_id, turn_id, state
    FROM (
        SELECT ready.*, coalesce(of_tenants.running, 0)
            + row_number() OVER (PARTITION BY tenant_id ORDER BY of_user, queued_at, seq) AS of_tenant,
            row_number() OVER (PARTITION BY tenant_id ORDER BY started_at IS NULL, of_user, queued_at, seq) AS started
        FROM ready LEFT JOIN of_tenants USING (tenant_id)
        WHERE NOT suspect OR nth = 1 AND :suspects
    ) ranked LEFT JOIN unnest(CAST(:tenants AS text[]), CAST(:rooms AS integer[])) AS room (tenant_id, turns)
        USING (tenant_id)
    WHERE started <= coalesce(room.turns, CAST(:otherwise AS integer))
    ORDER BY started_at IS NULL, of_tenant, queued_at, seq
    LIMIT :most
    """  # noqa: S608
)
"""Interrupted turns come first, because their unfinished draft is visible in the channel.

The rest is round robin: the n-th turn of a tenant, including running ones, comes after the first n-1 of every other
tenant. People within a tenant alternate in the same way, and a person's questions keep their order. An edited question
is queued behind those that wait already.
"""


async def ready(
    session: AsyncSession,
    *,
    platform: Platform,
    holder: int | None,
    known: Collection[str],
    room: TenantRoom = UNLIMITED,
    most: int,
    suspects: bool = True,
) -> list[Ready]:
    """Return the turns that this process may run, the most urgent first, with at most one suspect; needs
    ``Database.queue``.

    Turns in ``known`` are skipped: this process has them already. So are those for which their tenant has no ``room``:
    this process may not start them now.
    """
    asked = {
        "platform": platform,
        "holder": holder,
        "known": list(known),
        "tenants": list(room.of),
        "rooms": list(room.of.values()),
        "otherwise": room.otherwise,
        "most": most,
        "suspects": suspects,
    }
    rows = await session.execute(_NEXT, asked)
    return [Ready(row.tenant_id, str(row.turn_id), row.state == "running") for row in rows]


_HAS_WORK = text(
    f"""
    SELECT EXISTS (
        SELECT FROM queued_turns()
        WHERE platform = :platform AND turn_id <> ALL (CAST(:known AS uuid[]))
          AND (state = 'queued' AND coalesce(holder, {ANYBODY}) IN ({ANYBODY}, :holder)
                   AND queued_at < now() - interval '{UNCLAIMED}'
               OR state = 'running' AND (lease_until < now() OR holder = :holder)
               OR deliver_at <= now() AND (lease_until IS NULL OR lease_until < now())
               OR withdrawn_at > now() - interval '{TRIED_FOR}'
                   AND (coalesce(holder, {ANYBODY}) IN ({ANYBODY}, :holder)
                        OR withdrawn_at < now() - CAST(:lease AS interval)))
    )
    """  # noqa: S608
)
"""Whether a process has turns to run or replies to remove. A question is first left to the process that accepted it."""


async def has_work(session: AsyncSession, *, platform: Platform, holder: int | None, known: Collection[str]) -> bool:
    """Return whether turns wait that this process may run and does not know of; needs ``Database.queue``."""
    asked = {"platform": platform, "holder": holder, "known": list(known), "lease": LEASE}
    return bool(await session.scalar(_HAS_WORK, asked))


_LEFT = text(
    f"""
    SELECT tenant_id, turn_id, platform, fence, suspect,
           suspect OR NOT bool_or(suspect) OVER (PARTITION BY holder) AS charged
    FROM (
        SELECT *, {LEASED} AND takeovers >= {SUSPECT_AFTER} AS suspect FROM queued_turns()
    ) held JOIN (
        SELECT DISTINCT holder FROM queued_turns()
        WHERE holder <> {ANYBODY} AND holder IS DISTINCT FROM :holder
    ) others USING (holder)
    WHERE {dead("others.holder")}
    ORDER BY suspect, tenant_id
    """  # noqa: S608
)
"""Suspects come last, so that a reader who sees the suspect of a dead process also sees its other turns."""


async def left_behind(session: AsyncSession, *, holder: int | None, evidence: Evidence) -> list[Left]:
    """Return the turns of dead processes, suspects last; needs ``Database.queue``."""
    rows = await session.execute(_LEFT, {"holder": holder, **evidence.parameters()})
    return [Left(row.tenant_id, str(row.turn_id), row.platform, row.fence, row.suspect, row.charged) for row in rows]


_SET_FREE = text(
    f"""
    WITH theirs AS (
        SELECT turns.turn_id, dead.charged AND {LEASED} AS charged, state = 'running' AS running
        FROM turns JOIN unnest(CAST(:turns AS uuid[]), CAST(:fences AS integer[]), CAST(:charged AS boolean[]))
            AS dead (turn_id, fence, charged) ON turns.turn_id = dead.turn_id AND turns.fence = dead.fence
        WHERE tenant_id = :tenant
        FOR UPDATE OF turns SKIP LOCKED
    )
    UPDATE turns
    SET holder = 0, lease_until = NULL,
        fence = fence + CASE WHEN theirs.running THEN 1 ELSE 0 END,
        takeovers = takeovers + CASE WHEN theirs.charged THEN 1 ELSE 0 END,
        state = CASE WHEN theirs.running THEN 'queued' ELSE state END
    FROM theirs
    WHERE tenant_id = :tenant AND turns.turn_id = theirs.turn_id
    RETURNING platform
    """  # noqa: S608
)
"""Queues turns of dead processes again; rows that another process has locked are skipped."""


async def set_free(session: AsyncSession, *, tenant_id: str, left: Sequence[Left]) -> None:
    """Queue a tenant's turns of dead processes again, for any process. Skip turns that another process queued first."""
    asked = {
        "tenant": tenant_id,
        "turns": [one.turn_id for one in left],
        "fences": [one.fence for one in left],
        "charged": [one.charged for one in left],
    }
    for platform in sorted({row.platform for row in await session.execute(_SET_FREE, asked)}):
        await tell(session, Notice("ready", "", platform))


_WITHDRAWN = text(
    f"""
    SELECT tenant_id, turn_id FROM queued_turns()
    WHERE platform = :platform AND withdrawn_at > now() - interval '{TRIED_FOR}'
      AND turn_id <> ALL (CAST(:known AS uuid[]))
      AND (holder IS NULL OR holder IN ({ANYBODY}, :holder) OR withdrawn_at < now() - CAST(:lease AS interval))
    ORDER BY withdrawn_at
    LIMIT :most
    """  # noqa: S608
)
"""Turns of deleted questions whose messages still have to be removed."""


async def withdrawn(
    session: AsyncSession, *, platform: Platform, holder: int | None, known: Collection[str], most: int
) -> list[tuple[str, str]]:
    """Return ``(tenant_id, turn_id)`` of deleted questions whose replies must be removed; needs ``Database.queue``.

    Each is first left to the process that ran the turn when it was deleted, for as long as a lease lasts.
    """
    asked = {"platform": platform, "holder": holder, "known": list(known), "most": most, "lease": LEASE}
    return [(row.tenant_id, str(row.turn_id)) for row in await session.execute(_WITHDRAWN, asked)]


async def direct_channels(session: AsyncSession, *, platform: Platform, most: int = 100) -> list[str]:
    """Return direct-message channels with a question within a week, latest first; needs ``Database.queue``."""
    found = await session.scalars(
        text("SELECT channel_id FROM recent_direct_channels(:platform, :most)"), {"platform": platform, "most": most}
    )
    return list(found)


async def hold(session: AsyncSession, *, turn: Turn, holder: int | None) -> bool:
    """Hold a queued turn for this process. Return False if it runs, has ended, or another process holds it."""
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
    """Let any process run a queued turn that this one held, and notify them."""
    mine = turns.c.holder.is_(None) | (turns.c.holder == (holder or ANYBODY))
    freed = await session.execute(
        update(turns)
        .where(is_turn(turn), turns.c.state == "queued", mine)
        .values(holder=ANYBODY)
        .returning(turns.c.seq)
    )
    if _found(freed):
        await tell(session, Notice("ready", turn.id, turn.thread.platform))


async def record_waiting(
    session: AsyncSession, *, turn: Turn, holder: int | None, index: int, ref: str | None
) -> str | None:
    """Record a message that tells an asker to wait. Return the recorded reference.

    Raises LeaseLost if this process no longer holds the turn.
    """
    if not await hold(session, turn=turn, holder=holder):
        raise LeaseLost(LOST)
    return await reply_parts.note(session, turn, index, ref)


async def tell(session: AsyncSession, notice: Notice) -> None:
    """Send a notice to every process once the transaction is committed."""
    await session.execute(select(func.pg_notify(CHANNEL, payload(notice))))


def telling(notice: Notice) -> Statement:
    """Send a notice to every process once the transaction is committed."""
    return Statement("SELECT pg_notify(%(channel)s, %(notice)s)", {"channel": CHANNEL, "notice": payload(notice)})


_TELL_NEXT = "SELECT notify_next_turn(%(channel)s, %(tenant)s, %(thread)s, %(anybody)s)"
"""Notifies that the thread's next queued turn may run."""


async def tell_next(session: AsyncSession, *, thread: ThreadKey) -> None:
    """Notify, once the transaction is committed, that the thread's next waiting turn may run."""
    connection = await session.connection()
    await connection.exec_driver_sql(*telling_next(thread=thread))


def telling_next(*, thread: ThreadKey) -> Statement:
    """Notify, once the transaction is committed, that the thread's next waiting turn may run."""
    named = {"tenant": thread.tenant_id, "thread": thread_uid(thread), "channel": CHANNEL, "anybody": ANYBODY}
    return Statement(_TELL_NEXT, named)


_TELL_ERASED = "SELECT notify_erased_turns(%(channel)s, %(tenant)s, %(user)s)"


def telling_erased(*, tenant_id: str, user_id: str) -> Statement:
    """Notify, once the transaction is committed, that the person's open turns are gone, and that others may run.

    It comes before the statement that deletes them.
    """
    return Statement(_TELL_ERASED, {"channel": CHANNEL, "tenant": tenant_id, "user": user_id})


def _found(result: CursorResult[Any]) -> bool:
    return result.first() is not None
