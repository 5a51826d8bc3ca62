"""Measures how long a cost report holds up the bot, and what memory it takes.

    python -m benchmarks.costs_report [--rows 1000000] [--users 5000]

Fills the ledger of one tenant with generated calls of the last 30 days: two models and two providers, one call in ten a
failed one, half of the prompts partly cached, one in a hundred above the price step for long prompts. Then it runs
``/costs`` by each dimension, with the CSV and the chart, as an admin's command runs in the bot. For each report it
prints three times in milliseconds: from the command to its reply, the processor time of the event loop's thread, and
the longest time that another task of the loop waited for its turn.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from benchmarks.shared.harness import fresh_postgres, resident_mb, run, sample_app, table
from bot.app import App
from bot.commands import registry as commands
from bot.platforms import console
from bot.store.database.connections import plain_url
from bot.types.conversation import LOCAL_TENANT

REPORTS = ("by user", "by channel", "by model", "by purpose", "by day", "by user csv", "by day chart")
FILL = """
INSERT INTO ledger (tenant_id, call_id, turn_id, platform, channel_id, user_id, purpose, provider, model, tier,
    input_tokens, cached_tokens, cache_write_tokens, cache_write_long_tokens, completion_tokens, reasoning_tokens,
    cost_usd, price_version, status, estimated, latency_ms, budget_day, created_at)
SELECT %(tenant)s, gen_random_uuid(), lpad(to_hex(n / 2), 32, '0')::uuid, 'slack',
    'C' || n %% 200, 'U' || n %% %(users)s,
    (ARRAY['answer', 'answer', 'answer', 'rewrite'])[1 + n %% 4],
    CASE WHEN n %% 3 = 0 THEN 'openai' ELSE 'anthropic' END,
    CASE WHEN n %% 3 = 0 THEN 'gpt-6-luna' WHEN n %% 3 = 1 THEN 'claude-haiku-5-5' ELSE 'claude-opus-5' END,
    CASE WHEN n %% 3 = 2 THEN 'strong' ELSE 'cheap' END,
    CASE WHEN n %% 100 = 0 THEN 280000 ELSE 1500 + n %% 3000 END, CASE WHEN n %% 2 = 0 THEN 900 ELSE 0 END, 0, 0,
    50 + n %% 400, 0, CASE WHEN n %% 500 = 0 THEN NULL ELSE 0.001 + (n %% 7) * 0.0003 END, 'generated',
    CASE WHEN n %% 10 = 0 THEN 'error' ELSE 'ok' END, false, 800, (moment.at AT TIME ZONE 'UTC')::date, moment.at
FROM generate_series(1, %(rows)s) AS n, LATERAL (SELECT %(now)s - n * interval '29 days' / %(rows)s AS at) AS moment
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """Milliseconds of one report."""

    total: float
    loop_cpu: float
    longest_wait: float


def fill(url: str, rows: int, users: int) -> None:
    """Insert the generated calls."""
    given = {"tenant": LOCAL_TENANT, "rows": rows, "users": users, "now": datetime.now(UTC)}
    with psycopg.connect(plain_url(url)) as connection:
        connection.execute("SELECT set_config('parley.tenant_id', %s, true)", (LOCAL_TENANT,))
        connection.execute(FILL, given)
    with psycopg.connect(plain_url(url), autocommit=True) as connection:
        connection.execute("ANALYZE ledger")


async def measure(app: App, arguments: str) -> Seen:
    """Run ``/costs`` with these arguments while another task of the loop asks for its turn every millisecond."""
    longest = 0.0

    async def other_task() -> None:
        nonlocal longest
        before = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, before = max(longest, now - before), now

    context = console.context(app.services, thread=None, user="you")
    other = asyncio.create_task(other_task())
    await asyncio.sleep(0)
    start, cpu = time.perf_counter(), time.thread_time()
    await commands.run("costs", f"30d {arguments}", context)
    total, spent = time.perf_counter() - start, time.thread_time() - cpu
    other.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await other
    return Seen(1000 * total, 1000 * spent, 1000 * longest)


async def measure_all(url: str, *, report: Callable[[str, Seen], None]) -> None:
    """Run each report once after a first run that loads modules and prices."""
    async with sample_app(url, reranker="none") as app:
        await measure(app, "by day chart")
        for arguments in REPORTS:
            report(arguments, await measure(app, arguments))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=5_000)
    given = parser.parse_args()
    rows: dict[str, object] = {"ledger rows": given.rows, "users": given.users}

    def report(arguments: str, seen: Seen) -> None:
        rows[f"{arguments}: to the reply, ms"] = round(seen.total, 1)
        rows[f"{arguments}: processor time of the loop, ms"] = round(seen.loop_cpu, 1)
        rows[f"{arguments}: longest wait of another task, ms"] = round(seen.longest_wait, 1)
        rows["resident memory, MB"] = round(resident_mb())

    with fresh_postgres() as url:
        fill(url, given.rows, given.users)
        run(measure_all(url, report=report))
    print(table(rows))


if __name__ == "__main__":
    main()
