"""Leases: the exclusive right to answer a turn. Every write of an attempt names its fencing token."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb

from bot.errors import LeaseLost
from bot.store.database.pipelined_transactions import Statement
from bot.store.turns.turns import ANYBODY, OPEN
from bot.types.turns import Lease, Outcome, Turn

LEASE = timedelta(seconds=30)
"""Duration of a lease: another process may take over the turn if the lease is not renewed for this long."""

_STATE = "SELECT state FROM turns WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s"


_TAKE = """
WITH taken AS (
    UPDATE turns
    SET state = 'running', fence = fence + 1, holder = CAST(%(holder)s AS integer),
        takeovers = takeovers
            + CASE WHEN state <> 'running' OR %(again)s AND holder IS NOT DISTINCT FROM CAST(%(holder)s AS integer)
              THEN 0 ELSE 1 END,
        lease_until = now() + %(lease)s, started_at = least(started_at, now())
    WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s
      AND (state = 'queued' AND (holder IS NULL OR holder IN (0, CAST(%(holder)s AS integer)))
           OR state = 'running' AND (lease_until < now() OR holder = CAST(%(holder)s AS integer)))
      AND NOT EXISTS (
          SELECT 1 FROM turns older
          WHERE older.tenant_id = turns.tenant_id AND older.thread_uid = turns.thread_uid
            AND older.seq < turns.seq AND (older.state IN ('queued', 'running') OR older.deliver_at IS NOT NULL))
    RETURNING tenant_id, turn_id, fence, takeovers, stopping
), known AS (
    SELECT count(*) AS recorded FROM reply_parts WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s
), announced AS (
    INSERT INTO reply_parts (tenant_id, turn_id, part)
    SELECT tenant_id, turn_id, 0 FROM taken, known WHERE fence = 1 AND recorded = 0
    RETURNING part
)
SELECT fence, takeovers, stopping, recorded, EXISTS (SELECT part FROM announced) AS announced FROM taken, known
"""
"""Leases a turn that is queued or whose lease has expired, if no earlier turn of its thread is open or to be shown."""


def taking(turn: Turn, holder: int | None, *, again: bool) -> tuple[Statement, Statement]:
    """Lease the turn; ``taken`` reads the rows. The first attempt's first message is recorded with it.

    A running turn that is leased again counts a takeover, whichever process had it. ``again`` marks the retry of a
    lease whose commit was not confirmed: a turn that runs under this process's number then counts none.
    Fails with a UniqueViolation if another turn of the thread was leased in the same moment.
    """
    named = _named(turn)
    return Statement(_TAKE, {**named, "holder": holder, "lease": LEASE, "again": again}), Statement(_STATE, named)


def taken(turn: Turn, lease: Sequence[Any], state: Sequence[Any]) -> Lease | None:
    """Return the lease, or None while the thread is busy. Raises LeaseLost if the turn has ended."""
    for row in lease:
        return Lease(turn.id, row.fence, row.takeovers, row.recorded, row.stopping, row.announced)
    if not state or state[0].state not in OPEN:
        raise LeaseLost("This question has been answered already.")
    return None


LEASED = "(state = 'running' OR deliver_at IS NOT NULL AND lease_until IS NOT NULL)"
"""SQL: the turn is leased, to be answered or to show its stored reply."""

_RENEW = f"""
UPDATE turns SET lease_until = now() + %(lease)s, holder = coalesce(CAST(%(holder)s AS integer), holder)
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND fence = %(fence)s AND {LEASED}
RETURNING fence
"""  # noqa: S608
"""Extends a lease."""


def renewing(turn: Turn, lease: Lease, holder: int | None) -> Statement:
    """Extend the lease; returns no row if it was lost.

    A turn that was leased while this process had no connection for notifications gets the process's number now. If the
    process dies, others then need not wait for the lease to expire.
    """
    return Statement(_RENEW, {**_named(turn), "fence": lease.fence, "lease": LEASE, "holder": holder})


def _named(turn: Turn) -> dict[str, object]:
    return {"tenant": turn.thread.tenant_id, "turn": uuid.UUID(turn.id)}


_HAND_BACK = """
UPDATE turns SET state = 'queued', lease_until = NULL, holder = %(anybody)s
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND state = 'running' AND fence = %(fence)s
RETURNING fence
"""
"""Queues a leased turn again, for any process."""


def handing_back(turn: Turn, lease: Lease) -> Statement:
    """Queue the turn again for any process; returns no row if the lease was lost."""
    return Statement(_HAND_BACK, {**_named(turn), "fence": lease.fence, "anybody": ANYBODY})


_END = """
UPDATE turns SET state = %(state)s, stopping = false, takeovers = 0, answer = %(answer)s,
    citations = %(citations)s, cached = %(cached)s, refused = %(refused)s, trace = %(trace)s,
    tenant_wide = %(tenant_wide)s, finished_at = now(),
    deliver_at = now() + CAST(%(deliver_in)s AS interval),
    lease_until = now() + CAST(%(lease)s AS interval)
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND state = 'running' AND fence = %(fence)s
RETURNING fence
"""
"""Stores the end of a leased turn. The lease goes on while the reply is being shown.

Deaths count anew from here: those so far did not keep the reply from being complete, so they say nothing about showing
it.
"""


def ending(turn: Turn, lease: Lease, outcome: Outcome) -> Statement:
    """Store how the turn ended; returns no row if the lease was lost."""
    return Statement(
        _END,
        {
            **_named(turn),
            "fence": lease.fence,
            "state": outcome.state,
            "answer": outcome.answer,
            "citations": Jsonb([asdict(citation) for citation in outcome.citations]),
            "cached": outcome.cached,
            "refused": outcome.refused,
            "trace": Jsonb(dict(outcome.trace)),
            "tenant_wide": outcome.tenant_wide,
            "deliver_in": None if outcome.deliver_in is None else timedelta(seconds=outcome.deliver_in),
            "lease": None if outcome.deliver_in is None else LEASE,
        },
    )


_ENDED = """
SELECT fence FROM turns
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND state = %(state)s AND fence = %(fence)s
"""
"""Finds a turn that ended under this lease."""


def ended(turn: Turn, lease: Lease, outcome: Outcome) -> Statement:
    """Return a row if the turn already ended like this under this lease, since a commit may succeed without
    confirmation.
    """
    return Statement(_ENDED, {**_named(turn), "fence": lease.fence, "state": outcome.state})


_EXTEND = f"""
UPDATE turns SET lease_until = now() + %(lease)s
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND fence = %(fence)s AND {LEASED}
"""  # noqa: S608

_RECORD_PART = f"""
INSERT INTO reply_parts AS known (tenant_id, turn_id, part, ref)
SELECT tenant_id, turn_id, %(part)s, CAST(%(ref)s AS text) FROM turns
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND fence = %(fence)s AND {LEASED}
ON CONFLICT (tenant_id, turn_id, part)
DO UPDATE SET ref = coalesce(nullif(known.ref, CAST(%(replaced)s AS text)), excluded.ref)
RETURNING ref
"""  # noqa: S608
"""Records a reply message, after the lease was extended, which locked the turn. The first reference wins."""


def recording(
    turn: Turn, lease: Lease, index: int, ref: str | None, *, replaced: str | None = None
) -> tuple[Statement, Statement]:
    """Record a reply message, and extend the lease: without a reference before it is posted, with it afterwards.

    The second statement returns the recorded reference. The first reference wins, except over ``replaced``, whose
    message can no longer be edited. Returns no row if the lease was lost.
    """
    given = {"fence": lease.fence, "lease": LEASE, "part": index, "ref": ref, "replaced": replaced}
    given |= _named(turn)
    return Statement(_EXTEND, given), Statement(_RECORD_PART, given)
