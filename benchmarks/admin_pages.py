"""Measures how long each admin page takes over a year of data.

    python -m benchmarks.admin_pages [--calls 1000000] [--turns 300000]

Fills one tenant with generated questions and model calls of the last 365 days: traces of some 6 kB, one question in
twenty unanswered, one in a hundred with a thumb down. The finished days are summed up. Then it fetches each page over
HTTP, for a year and for 30 days, and prints the milliseconds of the second of two requests.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from datetime import UTC, datetime

import aiohttp
import psycopg
from sqlalchemy import text

from benchmarks.shared.harness import fresh_postgres, run, sample_app, table
from bot.platforms.web import app as web
from bot.store.budgets import ledger_days
from bot.store.database.connections import plain_url
from bot.types.conversation import LOCAL_TENANT
from tests.web.serving import free_port

PAGES = (
    "",
    *(f"/costs?by={by}" for by in ("day", "user", "channel", "model", "purpose")),
    "/performance",
    "/budgets",
    "/calls",
    "/calls?by=user&key=U7",
    *(
        f"/questions?filter={name}"
        for name in ("all", "down", "unanswered", "low", "slow", "refused", "failed", "cached")
    ),
    "/questions?words=subject+77",
    "/questions?words=nothing+is+like+this",
    "/questions?user=U7",
    "/questions?source=handbook/7.md",
    "/documents",
    "/jobs",
    "/people",
    "/connections",
    "/errors",
)
MOMENT = "LATERAL (SELECT %(now)s - n * interval '364 days' / %(rows)s AS at) AS moment"
THREADS = f"""
INSERT INTO threads (tenant_id, thread_uid, platform, channel_id, thread_id, title, created_at, updated_at)
SELECT %(tenant)s, lpad(to_hex(n), 32, '0')::uuid, 'slack', 'C' || n %% 200, 'T' || n, 'generated', at, at
FROM generate_series(1, %(rows)s) AS n, {MOMENT}
"""
TURNS = f"""
INSERT INTO turns (tenant_id, turn_id, thread_uid, platform, channel_id, thread_id, message_id, user_id, user_name,
    question, fresh, state, answer, citations, refused, trace, created_at, finished_at)
SELECT %(tenant)s, lpad(to_hex(n), 32, '0')::uuid, lpad(to_hex(n), 32, '0')::uuid, 'slack', 'C' || n %% 200, 'T' || n,
    'M' || n, 'U' || n %% 5000, 'User ' || n %% 5000, 'What is the rule about subject ' || n %% 20000 || '?', false,
    CASE WHEN n %% 300 = 0 THEN 'failed' ELSE 'done' END, repeat('An answer of some length. ', 20),
    jsonb_build_array(jsonb_build_object('n', 1, 'source', 'handbook/' || n %% 300 || '.md', 'title', 't',
        'quote', 'q')),
    CASE WHEN n %% 150 = 0 THEN 'You have reached the daily limit.' END,
    jsonb_build_object(
        'unanswered', n %% 20 = 0, 'confidence', (n %% 100) / 100.0,
        'timings_ms', jsonb_build_object('search', 60 + n %% 50, 'ttft', 300 + n %% 900, 'total', 2000 + n %% 9000),
        'passages', (
            SELECT jsonb_agg(jsonb_build_object('n', i, 'place', 'Handbook', 'score', 0.5, 'text',
                (SELECT string_agg(md5((n * i + k)::text), ' ') FROM generate_series(1, 30) AS k)))
            FROM generate_series(1, 5) AS i)),
    at, at
FROM generate_series(1, %(rows)s) AS n, {MOMENT}
"""
FEEDBACK = """
INSERT INTO feedback (tenant_id, turn_id, user_id, value, created_at)
SELECT tenant_id, turn_id, user_id, -1, created_at FROM turns WHERE tenant_id = %(tenant)s AND seq %% 100 = 0
"""
CALLS = """
INSERT INTO ledger (tenant_id, call_id, turn_id, platform, channel_id, user_id, purpose, provider, model, tier,
    input_tokens, cached_tokens, completion_tokens, cost_usd, price_version, status, estimated, latency_ms, error,
    budget_day, created_at)
SELECT %(tenant)s, gen_random_uuid(), lpad(to_hex(turn), 32, '0')::uuid, 'slack', 'C' || turn %% 200,
    'U' || turn %% 5000, (ARRAY['answer', 'answer', 'answer', 'rewrite'])[1 + n %% 4],
    CASE WHEN n %% 3 = 0 THEN 'openai' ELSE 'anthropic' END,
    (ARRAY['gpt-6-luna', 'claude-haiku-5-5', 'claude-opus-5'])[1 + n %% 3],
    CASE WHEN n %% 3 = 2 THEN 'strong' ELSE 'cheap' END, 1500 + n %% 3000, CASE WHEN n %% 2 = 0 THEN 900 ELSE 0 END,
    50 + n %% 400, 0.001 + (n %% 7) * 0.0003, 'generated', CASE WHEN n %% 50 = 0 THEN 'error' ELSE 'ok' END, false, 800,
    CASE WHEN n %% 50 = 0 THEN 'overloaded' ELSE '' END, (at AT TIME ZONE 'UTC')::date, at
FROM generate_series(1, %(rows)s) AS n,
    LATERAL (SELECT 1 + (n - 1) * %(turns)s::bigint / %(rows)s AS turn) AS asked,
    LATERAL (SELECT %(now)s - turn * interval '364 days' / %(turns)s + n %% 5 * interval '1 second' AS at) AS moment
"""
"""The calls of a question follow it at once, by its asker in its channel."""


def fill(url: str, calls: int, turns: int) -> None:
    """Insert the generated questions and calls."""
    given = {"tenant": LOCAL_TENANT, "now": datetime.now(UTC), "turns": turns}
    with psycopg.connect(plain_url(url)) as connection:
        connection.execute("SELECT set_config('parley.tenant_id', %s, true)", (LOCAL_TENANT,))
        for statement, rows in ((THREADS, turns), (TURNS, turns), (FEEDBACK, turns), (CALLS, calls)):
            connection.execute(statement, {**given, "rows": rows})
    with psycopg.connect(plain_url(url), autocommit=True) as connection:
        connection.execute("ANALYZE")


async def measure(url: str) -> dict[str, object]:
    """Return the milliseconds of each page."""
    found: dict[str, object] = {}
    async with sample_app(url, reranker="none") as app, aiohttp.ClientSession() as http:
        start = time.perf_counter()
        days = await ledger_days.sum_up_days(
            app.database, tenant_id=LOCAL_TENANT, price_steps=app.services.prices.steps
        )
        found[f"summing up {days} days, s"] = round(time.perf_counter() - start)
        async with app.database.bulk(LOCAL_TENANT) as session:
            await session.execute(text("ANALYZE ledger, ledger_days, ledger_price_days"))
        ready, port = asyncio.Event(), free_port()
        serving = asyncio.create_task(web.serve(app.dispatcher, app.services, app.settings, port=port, ready=ready))
        await ready.wait()
        for page in PAGES:
            for days in (365, 30):
                address = f"http://127.0.0.1:{port}/admin{page}{'&' if '?' in page else '?'}days={days}"
                for _ in range(2):
                    start = time.perf_counter()
                    async with http.get(address) as response:
                        await response.read()
                    took = 1000 * (time.perf_counter() - start)
                found[f"{page or '/'} ({days} days), ms"] = round(took) if response.status == 200 else response.status
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=300_000)
    given = parser.parse_args()
    with fresh_postgres() as url:
        fill(url, given.calls, given.turns)
        rows = run(measure(url))
    print(table({"ledger rows": given.calls, "questions": given.turns, **rows}))


if __name__ == "__main__":
    main()
