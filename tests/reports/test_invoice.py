"""Exports of the providers compared with ledger rows in the real database, amount by amount."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert

from bot.errors import UsageError
from bot.reports.invoice import EVERY_MODEL, Comparison, compared, model_name, read_export
from bot.store.database.session import Database
from bot.store.schema import ledger
from tests.reports.test_costs import TENANT, call

DAY = datetime(2026, 11, 3, 23, 59, tzinfo=UTC)
CLAUDE_USAGE = (
    "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,"
    "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,"
    "usage_output_tokens,web_search_count,inference_geo,speed"
)
CLAUDE_COST = (
    "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type"
)
OPENAI_USAGE = (
    "start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,"
    "service_tier,input_tokens,output_tokens,input_cached_tokens,input_uncached_tokens"
)
OPENAI_COST = (
    "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id,organization_id"
)


def claude(**changed: Any) -> dict[str, Any]:
    """Return a call of 1000 input, 500 cached, 20 written and 100 output tokens for 0.002 dollars."""
    return call(None, **{"created_at": DAY, **changed})


def openai(**changed: Any) -> dict[str, Any]:
    return claude(provider="openai", model="gpt-6-luna", cache_write_tokens=0, **changed)


async def comparison(database: Database, calls: Sequence[dict[str, Any]], *lines: str) -> Comparison:
    async with database.tenant(TENANT) as session:
        if calls:
            await session.execute(insert(ledger), calls)
        return await compared(session, tenant_id=TENANT, export=read_export([f"{line}\n" for line in lines]))


def differing(found: Comparison) -> list[tuple[str, str, Any]]:
    return [(one.model, one.measure, float(one.invoice - one.ledger)) for one in found.differences]


async def test_equal_usage_has_no_differences(database: Database) -> None:
    lines = [f"2026-11-03,claude-haiku-5-5-20260901,key{n},Default,standard,200k,1000,20,0,500,100,0,," for n in (1, 2)]
    found = await comparison(database, [claude(), claude()], CLAUDE_USAGE, *lines)
    assert (found.differences, found.compared, found.days) == ([], 5, (date(2026, 11, 3), date(2026, 11, 3)))
    assert found.totals["input"] == (Decimal(2000), Decimal(2000))


async def test_each_amount_that_differs_is_named(database: Database) -> None:
    calls = [claude(), claude(model="claude-opus-5"), openai(), claude(tenant_id=TENANT, cached_tokens=499)]
    found = await comparison(
        database,
        calls,
        CLAUDE_USAGE,
        "2026-11-03,claude-haiku-5-5,k,Default,standard,200k,2000,40,0,1000,200,0,,",
        "2026-11-04,claude-haiku-5-5,k,Default,standard,200k,7,0,0,0,1,0,,",
    )
    assert differing(found) == [
        ("claude-haiku-5-5", "cached", 1),
        *[("claude-opus-5", measure, -n) for measure, n in (("cache write 5m", 20), ("cached", 500), ("input", 1000))],
        ("claude-opus-5", "output", -100),
        ("claude-haiku-5-5", "input", 7),
        ("claude-haiku-5-5", "output", 1),
    ]


async def test_costs_are_compared_within_the_rounding_of_the_lines(database: Database) -> None:
    lines = [f"2026-11-03,Claude Haiku 5.5,W,k,standard,200k,{kind},{usd},0,token" for kind, usd in COST_LINES]
    calls = [claude(cost_usd=Decimal("0.134")), claude(model="claude-opus-5", cost_usd=None)]
    assert differing(await comparison(database, calls, CLAUDE_COST, *lines)) == []
    found = await comparison(database, [claude(cost_usd=Decimal("0.06"))], CLAUDE_COST, *lines)
    assert differing(found) == [("claude-haiku-5-5", "USD", pytest.approx(-0.064))]


COST_LINES = (("input_no_cache", "0.1"), ("output", "0.03"))
"""Rounded: together from 0.075 to 0.185 dollars."""


async def test_usage_of_openai(database: Database) -> None:
    row = "1,2,2026-11-03T{}:00:00+00:00,x,p,1,,k,gpt-6-luna-2026-08-07,false,default,750,50,250,500"
    lines = [row.format(hour) for hour in ("00", "23")]
    found = await comparison(database, [openai()], OPENAI_USAGE, *lines)
    assert differing(found) == []
    totals = {measure: (int(invoice), int(known)) for measure, (invoice, known) in found.totals.items()}
    assert totals == {"prompt": (1500, 1500), "cached": (500, 500), "output": (100, 100)}


@pytest.mark.parametrize(
    ("items", "model", "missing"),
    [([""], EVERY_MODEL, 0.001), (["gpt-6-luna-2026-08-07, input", "gpt-6-luna, output"], "gpt-6-luna", 0)],
)
async def test_costs_of_openai_with_and_without_line_items(
    database: Database, items: Sequence[str], model: str, missing: float
) -> None:
    lines = [f'1,2,2026-11-03T00:00:00+00:00,x,0.0010000000000000,usd,"{item}",p,o' for item in items]
    empty = "1,2,2026-11-01T00:00:00+00:00,x,,,,,"
    found = await comparison(database, [openai(), openai(created_at=DAY.replace(day=2))], OPENAI_COST, empty, *lines)
    assert found.days == (date(2026, 11, 1), date(2026, 11, 3))
    expected = [(model, "USD", -0.002), *([(model, "USD", pytest.approx(-missing))] if missing else [])]
    assert differing(found) == expected


async def test_an_export_without_rows_says_nothing(database: Database) -> None:
    found = await comparison(database, [claude()], CLAUDE_USAGE)
    assert (found.compared, found.days, found.differences) == (0, None, [])


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "columns that are not understood: none"),
        (["date,tokens", "2026-11-03,5"], "date, tokens. Export one of these as CSV: Claude usage, Claude cost"),
        ([OPENAI_COST, "1,2,yesterday,x,1,usd,,p,o"], "Line 2"),
        ([OPENAI_COST, "1,2,2026-11-03,x,much,usd,,p,o"], "Line 2"),
        ([OPENAI_COST, "1,2,2026-11-03,x,NaN,usd,,p,o"], "Line 2"),
        ([OPENAI_COST, "1,2,2026-11-03,x,1e999999999,usd,,p,o"], "Line 2"),
        ([OPENAI_COST, "1,2"], "Line 2"),
        ([OPENAI_COST, "1,2,9999-12-31,x,1,usd,,p,o"], "Line 2"),
    ],
)
def test_what_is_not_understood_is_said_in_one_line(lines: list[str], says: str) -> None:
    with pytest.raises(UsageError) as error:
        read_export([f"{line}\n" for line in lines])
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Claude Haiku 4.5", "claude-haiku-4-5"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("claude-opus-5", "claude-opus-5"),
    ],
)
def test_models_are_compared_by_what_their_names_have_in_common(written: str, name: str) -> None:
    assert model_name(written) == name
