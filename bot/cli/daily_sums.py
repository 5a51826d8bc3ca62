"""Compares the daily sums of the ledger with its single calls, or computes them again: ``parley costs --check``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from bot.cli import user_messages
from bot.cli.command_runtime import require_tenant, run, settings
from bot.cli.output import echo, print_json, show_table

_COLUMNS = ("day", "dimension", "key")


def check_daily_sums(tenant: str, *, rebuild: bool, as_json: bool) -> None:
    """Print where the daily sums differ from the ledger, and exit with status 1 if they do.

    With ``rebuild``, compute every sum again before.
    """
    loaded = settings()

    async def load() -> tuple[int, Sequence[Any]]:
        from bot.llm.prices import Prices
        from bot.store.budgets import ledger_days
        from bot.store.database_startup import opened_database

        steps = Prices.load(loaded.prices_file).steps
        async with opened_database(loaded) as database:
            await require_tenant(database, tenant)
            if rebuild:
                await ledger_days.sum_up_days(database, tenant_id=tenant, price_steps=steps, anew=True)
            async with database.bulk(tenant) as session:
                days = await ledger_days.summed_days(session, tenant_id=tenant)
                return days, await ledger_days.differences(session, tenant_id=tenant, price_steps=steps)

    days, found = run(load())
    rows = [(str(row.day), row.dimension, row.key) for row in found]
    if as_json:
        print_json({"days": days, "differences": [dict(zip(_COLUMNS, row, strict=True)) for row in rows]})
    else:
        echo(user_messages.sums_checked(days, len(rows)))
        if rows:
            show_table(_COLUMNS, rows)
    if rows:
        sys.exit(1)
