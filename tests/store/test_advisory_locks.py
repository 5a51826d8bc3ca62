"""Advisory locks: one process at a time holds one, and asking whether it is free disturbs nobody."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from bot.errors import StoreAway
from bot.store.database.advisory_locks import is_free, only_one
from bot.store.database.session import Database


async def test_one_holder_at_a_time(database: Database) -> None:
    async with only_one(database, "a") as first, only_one(database, "a") as second, only_one(database, "b") as other:
        assert (first, second, other) == (True, False, True)
        assert not await is_free(database, "a")
        assert await is_free(database, "c")
    assert await is_free(database, "a")


async def test_asking_whether_a_lock_is_free_does_not_take_it(database: Database) -> None:
    names = [f"name {number}" for number in range(20)]
    for name in names:
        async with only_one(database, name):
            assert not await is_free(database, name)
    for _ in range(20):
        assert all(await asyncio.gather(*(is_free(database, "a") for _ in range(12))))


async def test_a_database_that_is_away_is_told_as_such() -> None:
    async with aclosing(Database("postgresql://nobody@127.0.0.1:9/none")) as away:
        with pytest.raises(StoreAway):
            async with only_one(away, "a"):
                pass
        with pytest.raises(StoreAway):
            await is_free(away, "a")
