"""Runs of words of one length, wherever sentences and sections end, each repeating the end of the one before. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from knowledge.chunking.units import Ruler, Unit, leaves, size


def fixed(units: Sequence[Unit], ruler: Ruler, overlap: int) -> Iterator[Sequence[Unit]]:
    """The runs of units that make the chunks; ``overlap`` tokens at most stand in two of them.

    What stays whole is not repeated.
    """
    begin = 0
    while begin < len(units):
        stop = _stop(units, begin, ruler)
        yield units[begin:stop]
        if stop == len(units):
            return
        begin = _back(units, begin, stop, ruler, overlap)


def _stop(units: Sequence[Unit], begin: int, ruler: Ruler) -> int:
    first = units[begin]
    total, most, led = first.tokens, ruler.room(first.block), False
    for place in range(begin + 1, len(units)):
        unit = units[place]
        if not led and leaves(first, unit):
            led = True
            total += first.lead
        total += unit.lead + unit.tokens
        most = min(most, ruler.room(unit.block))
        if total > most:
            return place
    return len(units)


def _back(units: Sequence[Unit], begin: int, stop: int, ruler: Ruler, overlap: int) -> int:
    """Where the run after ``units[begin:stop]`` begins: as far back as the overlap goes and leaves room to go on."""
    start = stop
    for place in range(stop - 1, begin, -1):
        repeated = units[place:stop]
        if units[place].whole or size(repeated) > overlap:
            break
        if size(units[place : stop + 1]) > ruler.room_of(units[place : stop + 1]):
            break
        start = place
    return start
