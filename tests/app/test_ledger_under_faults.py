"""Tests that the ledger equals the providers' bill under random faults and stops."""

from __future__ import annotations

from benchmarks.ledger_under_faults import measure


async def test_the_ledger_equals_the_bill_in_a_storm(database_url: str) -> None:
    seen = await measure(database_url, turns=36, seed=2)
    assert sum(seen.ends.values()) == 36
    assert (seen.exact_equal, seen.exact_usd) == (seen.exact, seen.billed_usd)
    assert min(seen.exact, seen.estimated) >= 5
    assert any(" plan " in kind for kind in seen.calls)
    assert (seen.missing, seen.reserved, seen.miscounted) == (0, 0, [])
