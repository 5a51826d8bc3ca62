"""Daily sums equal the ledger after every change, at every moment, for every dimension."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.budgets import ledger as written
from bot.store.budgets import ledger_days, ledger_sums
from bot.store.budgets.ledger_sums import COLUMN_OF, DIMENSIONS, Dimension
from bot.store.database.pipelined_transactions import Statement, send
from bot.store.database.session import Database
from bot.store.privacy.erasure import erase
from bot.store.schema import ledger
from bot.types.conversation import ThreadKey
from bot.types.usage import Call, CallStatus, Usage
from tests.superuser_access import until_blocked

TENANT = "slack:T1"
STEPS = (1500, 9000)
TODAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
USERS = ("U1", "U2", "U3")


def call(chosen: random.Random, at: datetime, turn: uuid.UUID | None, user: str) -> dict[str, Any]:
    """Return a ledger row as one of many kinds."""
    return {
        "tenant_id": TENANT,
        "call_id": uuid.UUID(int=chosen.getrandbits(128)),
        "turn_id": turn,
        "platform": "slack",
        "channel_id": chosen.choice(("C1", "C2")),
        "user_id": user,
        "purpose": chosen.choice(("answer", "answer", "rewrite")),
        "provider": "anthropic",
        "model": chosen.choice(("small", "large")),
        "tier": chosen.choice(("cheap", "strong", None)),
        "input_tokens": chosen.choice((1000, 1500, 1501, 20_000)),
        "cached_tokens": chosen.choice((0, 1)),
        "cache_write_tokens": 0,
        "cache_write_long_tokens": 0,
        "completion_tokens": chosen.randrange(100),
        "reasoning_tokens": 3,
        "cost_usd": chosen.choice((None, Decimal("0.0000000001"), Decimal("0.1"))),
        "price_version": "test",
        "status": chosen.choice(("ok", "ok", "error", "open")),
        "estimated": chosen.random() < 0.2,
        "latency_ms": 1.0,
        "error": "",
        "budget_day": (at - timedelta(hours=chosen.choice((0, 13)))).date(),
        "created_at": at,
    }


def settlement(row: Any, status: CallStatus) -> list[Statement]:
    """Return the statement that settles a row, or corrects one that was settled, with other figures."""
    usage = Usage(900, completion_tokens=7)
    settled = Call(
        row.purpose, row.provider, row.model, row.tier, usage, Decimal("0.3"), "", status, 2.0, 1.0, id=row.call_id.hex
    )
    turn_id = row.turn_id and str(row.turn_id)
    key = ThreadKey(TENANT, "slack", row.channel_id, "t")
    return written.settled(key, user_id=row.user_id, turn_id=turn_id, day=row.budget_day, calls=[settled])[1]


async def plain_sums(database: Database, start: datetime) -> dict[str, dict[str, tuple[Any, ...]]]:
    """Return the sums of each dimension, computed here from single rows of the ledger alone."""
    async with database.tenant(TENANT) as session:
        rows = (await session.execute(select(ledger).where(ledger.c.created_at >= start))).all()
    answered = [row for row in rows if row.purpose == "answer" and row.status == "ok" and row.turn_id is not None]
    answered.sort(key=lambda row: (row.created_at, -row.call_id.int))
    last = {row.turn_id: row.call_id for row in answered}
    found: dict[str, dict[str, tuple[Any, ...]]] = {}
    for by in DIMENSIONS:
        groups: dict[str, list[Any]] = defaultdict(list)
        for row in rows:
            groups[str(getattr(row, COLUMN_OF[by].name))].append(row)
        found[by] = {
            key: (
                len(group),
                sum(row.cost_usd is None for row in group),
                sum(row.estimated for row in group),
                sum(last.get(row.turn_id) == row.call_id for row in group),
                *(sum(getattr(row, name) for row in group) for name in ledger_days.TOKENS),
                sum((row.cost_usd or Decimal(0) for row in group), Decimal(0)),
            )
            for key, group in groups.items()
        }
    return found


async def plain_price_groups(database: Database, start: datetime, steps: Sequence[int]) -> Counter[tuple[Any, ...]]:
    """Return the number of calls of each price group, computed here from single rows."""
    async with database.tenant(TENANT) as session:
        rows = (await session.execute(select(ledger).where(ledger.c.created_at >= start))).all()
    return Counter(
        (
            row.model,
            row.tier == "cheap" and row.purpose == "answer",
            row.cached_tokens > 0,
            row.cost_usd is not None,
            sum(step <= row.input_tokens + row.cached_tokens - 1 for step in steps),
        )
        for row in rows
    )


async def assert_exact(database: Database, steps: Sequence[int] = STEPS) -> None:
    """Compare every report with the plain sums, for periods that begin at and within days."""
    for days, hour in ((400, 0), (9, 0), (9, 7), (3, 12), (1, 23), (0, 1), (-1, 0)):
        start = (TODAY - timedelta(days=days)).replace(hour=hour)
        expected = await plain_sums(database, start)
        async with database.tenant(TENANT) as session:
            for by in DIMENSIONS:
                rows = await ledger_sums.by_dimension(session, tenant_id=TENANT, start=start, by=by, price_steps=steps)
                found = {row.key: tuple(getattr(row, name) for name in ledger_days.SUMS) for row in rows}
                assert found == expected[by], (by, start)
            groups = await ledger_sums.by_price(session, tenant_id=TENANT, start=start, price_steps=steps)
        names = ("model", "is_cheap_answer", "used_cache", "is_priced", "step")
        counted = Counter({tuple(getattr(row, name) for name in names): row.calls for row in groups})
        assert counted == await plain_price_groups(database, start, steps)


async def sum_up(database: Database, steps: Sequence[int] = STEPS) -> list[date]:
    """Sum up the days that need it, as maintenance does; return them."""
    async with database.tenant(TENANT) as session:
        days = await ledger_days.days_to_sum(session, tenant_id=TENANT, price_steps=steps)
    for day in days:
        async with database.tenant(TENANT) as session:
            await ledger_days.sum_up(session, tenant_id=TENANT, day=day, price_steps=steps)
    return days


async def differences(database: Database, steps: Sequence[int] = STEPS) -> list[tuple[Any, ...]]:
    async with database.tenant(TENANT) as session:
        found = await ledger_days.differences(session, tenant_id=TENANT, price_steps=steps)
    return [tuple(row) for row in found]


@pytest.mark.parametrize("seed", range(4))
async def test_reports_equal_the_ledger_after_every_change(database: Database, seed: int) -> None:
    chosen = random.Random(seed)
    turns = {user: [uuid.UUID(int=chosen.getrandbits(128)) for _ in range(6)] for user in USERS}
    await assert_exact(database)
    for _ in range(12):
        rows = []
        for _ in range(chosen.randrange(12)):
            user = chosen.choice(USERS)
            # Also in the past and in the future, as by a clock that jumps.
            at = TODAY - timedelta(days=chosen.choice((-2, 0, 1, 2, 3, 8, 9, 10)), hours=chosen.randrange(-12, 12))
            rows.append(call(chosen, at, chosen.choice((*turns[user], None)), user))
        async with database.tenant(TENANT) as session:
            if rows:
                await session.execute(insert(ledger), rows)
            for row in (await session.execute(select(ledger).order_by(ledger.c.call_id))).all():
                if chosen.random() < 0.1:
                    await send(session, *settlement(row, chosen.choice(("ok", "error"))))
        await assert_exact(database)
        if chosen.random() < 0.7:
            await sum_up(database)
            await assert_exact(database)
        if chosen.random() < 0.2:
            async with database.tenant(TENANT) as session:
                await erase(session, tenant_id=TENANT, user_id=chosen.choice(USERS))
            await assert_exact(database)
        assert await differences(database) == []
    while await sum_up(database):
        await assert_exact(database)
    await assert_exact(database, (700,))
    assert await sum_up(database, (700,))
    await assert_exact(database, (700,))


async def stored(database: Database, *rows: dict[str, Any]) -> None:
    async with database.tenant(TENANT) as session:
        await session.execute(insert(ledger), rows)


async def cost_of(database: Database, by: Dimension = "user") -> dict[str, Decimal]:
    async with database.tenant(TENANT) as session:
        start = TODAY - timedelta(days=30)
        rows = await ledger_sums.by_dimension(session, tenant_id=TENANT, start=start, by=by, price_steps=STEPS)
    return {row.key: row.cost_usd for row in rows}


def paid(user: str = "U1", **changed: Any) -> dict[str, Any]:
    """Return a settled row of five days ago, which cost 0.1 dollars."""
    made = call(random.Random(uuid.uuid4().int), TODAY - timedelta(days=5), uuid.uuid4(), user)
    return {**made, "status": "ok", "purpose": "answer", "cost_usd": Decimal("0.1"), **changed}


async def test_finished_days_are_read_from_their_sums_and_a_wrong_sum_is_found_and_mended(database: Database) -> None:
    await stored(database, paid(), paid("U2"))
    assert await ledger_days.sum_up_days(database, tenant_id=TENANT, price_steps=STEPS) == 1
    assert await ledger_days.sum_up_days(database, tenant_id=TENANT, price_steps=STEPS) == 0
    async with database.tenant(TENANT) as session:
        await session.execute(text("UPDATE ledger_days SET cost_usd = 7 WHERE dimension = 'user' AND key = 'U2'"))
        await session.execute(text("UPDATE ledger_price_days SET calls = 9"))
    assert await cost_of(database) == {"U1": Decimal("0.1"), "U2": Decimal(7)}
    found = await differences(database)
    assert ("user", "U2") in {row[1:] for row in found}
    assert "price" in {row[1] for row in found}
    assert await ledger_days.sum_up_days(database, tenant_id=TENANT, price_steps=STEPS, anew=True) == 1
    assert await differences(database) == []
    await assert_exact(database)


async def test_the_sum_of_a_day_whose_calls_are_gone_is_removed(database: Database) -> None:
    await stored(database, paid())
    await ledger_days.sum_up_days(database, tenant_id=TENANT, price_steps=STEPS)
    async with database.tenant(TENANT) as session:
        await session.execute(text("DELETE FROM ledger"))
    assert await differences(database) != []
    await ledger_days.sum_up_days(database, tenant_id=TENANT, price_steps=STEPS, anew=True)
    assert await differences(database) == []
    assert await cost_of(database) == {}


async def correct(session: AsyncSession, row: dict[str, Any]) -> None:
    (found,) = await session.execute(select(ledger).where(ledger.c.call_id == row["call_id"]))
    await send(session, *settlement(found, "ok"))


@pytest.mark.parametrize("was_summed", [False, True], ids=["a first sum", "a sum that is computed again"])
async def test_a_settlement_that_waits_for_a_sum_is_in_the_report(database: Database, was_summed: bool) -> None:
    late, row = paid("U2"), paid()
    await stored(database, row, *([] if was_summed else [late]))
    if was_summed:
        await sum_up(database)
        await stored(database, late)
    async with asyncio.TaskGroup() as tasks, database.tenant(TENANT) as summing:
        await ledger_days.sum_up(summing, tenant_id=TENANT, day=(TODAY - timedelta(days=5)).date(), price_steps=STEPS)

        async def settle() -> None:
            async with database.tenant(TENANT) as session:
                await correct(session, late)

        tasks.create_task(settle())
        await until_blocked(database)
    assert await cost_of(database) == {"U1": Decimal("0.1"), "U2": Decimal("0.3")}
    await assert_exact(database)
    assert await sum_up(database) == [(TODAY - timedelta(days=5)).date()]
    await assert_exact(database)


async def test_a_sum_that_waits_for_a_settlement_has_it(database: Database) -> None:
    row = paid()
    await stored(database, row)
    async with asyncio.TaskGroup() as tasks, database.tenant(TENANT) as settling:
        await correct(settling, row)
        tasks.create_task(sum_up(database))
        await until_blocked(database)
    assert await cost_of(database) == {"U1": Decimal("0.3")}
    assert await differences(database) == []
    await assert_exact(database)


async def test_many_settlements_and_sums_at_once_end_exact(database: Database) -> None:
    rows = [paid(user, created_at=TODAY - timedelta(days=day)) for user in USERS for day in (3, 4, 5)]
    await stored(database, *rows)
    chosen = random.Random(7)

    async def settle(row: dict[str, Any]) -> None:
        for _ in range(4):
            async with database.tenant(TENANT) as session:
                await correct(session, row)
            await stored(database, paid(row["user_id"], created_at=row["created_at"], turn_id=row["turn_id"]))

    async def keep_summing() -> None:
        for _ in range(6):
            await ledger_days.sum_up_days(database, tenant_id=TENANT, price_steps=STEPS)

    chosen.shuffle(rows)
    await asyncio.gather(*map(settle, rows), keep_summing(), keep_summing())
    await assert_exact(database)
    while await sum_up(database):
        pass
    await assert_exact(database)
    assert await differences(database) == []


async def test_an_erased_person_is_in_no_sum(database: Database) -> None:
    await stored(database, paid(), paid("U2"))
    await sum_up(database)
    async with database.tenant(TENANT) as session:
        await erase(session, tenant_id=TENANT, user_id="U1")
        keys = set(await session.scalars(text("SELECT key FROM ledger_days")))
    assert "U1" not in keys
    assert "U2" in keys
    await assert_exact(database)
    await sum_up(database)
    assert sum((await cost_of(database)).values()) == Decimal("0.2")
    await assert_exact(database)


async def test_an_erasure_waits_for_a_sum_that_is_being_computed(database: Database) -> None:
    await stored(database, paid())
    await sum_up(database)
    async with asyncio.TaskGroup() as tasks, database.tenant(TENANT) as summing:
        await ledger_days.sum_up(summing, tenant_id=TENANT, day=(TODAY - timedelta(days=5)).date(), price_steps=STEPS)

        async def forget() -> None:
            async with database.tenant(TENANT) as session:
                await erase(session, tenant_id=TENANT, user_id="U1")

        tasks.create_task(forget())
        await until_blocked(database)
    async with database.tenant(TENANT) as session:
        assert "U1" not in set(await session.scalars(text("SELECT key FROM ledger_days")))


async def test_calls_in_progress_and_of_today_are_not_summed(database: Database) -> None:
    await stored(database, paid(status="open"), paid(created_at=TODAY))
    assert await sum_up(database) == []
    await assert_exact(database)


async def test_a_question_that_is_answered_again_on_a_later_day_counts_once(database: Database) -> None:
    turn = uuid.uuid4()
    await stored(database, paid(turn_id=turn))
    await sum_up(database)
    await stored(database, paid(turn_id=turn, created_at=TODAY - timedelta(days=3)))
    await assert_exact(database)
    later, earlier = [(TODAY - timedelta(days=days)).date() for days in (3, 5)]
    assert await sum_up(database) == [later]
    await assert_exact(database)
    assert await sum_up(database) == [earlier], "its question was answered again"
    assert await sum_up(database) == []
    await assert_exact(database)
