"""Turns of a killed process are taken over, and those of a process that is paused or gets no processor time are not."""

from __future__ import annotations

import pytest

from benchmarks.takeover import measure

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]


async def test_only_turns_of_dead_processes_are_taken_over() -> None:
    """The processes do as on machines of their own: see ``tests/store/test_local_processes.py`` for one machine."""
    found = await measure(
        11, kills=1, pauses=1, busy=6, busy_seconds=5.0, pause_seconds=5.0, processes=2, apart=True, settle_timeout=90
    )
    print(found.rows())
    assert found.from_living == 0
    assert (found.kills, found.pauses) == (1, 1)
    assert len(found.seconds) >= 1
    assert {name: count for name, count in found.failures.items() if count and not name.startswith("orphaned")} == {}
