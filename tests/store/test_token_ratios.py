"""Learned token counts are stored for all processes, and restored at the next start."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime

from bot.app import store_counts
from bot.llm.tokens import TokenCounter
from bot.store.budgets import token_ratios
from bot.store.database.session import Database

TEXT = "Everybody who works full time has thirty days of paid leave a year. " * 9


async def test_ratios_are_stored_by_model_and_replaced(database: Database) -> None:
    assert await token_ratios.load(database) == {}
    await token_ratios.save(database, {"a": 1.5, "b": 0.75})
    await token_ratios.save(database, {"a": 2.0})
    await token_ratios.save(database, {})
    assert await token_ratios.load(database) == {"a": 2.0, "b": 0.75}


async def test_what_a_process_learned_is_known_after_its_restart(database: Database) -> None:
    counters = [TokenCounter(), TokenCounter()]
    for counter in counters:
        async with AsyncExitStack() as stack:
            await store_counts(database, counter, lambda: datetime.now(UTC), stack)
            if counter is counters[0]:
                counter.learn("gpt-5.6", 100, 200)
    assert counters[1].count(TEXT, "gpt-5.6") == counters[0].count(TEXT, "gpt-5.6") > TokenCounter().count(TEXT)
