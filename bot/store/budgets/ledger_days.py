"""Keeps the sums of each finished day of the ledger, and the SQL by which reports read them together with single calls.

The sums are exact at every moment, whatever happens to the ledger in the meantime. A row's ``summed`` says whether it
is part of the sums of its day: ``no`` for a row that was inserted since, also into a past day by a clock that jumped;
``yes``; or ``changed`` for one that was changed since, by a late settlement, a correction or an erasure. Whoever writes
to the ledger sets that column and touches no sum, so calls wait for nothing. Reports read the sums of the days without
a change, and the rows themselves for all else, in one statement. Maintenance sums the other days up again.

An answer counts on the day of the last call that answered its question. Whether a call is the last depends on other
rows, so a day also counts as changed while its questions have rows that are not summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.database.retry import patiently
from bot.store.database.session import Database

TOKENS = (
    "input_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "cache_write_long_tokens",
    "completion_tokens",
    "reasoning_tokens",
)
SUMS = ("calls", "unknown_calls", "estimated_calls", "answers", *TOKENS, "cost_usd")
"""The columns of a sum."""
PRICE_GROUP = ("provider", "model", "is_cheap_answer", "used_cache", "is_priced", "step")
"""The columns that tell groups of calls that are priced alike apart."""
SETTLING_HOURS = 6
"""Hours after which the calls of a day have ended, or were settled as lost. A day is summed up then."""

SUMS_OF_ROWS = """
    count(*) AS calls,
    count(*) FILTER (WHERE cost_usd IS NULL) AS unknown_calls,
    count(*) FILTER (WHERE estimated) AS estimated_calls,
    count(*) FILTER (WHERE is_answer) AS answers,
    sum(input_tokens)::bigint AS input_tokens,
    sum(cached_tokens)::bigint AS cached_tokens,
    sum(cache_write_tokens)::bigint AS cache_write_tokens,
    sum(cache_write_long_tokens)::bigint AS cache_write_long_tokens,
    sum(completion_tokens)::bigint AS completion_tokens,
    sum(reasoning_tokens)::bigint AS reasoning_tokens,
    coalesce(sum(cost_usd), 0) AS cost_usd"""
IS_ANSWER = """(
    purpose = 'answer' AND status = 'ok' AND turn_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM ledger AS later
        WHERE later.tenant_id = :tenant AND later.turn_id = call.turn_id
            AND later.purpose = 'answer' AND later.status = 'ok'
            AND (later.created_at > call.created_at
                OR later.created_at = call.created_at AND later.call_id < call.call_id)
    )
) AS is_answer"""
"""Whether a row named ``call`` is the last of its question's calls that answered it."""
PROMPT = "(input_tokens + cached_tokens + cache_write_tokens + cache_write_long_tokens)"
PRICE_GROUP_OF_ROWS = f"""
    provider, model,
    tier IS NOT DISTINCT FROM 'cheap' AND purpose = 'answer' AS is_cheap_answer,
    input_tokens <> {PROMPT} AS used_cache,
    cost_usd IS NOT NULL AS is_priced,
    width_bucket({PROMPT} - 1, CAST(:steps AS bigint[])) AS step"""
KEYS_OF_ROWS = """LATERAL (VALUES
    ('user', call.user_id), ('channel', call.channel_id), ('model', call.model), ('purpose', call.purpose),
    ('day', CAST(call.budget_day AS text))
) AS one (dimension, key)"""
"""The key of a row named ``call`` in each dimension."""

READ = f"""
WITH unsummed AS MATERIALIZED (
    SELECT created_at, turn_id, summed FROM ledger
    WHERE tenant_id = :tenant AND summed <> 'yes' AND created_at >= :start
), changed_days AS MATERIALIZED (
    SELECT CAST(created_at AT TIME ZONE 'UTC' AS date) AS day FROM unsummed WHERE summed = 'changed'
    UNION
    SELECT CAST(call.created_at AT TIME ZONE 'UTC' AS date) FROM unsummed
    JOIN ledger AS call ON call.tenant_id = :tenant AND call.turn_id = unsummed.turn_id AND call.summed = 'yes'
    UNION
    SELECT day FROM ledger_price_days
    WHERE tenant_id = :tenant AND day >= :first_day AND steps <> CAST(:steps AS bigint[])
), calls AS (
    SELECT call.*, {IS_ANSWER} FROM ledger AS call
    WHERE tenant_id = :tenant AND summed <> 'yes' AND created_at >= :start
    UNION ALL
    SELECT call.*, {IS_ANSWER} FROM ledger AS call
    WHERE tenant_id = :tenant AND summed = 'yes' AND created_at >= :start AND created_at < :first_midnight
    UNION ALL
    SELECT call.* FROM changed_days, LATERAL (
        SELECT call.*, {IS_ANSWER} FROM ledger AS call
        WHERE tenant_id = :tenant AND summed = 'yes' AND created_at >= :first_midnight
            AND created_at >= CAST(changed_days.day AS timestamp) AT TIME ZONE 'UTC'
            AND created_at < CAST(changed_days.day + 1 AS timestamp) AT TIME ZONE 'UTC'
        OFFSET 0
    ) AS call
)"""  # noqa: S608
"""Steps that a report begins with. ``calls`` are the rows since ``start`` that are to be read one by one.

``OFFSET 0`` keeps PostgreSQL from reading the whole ledger for the changed days, which it expects to be many. To the
rows belong the sums of every day from ``first_day`` on that is not in ``changed_days``. Takes ``reading``.
"""
SUMMED_DAYS = "tenant_id = :tenant AND day >= :first_day AND day NOT IN (SELECT day FROM changed_days)"


def reading(tenant_id: str, start: datetime, price_steps: Sequence[int]) -> dict[str, object]:
    """Return the parameters of ``READ``. ``price_steps`` are the prompt sizes (tokens) at which prices change."""
    start = start.astimezone(UTC)
    first_day = start.date() if start.time() == time() else start.date() + timedelta(days=1)
    return {
        "tenant": tenant_id,
        "start": start,
        "first_day": first_day,
        "first_midnight": _midnight(first_day),
        "steps": list(price_steps),
    }


async def sum_up_days(database: Database, *, tenant_id: str, price_steps: Sequence[int], anew: bool = False) -> int:
    """Sum up the finished days that need it, each in a transaction of its own; with ``anew``, every day.

    Return how many days were summed up. Raises StoreAway.
    """
    async with database.bulk(tenant_id) as session:
        days = (
            await every_day(session, tenant_id=tenant_id)
            if anew
            else await days_to_sum(session, tenant_id=tenant_id, price_steps=price_steps)
        )
    for day in days:
        await patiently(partial(_sum_up_day, database, tenant_id, day, price_steps), 0)
    return len(days)


async def _sum_up_day(database: Database, tenant_id: str, day: date, price_steps: Sequence[int], _: bool) -> None:
    async with database.bulk(tenant_id) as session:
        await sum_up(session, tenant_id=tenant_id, day=day, price_steps=price_steps)


async def days_to_sum(session: AsyncSession, *, tenant_id: str, price_steps: Sequence[int]) -> list[date]:
    """Return the finished days (in UTC) whose sums are missing or no longer hold, newest first."""
    values = {"tenant": tenant_id, "steps": list(price_steps), "hours": timedelta(hours=SETTLING_HOURS)}
    return list(await session.scalars(_DAYS_TO_SUM, values))


async def every_day(session: AsyncSession, *, tenant_id: str) -> list[date]:
    """Return the finished days (in UTC) that have calls or sums, newest first."""
    values = {"tenant": tenant_id, "hours": timedelta(hours=SETTLING_HOURS)}
    return list(await session.scalars(_EVERY_DAY, values))


async def summed_days(session: AsyncSession, *, tenant_id: str) -> int:
    """Return how many days have sums."""
    found = await session.scalar(_SUMMED_DAYS, {"tenant": tenant_id})
    return int(found or 0)


async def hold(session: AsyncSession, tenant_id: str) -> None:
    """Wait until no other transaction sums up days of the tenant or erases a person, and keep it so until the end."""
    await session.execute(_HOLD, {"name": f"parley ledger days {tenant_id}"})


async def sum_up(session: AsyncSession, *, tenant_id: str, day: date, price_steps: Sequence[int]) -> None:
    """Compute the sums of a day again. Earlier days whose questions were answered again are left to the next time."""
    await hold(session, tenant_id)
    values = {
        "tenant": tenant_id,
        "day": day,
        "start": _midnight(day),
        "end": _midnight(day + timedelta(days=1)),
        "steps": list(price_steps),
    }
    turns = [turn_id for turn_id in await session.scalars(_MARK, values) if turn_id is not None]
    await session.execute(_REOPEN_EARLIER, {**values, "turns": turns})
    for statement in _STORE:
        await session.execute(statement, values)


async def differences(session: AsyncSession, *, tenant_id: str, price_steps: Sequence[int]) -> Sequence[Any]:
    """Return where the sums differ from the ledger: rows of ``day``, ``dimension`` and ``key``, oldest first.

    The dimension ``price`` names groups of calls that are priced alike.
    """
    values = reading(tenant_id, datetime(1, 1, 2, tzinfo=UTC), price_steps)
    return (await session.execute(_DIFFERENCES, values)).all()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


_SUM_NAMES = ", ".join(SUMS)
_PRICE_NAMES = ", ".join(PRICE_GROUP)
_FINISHED = "created_at < date_trunc('day', now() - CAST(:hours AS interval), 'UTC')"
_DAYS_TO_SUM = text(f"""
    SELECT CAST(created_at AT TIME ZONE 'UTC' AS date) AS day FROM ledger
    WHERE tenant_id = :tenant AND summed <> 'yes' AND NOT (summed = 'no' AND status = 'open') AND {_FINISHED}
    UNION
    SELECT day FROM ledger_price_days WHERE tenant_id = :tenant AND steps <> CAST(:steps AS bigint[])
    ORDER BY day DESC
""")  # noqa: S608
_EVERY_DAY = text(f"""
    SELECT CAST(created_at AT TIME ZONE 'UTC' AS date) AS day FROM ledger WHERE tenant_id = :tenant AND {_FINISHED}
    UNION SELECT day FROM ledger_days WHERE tenant_id = :tenant
    UNION SELECT day FROM ledger_price_days WHERE tenant_id = :tenant
    ORDER BY day DESC
""")  # noqa: S608
_SUMMED_DAYS = text("SELECT count(DISTINCT day) FROM ledger_days WHERE tenant_id = :tenant AND dimension = 'day'")
_HOLD = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_OF_DAY = "tenant_id = :tenant AND created_at >= :start AND created_at < :end"
# Rows in the same order as settlements lock them, so that no two transactions wait for each other.
_MARK = text(f"""
    WITH marked AS (
        SELECT call_id FROM ledger WHERE {_OF_DAY} AND summed <> 'yes' AND NOT (summed = 'no' AND status = 'open')
        ORDER BY call_id FOR NO KEY UPDATE
    )
    UPDATE ledger SET summed = 'yes' FROM marked
    WHERE ledger.tenant_id = :tenant AND ledger.call_id = marked.call_id
    RETURNING ledger.turn_id
""")  # noqa: S608
_REOPEN_EARLIER = text("""
    UPDATE ledger SET summed = 'changed'
    WHERE tenant_id = :tenant AND turn_id = ANY(CAST(:turns AS uuid[])) AND summed = 'yes' AND created_at < :start
""")
_SUMMED_OF_DAY = f"SELECT call.*, {IS_ANSWER} FROM ledger AS call WHERE {_OF_DAY} AND summed = 'yes'"  # noqa: S608
_STORE = (
    text("DELETE FROM ledger_days WHERE tenant_id = :tenant AND day = :day"),
    text("DELETE FROM ledger_price_days WHERE tenant_id = :tenant AND day = :day"),
    text(f"""
        INSERT INTO ledger_days (tenant_id, dimension, day, key, {_SUM_NAMES})
        SELECT :tenant, dimension, CAST(:day AS date), key, {SUMS_OF_ROWS}
        FROM ({_SUMMED_OF_DAY}) AS call, {KEYS_OF_ROWS}
        GROUP BY dimension, key
        RETURNING 1
    """),  # noqa: S608
    text(f"""
        INSERT INTO ledger_price_days (tenant_id, day, steps, {_PRICE_NAMES}, {_SUM_NAMES})
        SELECT :tenant, CAST(:day AS date), CAST(:steps AS bigint[]), {PRICE_GROUP_OF_ROWS}, {SUMS_OF_ROWS}
        FROM ({_SUMMED_OF_DAY}) AS call
        GROUP BY {_PRICE_NAMES}
        RETURNING 1
    """),  # noqa: S608
)
_PRICE_KEY = "concat_ws(' ', provider, model, is_cheap_answer, used_cache, is_priced, step)"
_DIFFERENCES = text(f"""
    {READ}, summed AS MATERIALIZED (
        SELECT call.*, {IS_ANSWER}, CAST(created_at AT TIME ZONE 'UTC' AS date) AS day FROM ledger AS call
        WHERE tenant_id = :tenant AND summed = 'yes'
            AND CAST(created_at AT TIME ZONE 'UTC' AS date) NOT IN (SELECT day FROM changed_days)
    ), computed AS (
        SELECT day, dimension, key, {SUMS_OF_ROWS} FROM summed AS call, {KEYS_OF_ROWS} GROUP BY day, dimension, key
        UNION ALL
        SELECT day, 'price', {_PRICE_KEY}, {_SUM_NAMES} FROM (
            SELECT day, {PRICE_GROUP_OF_ROWS}, {SUMS_OF_ROWS} FROM summed GROUP BY day, {_PRICE_NAMES}
        ) AS priced
    ), stored AS (
        SELECT day, dimension, key, {_SUM_NAMES} FROM ledger_days WHERE {SUMMED_DAYS}
        UNION ALL
        SELECT day, 'price', {_PRICE_KEY}, {_SUM_NAMES} FROM ledger_price_days WHERE {SUMMED_DAYS}
    ), differing AS (
        (SELECT * FROM computed EXCEPT ALL SELECT * FROM stored)
        UNION ALL
        (SELECT * FROM stored EXCEPT ALL SELECT * FROM computed)
    )
    SELECT DISTINCT day, dimension, key FROM differing ORDER BY day, dimension, key
""")  # noqa: S608
