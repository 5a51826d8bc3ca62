"""Late replies: stored replies that are not shown yet, kept as turns with a ``deliver_at``.

``deliver_at`` is the time of the next try; it is empty once the reply is shown. A turn that is leased to be shown also
has a ``lease_until``; the process that answered it shows it first. An edited or deleted question is no longer late.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.engine.answer.poison import SUSPECT_AFTER
from bot.store import threads
from bot.store.database import lock_order
from bot.store.database.pipelined_transactions import Statement
from bot.store.turns import turn_queue, turns
from bot.store.turns.leases import LEASE
from bot.store.turns.turns import ANYBODY
from bot.types.conversation import Platform, ThreadKey
from bot.types.turns import LateReply, Lease, Notice, Outcome, Turn
from bot.types.usage import Route

SHARE = 0.1
"""Seconds between two tries, as a share of the seconds since the turn ended: an outage delays a reply by a tenth."""
SHORTEST, LONGEST = timedelta(seconds=5), timedelta(minutes=5)
"""Limits of the time between two tries."""


@dataclass(frozen=True, slots=True)
class Due:
    """A late reply. It is due in ``wait`` seconds, 0 or less for now. ``suspect``: it may crash its processes."""

    tenant_id: str
    turn_id: str
    wait: float
    suspect: bool


_DUE = text(
    f"""
    SELECT tenant_id, turn_id, extract(epoch FROM at - now())::float AS wait, takeovers >= {SUSPECT_AFTER} AS suspect
    FROM (
        SELECT *, greatest(deliver_at, lease_until) AS at FROM queued_turns()
        WHERE platform = :platform AND deliver_at IS NOT NULL AND turn_id <> ALL (CAST(:known AS uuid[]))
    ) late
    WHERE :suspects OR takeovers < {SUSPECT_AFTER}
    ORDER BY greatest(at, now()), seq
    LIMIT :most
    """  # noqa: S608
)


async def due(
    session: AsyncSession, *, platform: Platform, known: Collection[str], most: int, suspects: bool = True
) -> list[Due]:
    """Return late replies, the next to be shown first; needs ``Database.queue``."""
    asked = {"platform": platform, "known": list(known), "most": most, "suspects": suspects}
    rows = await session.execute(_DUE, asked)
    return [Due(row.tenant_id, str(row.turn_id), row.wait, row.suspect) for row in rows]


_CLAIM = text(
    """
    UPDATE turns
    SET fence = fence + 1, holder = :holder, lease_until = now() + CAST(:lease AS interval),
        takeovers = takeovers + CASE WHEN lease_until IS NULL THEN 0 ELSE 1 END,
        deliver_at = timezone('UTC', timezone('UTC', now())
            + least(greatest((now() - finished_at) * :share, CAST(:shortest AS interval)), CAST(:longest AS interval)))
    WHERE tenant_id = :tenant AND turn_id = CAST(:turn AS uuid)
      AND deliver_at <= now() AND (lease_until IS NULL OR lease_until < now())
    RETURNING fence, state, answer, citations, refused, cached, tenant_wide, trace, lease_until - finished_at AS until
    """
)
"""Schedules in UTC, because adding an interval depends on the time zone otherwise. ``until`` has the lease in it."""


async def claim(session: AsyncSession, found: Due, *, holder: int | None) -> LateReply | None:
    """Lease a late reply and schedule its next try. Return None if it is not due any more."""
    given = {
        "tenant": found.tenant_id,
        "turn": found.turn_id,
        "holder": holder,
        "lease": LEASE,
        "share": SHARE,
        "shortest": SHORTEST,
        "longest": LONGEST,
    }
    row = (await session.execute(_CLAIM, given)).one_or_none()
    if row is None:
        return None
    turn = await turns.get(session, tenant_id=found.tenant_id, turn_id=found.turn_id)
    assert turn is not None, "the row is locked"
    return _reply(turn, row)


def _reply(turn: Turn, row: Any) -> LateReply:
    route = row.trace.get("route")
    outcome = Outcome(
        turn_id=turn.id,
        thread=turn.thread,
        state=row.state,
        answer=row.answer,
        citations=threads.citations_from(row.citations),
        route=Route(route["tier"], route["model"], route["reason"]) if route else None,
        cached=row.cached,
        refused=row.refused,
        tenant_wide=row.tenant_wide,
    )
    lease = Lease(turn.id, row.fence, turn.takeovers, turn.recorded)
    notes, links = tuple(row.trace.get("notes", ())), frozenset(row.trace.get("links", ()))
    return LateReply(turn, lease, outcome, notes, links, (row.until - LEASE).total_seconds())


_POSTPONE = """
UPDATE turns
SET lease_until = NULL, holder = %(anybody)s,
    deliver_at = greatest(CASE WHEN %(at_once)s THEN NULL ELSE deliver_at END, now() + %(wait)s)
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND fence = %(fence)s AND deliver_at IS NOT NULL
RETURNING fence
"""


def postponing(turn: Turn, lease: Lease, *, wait: float | None) -> Statement:
    """Release the lease, and wait before the next try. Returns no row if the lease was lost."""
    given = {"anybody": ANYBODY, "at_once": wait is None, "wait": timedelta(seconds=wait or 0)}
    return Statement(_POSTPONE, {**_named(turn, lease), **given})


_TIMED = "jsonb_set({trace}, '{{timings_ms}}', coalesce(trace -> 'timings_ms', '{{}}') || CAST(%(timed)s AS jsonb))"
_NOTED = "jsonb_set({trace}, '{{notes}}', coalesce(trace -> 'notes', '[]') || CAST(%(note)s AS jsonb))"
_SHOWN = """
    {trace}
    || CAST('{{"shown_after_s": ' || CAST(round(extract(epoch FROM now() - finished_at)) AS text) || '}}' AS jsonb)
"""
"""SQL expressions that add to a trace: how long the answer took, a note, or how late its reply was shown."""


def _end(*additions: str) -> str:
    trace = "trace"
    for addition in additions:
        trace = addition.format(trace=trace)
    return f"""
UPDATE turns SET deliver_at = NULL, lease_until = NULL, trace = {trace}
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND fence = %(fence)s AND deliver_at IS NOT NULL
RETURNING fence
"""  # noqa: S608


_ENDED = """
SELECT fence FROM turns
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND fence = %(fence)s AND question <> ''
"""


def ending(turn: Turn, lease: Lease, *, note: str, total_ms: float | None) -> Statement:
    """Record that the reply is shown, or never will be. Returns no row if the lease was lost."""
    timed = [] if total_ms is None else [_TIMED]
    added = [*timed, _NOTED] if note else timed or [_SHOWN]
    given = {"note": Jsonb(note), "timed": Jsonb({"total": total_ms})}
    return Statement(_end(*added), {**_named(turn, lease), **given})


def ended(turn: Turn, lease: Lease) -> Statement:
    """Return a row if that was recorded under this lease already, since a commit may succeed without confirmation."""
    return Statement(_ENDED, _named(turn, lease))


_HURRY = text(
    """
    UPDATE turns SET deliver_at = now()
    WHERE tenant_id = :tenant AND turn_id = :turn AND deliver_at IS NOT NULL
    RETURNING fence
    """
)


async def hurry(session: AsyncSession, turn: Turn) -> bool:
    """Let the reply be tried at once. Return False if it is not late."""
    named = {"tenant": turn.thread.tenant_id, "turn": uuid.UUID(turn.id)}
    return (await session.execute(_HURRY, named)).first() is not None


_OF_THREAD = "tenant_id = %(tenant)s AND thread_uid = %(thread)s AND deliver_at > now()"

_ARE_WAITING = f"SELECT turn_id FROM turns WHERE {_OF_THREAD} LIMIT 1"  # noqa: S608

_LOCK_THREAD = lock_order.turns_where(_OF_THREAD)

_HURRY_THREAD = f"UPDATE turns SET deliver_at = now() WHERE {_OF_THREAD}"  # noqa: S608


def waiting(thread: ThreadKey) -> Statement:
    """Return the statement that returns a row if late replies of the thread wait for their next try."""
    return Statement(_ARE_WAITING, _of_thread(thread))


def hurrying(thread: ThreadKey) -> list[Statement]:
    """Try the thread's late replies at once, because a new question shows that its platform is back.

    They may wait for short transactions that have locked one of the turns, so no other lock may be held.
    """
    named = _of_thread(thread)
    notice = turn_queue.telling(Notice("ready", "", thread.platform))
    return [Statement(_LOCK_THREAD, named), Statement(_HURRY_THREAD, named), notice]


def _of_thread(thread: ThreadKey) -> dict[str, object]:
    return {"tenant": thread.tenant_id, "thread": threads.thread_uid(thread)}


def _named(turn: Turn, lease: Lease) -> dict[str, object]:
    return {"tenant": turn.thread.tenant_id, "turn": uuid.UUID(turn.id), "fence": lease.fence}
