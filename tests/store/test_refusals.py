"""Refusals are counted where they happen, stored by tenant and day, and shown to the operator."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from typing import get_args

import pytest
from sqlalchemy import text

from bot.errors import StoreAway
from bot.platforms.web.sign_in.attempt_limit import AttemptLimit
from bot.store import refusals
from bot.store.database.session import Database
from knowledge import refusal_counts
from knowledge.errors import ParseError
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.sources.refused_requests import record_refusal, record_refused_url
from knowledge.types.source_items import Fetched
from tests.superuser_access import superuser_connection

DAY = date(2026, 11, 30)


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    refusal_counts.take()
    yield
    refusal_counts.take()


async def test_counts_are_stored_once_and_added_up(database: Database) -> None:
    refusal_counts.count("quota", "t")
    refusal_counts.count("quota", "t")
    refusal_counts.count("address")
    await refusals.store(database, DAY)
    await refusals.store(database, DAY)
    refusal_counts.count("quota", "t")
    await refusals.store(database, DAY.replace(day=29))
    assert await refusals.since(database, "t", DAY) == {"quota": 2}
    assert await refusals.since(database, "t", DAY.replace(day=1)) == {"quota": 3}
    assert await refusals.since(database, "*", DAY) == {"address": 1}
    assert await refusals.since(database, "other", DAY) == {}
    assert refusals.described(await refusals.since(database, "t", DAY.replace(day=1))) == "3 quota"
    assert refusals.described({}) == "none"
    assert get_args(refusal_counts.RefusalKind) == refusal_counts.KINDS


async def test_processes_add_to_the_same_counts(database_url: str) -> None:
    databases = [Database(database_url), Database(database_url)]
    try:
        for _ in range(5):
            refusal_counts.count("link", "t")
            refusal_counts.count("upload", "t")
            first = asyncio.create_task(refusals.store(databases[0], DAY))
            await asyncio.sleep(0)
            refusal_counts.count("upload", "t")
            refusal_counts.count("link", "t")
            await asyncio.gather(first, refusals.store(databases[1], DAY))
        assert await refusals.since(databases[0], "t", DAY) == {"link": 10, "upload": 10}
    finally:
        for database in databases:
            await database.aclose()


async def test_a_tenant_cannot_read_or_write_the_counts_of_others(database: Database) -> None:
    refusal_counts.count("quota", "t")
    refusal_counts.count("signature")
    await refusals.store(database, DAY)
    for tenant, seen in (("t", 1), ("other", 0), ("-", 1)):
        async with database.tenant(tenant) as session:
            assert await session.scalar(text("SELECT count(*) FROM refusals")) == seen
    async with superuser_connection(database) as connection:
        rows = await connection.execute(text("SELECT tenant_id, kind FROM refusals ORDER BY 1"))
        assert [tuple(row) for row in rows] == [("*", "signature"), ("t", "quota")]


async def test_counts_outlive_a_database_that_is_away(database: Database) -> None:
    refusal_counts.count("quota", "t")
    away = Database("postgresql://nobody@127.0.0.1:9/none")
    try:
        with suppress(StoreAway):
            await refusals.store(away, DAY)
    finally:
        await away.aclose()
    await refusals.store(database, DAY)
    assert await refusals.since(database, "t", DAY) == {"quota": 1}


async def test_old_counts_are_deleted(database: Database) -> None:
    for tenant in ("t", "*"):
        refusal_counts.count("quota", tenant)
        await refusals.store(database, DAY)
        await refusals.delete_old(database, tenant, date(2027, 11, 30))
        assert await refusals.since(database, tenant, DAY) == {"quota": 1}
        await refusals.delete_old(database, tenant, date(2028, 11, 30))
        assert await refusals.since(database, tenant, DAY) == {}


async def test_refusals_are_counted_where_they_happen() -> None:
    record_refusal("address", "host", "10.0.0.1")
    record_refused_url()
    AttemptLimit(lambda: 0.0).add_failure("10.0.0.1")
    parser = Parser(seconds=0.0)
    try:
        with pytest.raises(ParseError):
            await parser.parse(Fetched("a.txt", b"words"))
    finally:
        await parser.aclose()
    assert refusal_counts.take() == {("*", "address"): 2, ("*", "sign-in"): 1, ("*", "parser"): 1}
