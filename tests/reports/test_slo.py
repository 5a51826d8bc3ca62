"""The objectives on stored turns: medians, late percentiles, Parley's own share, and what does not count."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from bot.reports.slo import Spread, objectives
from bot.store.database.session import Database
from bot.store.schema import ledger, threads, turns

TENANT = "slack:T1"
NOW = datetime(2026, 11, 16, 12, tzinfo=UTC)


THREAD = {
    "tenant_id": TENANT,
    "thread_uid": uuid.UUID(int=1),
    "platform": "slack",
    "channel_id": "C1",
    "thread_id": "1",
    "title": "",
}


def turn(number: int, times: dict[str, float] | None, **changed: Any) -> dict[str, Any]:
    return {
        "tenant_id": TENANT,
        "turn_id": uuid.UUID(int=number << 96),
        "thread_uid": uuid.UUID(int=1),
        "platform": "slack",
        "channel_id": "C1",
        "thread_id": "1",
        "message_id": str(number),
        "user_id": "U1",
        "user_name": "Ann",
        "question": "How much?",
        "fresh": False,
        "state": "done",
        "refused": None,
        "cached": False,
        "trace": {} if times is None else {"timings_ms": times},
        "created_at": NOW - timedelta(hours=1),
        **changed,
    }


def call(number: int, ttft: float | None, **changed: Any) -> dict[str, Any]:
    return {
        "tenant_id": TENANT,
        "call_id": uuid.uuid4(),
        "turn_id": uuid.UUID(int=number << 96),
        "platform": "slack",
        "channel_id": "C1",
        "user_id": "U1",
        "purpose": "answer",
        "provider": "anthropic",
        "model": "m",
        "input_tokens": 1,
        "cached_tokens": 0,
        "cache_write_tokens": 0,
        "completion_tokens": 1,
        "price_version": "none",
        "status": "ok",
        "estimated": False,
        "latency_ms": 1.0,
        "ttft_ms": ttft,
        "budget_day": NOW.date(),
        "created_at": NOW,
        **changed,
    }


async def test_percentiles_own_share_and_the_slowest(database: Database) -> None:
    rows = [turn(n, {"ttft": 100.0 * n, "total": 1000.0 * n, "search": 10.0 * n}) for n in range(1, 22)]
    async with database.tenant(TENANT) as session:
        await session.execute(insert(threads), [THREAD])
        await session.execute(insert(turns), rows)
        await session.execute(insert(ledger), [call(n, 100.0 * n - 50) for n in range(1, 22)])
        # The call of another purpose, a failed one, and other turns do not count.
        await session.execute(insert(ledger), [call(1, 9e6, purpose="summary"), call(2, 9e6, status="error")])
        await session.execute(
            insert(turns),
            [
                turn(30, {"ttft": 9e6, "total": 9e6}, state="failed"),
                turn(31, {"ttft": 9e6, "total": 9e6}, refused="No tokens left."),
                turn(32, {"ttft": 9e6, "total": 9e6}, created_at=NOW - timedelta(days=8)),
                turn(33, None),
            ],
        )
        found = await objectives(session, tenant_id=TENANT, start=NOW - timedelta(days=7))
    assert found.answers == 21
    assert found.spreads == {
        "first token": Spread(1100.0, 2000.0),
        "whole answer": Spread(11000.0, 20000.0),
        "own share of the first token": Spread(50.0, 50.0),
    }
    assert found.parts["search"] == Spread(110.0, 200.0)
    assert found.parts["rewrite"] == Spread(None, None)
    assert found.worst == tuple(f"{n:08x}" for n in range(21, 11, -1))
    document = found.as_json()
    assert document["objectives"][0] == {
        "name": "first token p50",
        "target_ms": 400,
        "p50": 1100.0,
        "p95": 2000.0,
        "ok": False,
    }
    assert [one["ok"] for one in document["objectives"]] == [False, False, False, False, True, True]
    assert document["own_share"] == {"p50": 50.0, "p95": 50.0}


async def test_a_cached_answer_begins_when_it_is_whole(database: Database) -> None:
    async with database.tenant(TENANT) as session:
        await session.execute(insert(threads), [THREAD])
        await session.execute(insert(turns), [turn(1, {"total": 70.0}, cached=True)])
        found = await objectives(session, tenant_id=TENANT, start=NOW - timedelta(days=7))
    assert found.spreads["first token"] == found.spreads["own share of the first token"] == Spread(70.0, 70.0)


async def test_without_answers_nothing_is_met_or_missed(database: Database) -> None:
    async with database.tenant(TENANT) as session:
        found = await objectives(session, tenant_id=TENANT, start=NOW)
    assert (found.answers, found.worst) == (0, ())
    assert {one["ok"] for one in found.as_json()["objectives"]} == {None}
