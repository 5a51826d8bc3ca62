"""Whole sentences up to a number of tokens, inside one section where that is long enough to stand alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from knowledge.chunking.units import Ruler, Unit, leaves

SMALL_SHARE = 0.25
"""A section shorter than this share of a chunk is joined with the section after it."""


def packed(units: Sequence[Unit], ruler: Ruler) -> Iterator[Sequence[Unit]]:
    """The runs of units that make the chunks."""
    begin, total, led = 0, 0, False
    for place, unit in enumerate(units):
        if place > begin:
            first = units[begin]
            most = min(ruler.room(unit.block), ruler.room(first.block))
            ends_section = unit.block.heading != units[place - 1].block.heading
            heading = 0 if led or not leaves(first, unit) else first.lead
            full = total + heading + unit.lead + unit.tokens > most
            if full or (ends_section and total >= SMALL_SHARE * most):
                yield units[begin:place]
                begin, total, led = place, 0, False
            else:
                total += heading + unit.lead
                led = led or leaves(first, unit)
        total += unit.tokens
    if units:
        yield units[begin:]
