"""The ``budget`` command with the real store."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest

from bot.commands import budget
from bot.commands.base import Context
from bot.commands.services import Services
from bot.config import Settings
from bot.errors import NotAllowed, UsageError
from bot.store.database.session import Database
from bot.store.stores import open_stores
from bot.types.conversation import Author
from tests.store.test_turns import accepted, call, incoming

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ANN, BOSS = Author("U1", "Ann"), Author("U9", "Boss", is_admin=True)


def context(database: Database, author: Author, **settings: object) -> Context:
    made = Settings(_env_file=None, **settings)  # type: ignore[arg-type]
    stores = open_stores(database, made, count_tokens=len, clock=lambda: NOON)
    services = SimpleNamespace(settings=made, database=database, stores=stores, clock=lambda: NOON)
    return Context("slack:T1", "slack", "C1", None, author, cast(Services, services))


async def said(where: Context, line: str) -> str:
    return (await budget.run(where, line)).text


async def spend(where: Context, tokens: int) -> None:
    stores = where.services.stores
    await stores.budgets.bill(await accepted(stores, incoming("1").message_id), [call(tokens)], None)


async def test_one_sees_ones_own_day_and_what_else_limits(database: Database) -> None:
    where = context(database, ANN, channel_daily_tokens=50_000)
    await spend(where, 1200)
    assert (await said(where, "")).splitlines() == [
        "You have used 1,200 of 200,000 tokens today. 198,800 are left.",
        "This channel has used 1,200 of 50,000 tokens today. 48,800 are left.",
        "Every budget resets at 00:00 (UTC), in 12 h 0 min.",
    ]


async def test_without_a_limit_no_reset_is_promised(database: Database) -> None:
    assert await said(context(database, ANN, daily_tokens=0), "") == "You have used 0 tokens today. There is no limit."


@pytest.mark.parametrize("line", ["set U1 5", "set tenant 5", "show U2", "list"])
async def test_others_are_for_admins(database: Database, line: str) -> None:
    with pytest.raises(NotAllowed, match="Only an admin"):
        await budget.run(context(database, ANN), line)


@pytest.mark.parametrize(
    ("subject", "limits"),
    [
        ("<@U1|ann>", ["of 700", "", ""]),
        ("*", ["of 700", "", ""]),
        ("role:member", ["of 700", "", ""]),
        ("role:admin", ["of 200,000", "", ""]),
        ("<#C1|general>", ["of 200,000", "of 700", ""]),
        ("here", ["of 200,000", "of 700", ""]),
        ("channel:*", ["of 200,000", "of 700", ""]),
        ("channel:C2", ["of 200,000", "", ""]),
        ("tenant", ["of 200,000", "", "of 700"]),
    ],
)
async def test_a_limit_binds_whom_it_names(database: Database, subject: str, limits: list[str]) -> None:
    answer = await said(context(database, BOSS), f"set {subject} 700")
    assert "may use 700 tokens a day" in answer
    shown = await said(context(database, ANN), "")
    lines = [next((line for line in shown.splitlines() if line.startswith(who)), "") for who in ("You", "This", "The")]
    assert [limit in line for limit, line in zip(limits, lines, strict=True)] == [True] * 3
    assert [bool(line) for line in lines] == [bool(limit) for limit in limits]


async def test_a_limit_is_lifted_and_taken_back(database: Database) -> None:
    boss = context(database, BOSS)
    await budget.run(boss, "set U1 unlimited")
    assert "There is no limit" in await said(context(database, ANN), "")
    listed = await budget.run(boss, "list")
    assert listed.table is not None
    assert list(listed.table.rows) == [("user:U1", "no limit")]
    assert await said(boss, "set U1 default") == "U1 has the default limit again."
    assert "of 200,000" in await said(boss, "show U1")


@pytest.mark.parametrize(
    "line", ["set U1", "set U1 many", "set role:king 5", "set @ 5", "set <#> 5", "show ''", "raise U1 5"]
)
async def test_what_is_wrong_says_how_it_is_written(database: Database, line: str) -> None:
    with pytest.raises(UsageError):
        await budget.run(context(database, BOSS), line)


async def test_a_number_beyond_all_bounds_is_no_limit(database: Database) -> None:
    await budget.run(context(database, BOSS), "set U1 999999999999999M")
    assert "There is no limit" in await said(context(database, ANN), "")
