"""Chunking method ``packed``: complete sentences up to a number of tokens, within long sections. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from knowledge.chunking.text_units import TokenBudget, Unit, includes_heading

SMALL_SHARE = 0.25
"""A section shorter than this share of a chunk's tokens is joined with the next section."""


def packed(units: Sequence[Unit], budget: TokenBudget) -> Iterator[Sequence[Unit]]:
    """Yield the units of each chunk as a range."""
    begin, total, has_heading = 0, 0, False
    for index, unit in enumerate(units):
        if index > begin:
            first = units[begin]
            limit = min(budget.available(unit.block), budget.available(first.block))
            ends_section = unit.block.heading != units[index - 1].block.heading
            heading = 0 if has_heading or not includes_heading(first, unit) else first.gap_tokens
            full = total + heading + unit.gap_tokens + unit.tokens > limit
            if full or (ends_section and total >= SMALL_SHARE * limit):
                yield units[begin:index]
                begin, total, has_heading = index, 0, False
            else:
                total += heading + unit.gap_tokens
                has_heading = has_heading or includes_heading(first, unit)
        total += unit.tokens
    if units:
        yield units[begin:]
