"""Reserves, changes, settles and reads tokens for person, channel and tenant at once, each as one SQL statement.

Every statement locks the three days in this order, so that two transactions cannot deadlock: each step of a statement
reads from the step before it. If an account lacks tokens, the steps after it do nothing; the earlier steps have
recorded in ``reservations`` what they reserved.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from bot.store.budgets.budget_counters import (
    EVERY_CHANNEL,
    EVERYBODY,
    TENANT,
    Account,
    Defaults,
    of_channel,
    of_role,
    of_user,
)
from bot.store.database.pipelined_transactions import Statement
from bot.types.conversation import Role
from bot.types.usage import UNLIMITED, BudgetOwner, Reservation

ACCOUNTS = 3

_SUBJECTS: dict[BudgetOwner, str] = {"user": "%(of_user)s", "channel": "%(of_channel)s", "tenant": f"'{TENANT}'"}

LIMITS = f"""
limits AS (
    SELECT coalesce(max(daily_tokens) FILTER (WHERE subject = %(of_user)s),
                    max(daily_tokens) FILTER (WHERE subject = %(of_role)s),
                    max(daily_tokens) FILTER (WHERE subject = '{EVERYBODY}'), %(user_cap)s) AS user_cap,
           coalesce(max(daily_tokens) FILTER (WHERE subject = %(of_channel)s),
                    max(daily_tokens) FILTER (WHERE subject = '{EVERY_CHANNEL}'), %(channel_cap)s) AS channel_cap,
           coalesce(max(daily_tokens) FILTER (WHERE subject = '{TENANT}'), %(tenant_cap)s) AS tenant_cap
    FROM budgets WHERE tenant_id = %(tenant)s
        AND subject IN (%(of_user)s, %(of_role)s, '{EVERYBODY}', %(of_channel)s, '{EVERY_CHANNEL}', '{TENANT}')
)"""  # noqa: S608
"""SQL step: the limits of the three accounts, set ones before defaults. Takes ``Owners.given``."""


@dataclass(frozen=True, slots=True)
class Owners:
    """The accounts that a turn counts against. ``day`` is a date in the tenant's time zone."""

    tenant_id: str
    user_id: str
    role: Role
    channel_id: str
    day: date
    defaults: Defaults

    @property
    def given(self) -> dict[str, object]:
        """The parameters that every statement here takes."""
        return {
            "tenant": self.tenant_id,
            "of_user": of_user(self.user_id),
            "of_role": of_role(self.role),
            "of_channel": of_channel(self.channel_id),
            "day": self.day,
            "user_cap": self.defaults.user or UNLIMITED,
            "channel_cap": self.defaults.channel or UNLIMITED,
            "tenant_cap": self.defaults.tenant or UNLIMITED,
        }


def taking(gate: str = "") -> str:
    """Return SQL steps that reserve ``need`` tokens on each account. The last step, ``held``, returns the reservations.

    ``gate`` names an earlier step; if it returns no row, nothing is reserved. The statement needs the parameters
    ``reservation``, ``turn`` and ``need`` in addition to those of the owners.
    """
    before, steps = (f", {gate}" if gate else ""), []
    for owner, subject in _SUBJECTS.items():
        steps.append(f"""
on_{owner} AS (
    INSERT INTO budget_days AS day (tenant_id, subject, day, used, reserved, daily_limit)
    SELECT %(tenant)s, {subject}, %(day)s, 0, %(need)s, {owner}_cap FROM limits{before}
    WHERE %(need)s > 0 AND %(need)s <= {owner}_cap
    ON CONFLICT (tenant_id, subject, day)
    DO UPDATE SET reserved = day.reserved + excluded.reserved, daily_limit = excluded.daily_limit
    WHERE day.used + day.reserved + excluded.reserved <= excluded.daily_limit
    RETURNING subject
)""")  # noqa: S608
        before = f", on_{owner}"
    steps.append(f"""
held AS (
    INSERT INTO reservations (tenant_id, reservation_id, turn_id, subject, day, tokens, state)
    SELECT %(tenant)s, %(reservation)s, %(turn)s, subject, %(day)s, %(need)s, 'held' FROM ({_each("on")}) taken
    RETURNING subject
)""")  # noqa: S608
    return ",".join(steps)


def reserve(owners: Owners, *, reservation_id: str, turn_id: str, tokens: int) -> Statement:
    """Reserve tokens. Returns one row with ``many``, the number of accounts on which the tokens were reserved."""
    return Statement(_RESERVE, owners.given | taken(reservation_id, turn_id, tokens))


def taken(reservation_id: str, turn_id: str, tokens: int) -> dict[str, object]:
    """Return the parameters of ``taking`` in addition to those of the owners."""
    return {**_named(reservation_id), "turn": uuid.UUID(turn_id), "need": tokens}


def change(owners: Owners, *, reservation_id: str, tokens: int) -> Statement:
    """Resize a reservation to ``tokens``.

    Returns one row: ``were`` is the number of accounts that held the reservation, ``many`` the number that now hold
    ``tokens``. ``many`` is smaller if an account lacks tokens.
    """
    return Statement(_CHANGE, {**owners.given, **_named(reservation_id), "tokens": tokens})


def settle(owners: Owners, reservation_id: str | None, calls: Sequence[uuid.UUID], tokens: int) -> Statement:
    """Release a reservation and count the ``tokens`` of calls, minus the tokens already counted for these calls.

    Send this before the calls' own rows are written, because the tokens already counted are read from the ledger. If
    the reservation is no longer held, the tokens count on the owners' day.
    """
    given = {**owners.given, **_named(reservation_id), "calls": list(calls), "tokens": tokens}
    return Statement(_SETTLE, given)


def release(tenant_id: str, turn_id: str) -> Statement:
    """Release all reservations of a turn."""
    return Statement(_RELEASE, {"tenant": tenant_id, "turn": uuid.UUID(turn_id)})


_READ = f"""
WITH{LIMITS}
SELECT limits.*,
    coalesce(of_user.used, 0) AS user_used, coalesce(of_user.reserved, 0) AS user_reserved,
    coalesce(of_channel.used, 0) AS channel_used, coalesce(of_channel.reserved, 0) AS channel_reserved,
    coalesce(of_tenant.used, 0) AS tenant_used, coalesce(of_tenant.reserved, 0) AS tenant_reserved
FROM limits
LEFT JOIN budget_days of_user
    ON of_user.tenant_id = %(tenant)s AND of_user.subject = %(of_user)s AND of_user.day = %(day)s
LEFT JOIN budget_days of_channel
    ON of_channel.tenant_id = %(tenant)s AND of_channel.subject = %(of_channel)s AND of_channel.day = %(day)s
LEFT JOIN budget_days of_tenant
    ON of_tenant.tenant_id = %(tenant)s AND of_tenant.subject = '{TENANT}' AND of_tenant.day = %(day)s"""  # noqa: S608
"""The three accounts of a turn in one row."""


def read(owners: Owners) -> Statement:
    """Return the statement whose row ``accounts`` takes."""
    return Statement(_READ, owners.given)


def accounts(row: Any) -> tuple[Account, Account, Account]:
    """Return today's accounts of the person, the channel and the tenant."""
    return (
        Account("user", "user", row.user_cap, row.user_used, row.user_reserved),
        Account("channel", "channel", row.channel_cap, row.channel_used, row.channel_reserved),
        Account("tenant", TENANT, row.tenant_cap, row.tenant_used, row.tenant_reserved),
    )


def held(tenant_id: str, turn_id: str) -> Statement:
    """Return the statement whose rows ``reservation`` takes: the reservations of a turn."""
    return Statement(_HELD, {"tenant": tenant_id, "turn": uuid.UUID(turn_id)})


def reservation(rows: Sequence[Any]) -> Reservation | None:
    """Return the turn's reservation, the latest of several; None unless it is held on every account."""
    if len(rows) < ACCOUNTS or len({row.reservation_id for row in rows[:ACCOUNTS]}) > 1:
        return None
    return Reservation(rows[0].reservation_id.hex, int(rows[0].tokens), rows[0].day)


def _each(step: str) -> str:
    return " UNION ALL ".join(f"SELECT subject FROM {step}_{owner}" for owner in _SUBJECTS)  # noqa: S608


def _named(reservation_id: str | None) -> dict[str, object]:
    return {"reservation": uuid.UUID(reservation_id) if reservation_id else None}


def _changing() -> str:
    before, steps = "", []
    for owner, subject in _SUBJECTS.items():
        steps.append(f"""
at_{owner} AS (
    UPDATE budget_days AS day SET reserved = day.reserved + %(tokens)s - were.tokens FROM were, limits{before}
    WHERE day.tenant_id = %(tenant)s AND day.subject = {subject} AND were.subject = day.subject AND day.day = were.day
        AND (%(tokens)s <= were.tokens OR day.used + day.reserved + %(tokens)s - were.tokens <= {owner}_cap)
    RETURNING day.subject
)""")  # noqa: S608
        before = f", at_{owner}"
    return ",".join(steps)


def _settling() -> str:
    before, steps = "", []
    for owner, subject in _SUBJECTS.items():
        steps.append(f"""
at_{owner} AS (
    INSERT INTO budget_days AS day (tenant_id, subject, day, used, reserved)
    SELECT %(tenant)s, {subject}, due.day, spent.tokens,
        CASE WHEN stored.subject IS NULL THEN 0 ELSE -coalesce(due.tokens, 0) END
    FROM spent{before} CROSS JOIN (
        SELECT coalesce(max(day), %(day)s) AS day, max(tokens) FILTER (WHERE subject = {subject}) AS tokens,
            count(*) AS accounts
        FROM closed
    ) AS due
    LEFT JOIN budget_days AS stored
        ON stored.tenant_id = %(tenant)s AND stored.subject = {subject} AND stored.day = due.day
    WHERE spent.tokens <> 0 OR due.accounts > 0
    ON CONFLICT (tenant_id, subject, day)
    DO UPDATE SET used = day.used + excluded.used, reserved = day.reserved + excluded.reserved
    RETURNING 1
)""")  # noqa: S608
        before = f", (SELECT count(*) FROM at_{owner}) at_{owner}"  # noqa: S608
    return ",".join(steps)


def _releasing() -> str:
    before, steps = "", []
    for owner in _SUBJECTS:
        steps.append(f"""
at_{owner} AS (
    UPDATE budget_days AS day SET reserved = day.reserved - gone.tokens
    FROM (SELECT subject, day, sum(tokens)::bigint AS tokens FROM closed
          WHERE split_part(subject, ':', 1) = '{owner}' GROUP BY subject, day) gone{before}
    WHERE day.tenant_id = %(tenant)s AND day.subject = gone.subject AND day.day = gone.day
    RETURNING 1
)""")  # noqa: S608
        before = f", (SELECT count(*) FROM at_{owner}) at_{owner}"  # noqa: S608
    return ",".join(steps)


_RESERVE = f"WITH{LIMITS},{taking()} SELECT count(*) AS many FROM held"  # noqa: S608

_CHANGE = f"""
WITH were AS (
    SELECT subject, tokens, day FROM reservations
    WHERE tenant_id = %(tenant)s AND reservation_id = %(reservation)s AND state = 'held' FOR UPDATE
),{LIMITS},{_changing()},
changed AS (
    UPDATE reservations SET tokens = %(tokens)s
    WHERE tenant_id = %(tenant)s AND reservation_id = %(reservation)s AND subject IN ({_each("at")})
    RETURNING subject
)
SELECT (SELECT count(*) FROM were) AS were, (SELECT count(*) FROM changed) AS many"""  # noqa: S608
"""Resizes a reservation on its three accounts, in lock order."""


_SETTLE = f"""
WITH counted AS (
    SELECT status, input_tokens + cached_tokens + cache_write_tokens + cache_write_long_tokens + completion_tokens
        AS tokens
    FROM ledger WHERE tenant_id = %(tenant)s AND call_id = ANY(%(calls)s) FOR UPDATE
), spent AS (
    SELECT %(tokens)s - coalesce(sum(tokens) FILTER (WHERE status <> 'open'), 0)::bigint AS tokens FROM counted
), closed AS (
    UPDATE reservations SET state = 'settled'
    WHERE tenant_id = %(tenant)s AND reservation_id = %(reservation)s AND state = 'held'
    RETURNING subject, day, tokens
),{_settling()} SELECT count(*) AS many FROM at_tenant"""  # noqa: S608
"""Releases a reservation and counts the calls' tokens, in lock order.

Open calls are locked too: another process may be settling their estimates, and this statement then waits for them.
"""


_RELEASE = f"""
WITH closed AS (
    UPDATE reservations SET state = 'settled'
    WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND state = 'held'
    RETURNING subject, day, tokens
),{_releasing()} SELECT count(*) AS many FROM closed"""  # noqa: S608
"""Releases all reservations of a turn, in lock order."""


_HELD = """
SELECT reservation_id, tokens, day FROM reservations
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND state = 'held' ORDER BY created_at DESC, reservation_id"""
