"""Pipelines that are broken off take no later transaction along."""

from __future__ import annotations

import asyncio

from sqlalchemy import text

from bot.store.database.pipelined_transactions import Statement
from bot.store.database.session import Database

STEPS = 40


async def test_whatever_step_is_cancelled_the_next_transaction_works(database_url: str) -> None:
    database = Database(database_url, pool_size=1, pool_overflow=0)
    cancelled = 0
    try:
        for step in range(STEPS):
            slow = asyncio.create_task(database.flush("slack:A", Statement("SELECT pg_sleep(0.01)")))
            for _ in range(step):
                await asyncio.sleep(0.0005)
            slow.cancel()
            (ended,) = await asyncio.gather(slow, return_exceptions=True)
            cancelled += isinstance(ended, asyncio.CancelledError)
            async with database.tenant("slack:A") as session:
                assert await session.scalar(text("SELECT 1")) == 1
            assert [list(rows[0]) for rows in await database.flush("slack:A", Statement("SELECT 2"))] == [[2]]
    finally:
        await database.aclose()
    assert cancelled


async def test_a_connection_that_is_returned_in_the_middle_of_a_pipeline_is_not_used_again(database_url: str) -> None:
    database = Database(database_url, pool_size=1, pool_overflow=0)
    try:
        async with database.tenant("slack:A") as session:
            driver = (await (await session.connection()).get_raw_connection()).driver_connection
        assert driver is not None
        driver.pgconn.enter_pipeline_mode()
        async with database.engine.connect():
            pass
        async with database.tenant("slack:A") as session:
            assert await session.scalar(text("SELECT 1")) == 1
    finally:
        await database.aclose()
