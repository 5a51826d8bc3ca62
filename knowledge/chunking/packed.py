"""Chunking method ``packed``: complete sentences up to a number of tokens, within long sections. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from knowledge.chunking.text_units import TokenBudget, Unit, includes_heading

SMALL_SHARE = 0.25
"""A section shorter than this share of a chunk's tokens is joined with the next section."""


def packed(units: Iterable[Unit], budget: TokenBudget) -> Iterator[Sequence[Unit]]:
    """Yield the run of units of each chunk."""
    run: list[Unit] = []
    total, has_heading = 0, False
    for unit in units:
        if run:
            first = run[0]
            limit = min(budget.available(unit.block), budget.available(first.block))
            ends_section = unit.block.heading != run[-1].block.heading
            heading = 0 if has_heading or not includes_heading(first, unit) else first.gap_tokens
            full = total + heading + unit.gap_tokens + unit.tokens > limit
            if full or (ends_section and total >= SMALL_SHARE * limit):
                yield run
                run, total, has_heading = [], 0, False
            else:
                total += heading + unit.gap_tokens
                has_heading = has_heading or includes_heading(first, unit)
        run.append(unit)
        total += unit.tokens
    if run:
        yield run
