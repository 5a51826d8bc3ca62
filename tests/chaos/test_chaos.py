"""Runs small chaos benchmarks and checks the final state on the platforms."""

from __future__ import annotations

import pytest

from benchmarks.chaos.__main__ import print_result
from benchmarks.chaos.run import Result, run_chaos
from benchmarks.chaos.state_edge_kills import kill_at_edges
from benchmarks.rolling_restarts import roll

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

EDGES = (
    "store.accept.after",
    "store.lease.after",
    "surface.post.before",
    "surface.post.after",
    "llm.answer.middle",
    "surface.edit.after",
    "store.finish.before",
    "store.finish.after",
)


def assert_nothing_lost(result: Result) -> None:
    """Assert that no answer is lost or repeated. Waits are only printed, because the machine may be busy."""
    print_result(result)
    found = {name: count for name, count in result.verdict.failures.items() if count}
    assert {name: count for name, count in found.items() if not name.startswith("orphaned")} == {}
    seen = result.verdict
    assert seen.answered + seen.refused + seen.deleted == seen.questions > 0


async def test_processes_and_postgres_die_at_random_and_nothing_is_lost() -> None:
    result = await run_chaos(
        3, events=80, seconds=20, kill_every=(2.0, 4.0), crash_every=(9.0, 12.0), settle_timeout=90
    )
    assert result.kills >= 4
    assert result.crashes >= 1
    assert_nothing_lost(result)


async def test_processes_die_at_every_edge_of_a_turn_and_nothing_is_lost() -> None:
    result = await kill_at_edges(
        5, 1, processes=2, edges=EDGES, all_at_once=True, rate=4.0, max_seconds=40.0, settle_timeout=90
    )
    assert result.kills >= len(EDGES) // 2
    assert_nothing_lost(result)


async def test_rolling_restarts_lose_nothing() -> None:
    result = await roll(7, restarts=3, rate=4.0, processes=2, settle_timeout=60)
    assert result.restarts >= 3
    assert_nothing_lost(result)
