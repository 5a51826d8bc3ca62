"""Chunking method ``sentence-window``: each sentence is a chunk, read together with its neighbors. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from knowledge.chunking.text_units import Span, Unit

NEIGHBORS = 3
"""Sentences on each side that are read with a found sentence. A table or code block counts as one sentence."""


def windows(units: Sequence[Unit]) -> Iterator[Span]:
    """Yield the offsets of each unit's window in the document's text."""
    for index in range(len(units)):
        yield units[max(0, index - NEIGHBORS)].start, units[min(len(units) - 1, index + NEIGHBORS)].end
