"""Found by the sentence, read with its neighbours. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from knowledge.chunking.units import Span, Unit

BESIDE = 3
"""Sentences on each side that are read with the one that was found. A table or code block counts as one."""


def windows(units: Sequence[Unit]) -> Iterator[Span]:
    """For each unit from where to where it is read."""
    for place in range(len(units)):
        yield units[max(0, place - BESIDE)].start, units[min(len(units) - 1, place + BESIDE)].end
