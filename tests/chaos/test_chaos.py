"""Small runs of the crash benchmarks: each is judged by the messages on the platforms at the end."""

from __future__ import annotations

import pytest

from benchmarks.chaos.__main__ import print_result
from benchmarks.chaos.run import Result, storm
from benchmarks.chaos.state_edges import storm_edges
from benchmarks.rolling import roll

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


def whole(result: Result) -> None:
    """Check everything except the waiting times, because this machine may be busy with other things."""
    print_result(result)
    found = {name: count for name, count in result.verdict.failures.items() if count}
    assert {name: count for name, count in found.items() if not name.startswith("orphans")} == {}
    seen = result.verdict
    assert seen.answered + seen.refused + seen.withdrawn == seen.questions > 0


async def test_processes_and_postgres_die_at_random_and_nothing_is_lost() -> None:
    result = await storm(3, events=80, seconds=20, kill_every=(2.0, 4.0), crash_every=(9.0, 12.0), patience=90)
    assert result.kills >= 4
    assert result.crashes >= 1
    whole(result)


async def test_processes_die_at_every_edge_of_a_turn_and_nothing_is_lost() -> None:
    result = await storm_edges(5, 1, processes=2, edges=EDGES, mixed=True, rate=4.0, most=40.0, patience=90)
    assert result.kills >= len(EDGES) // 2
    whole(result)


async def test_rolling_restarts_lose_nothing() -> None:
    result = await roll(7, restarts=3, rate=4.0, processes=2, patience=60)
    assert result.restarts >= 3
    whole(result)
