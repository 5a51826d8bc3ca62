"""Small versions of the benchmarks: what they promise, without their times."""

from __future__ import annotations

from benchmarks import outage, reservations


async def test_reservations_of_two_processes_never_pass_the_limit(database_url: str) -> None:
    seen = await reservations.measure(database_url, requests=600, processes=2)
    assert sum(seen.ended.values()) == 600
    assert min(seen.ended["refused"], seen.ended["settled"], seen.ended["left behind"]) > 0
    assert seen.over == 0
    assert seen.days == dict.fromkeys(seen.days, (seen.settled_tokens, 0))


async def test_an_outage_costs_few_calls_and_ends_by_itself() -> None:
    seen = await outage.measure(outage.DOWN["overloaded (529)"], down=["anthropic"], asked=["anthropic"], seconds=60)
    assert seen.answered == 0
    assert seen.calls_per_request <= 1.2
    assert seen.back_after < 240
    second = await outage.measure(
        outage.DOWN["failing (500)"], down=["anthropic"], asked=["anthropic", "openai"], seconds=60
    )
    assert second.answered == second.requests
    assert second.calls_per_request <= 1.2
