"""Chunking method ``sentence-window``: each sentence is a chunk, read together with its neighbors. Does no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from knowledge.chunking.text_units import Span, Unit

NEIGHBORS = 3
"""Sentences on each side that are read with a found sentence. A table or code block counts as one sentence."""


def windows(units: Iterable[Unit]) -> Iterator[tuple[Unit, Span]]:
    """Yield each unit with the offsets of its window in the document's text."""
    following = iter(units)
    before: deque[Unit] = deque(maxlen=NEIGHBORS)
    ahead = deque(islice(following, NEIGHBORS + 1))
    while ahead:
        unit = ahead.popleft()
        yield unit, ((before[0] if before else unit).start, (ahead[-1] if ahead else unit).end)
        before.append(unit)
        ahead += islice(following, 1)
