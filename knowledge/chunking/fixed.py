"""Chunking method ``fixed``: runs of words of about the same number of tokens, which can overlap. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count, islice

from knowledge.chunking.text_units import TokenBudget, Unit, includes_heading, token_count


def fixed(units: Iterable[Unit], budget: TokenBudget, overlap: int) -> Iterator[Sequence[Unit]]:
    """Yield the run of units of each chunk. A run repeats at most ``overlap`` tokens of the one before.

    A table, code block or message is never repeated.
    """
    following = iter(units)
    pending = list(islice(following, 1))
    while pending:
        stop = _end_of_run(pending, following, budget)
        yield pending[:stop]
        if stop == len(pending):
            return
        del pending[: _start_of_next(pending, 0, stop, budget, overlap)]


def _end_of_run(pending: list[Unit], following: Iterator[Unit], budget: TokenBudget) -> int:
    """Return the end of the longest run that starts with the first pending unit and fits.

    Adds the following units to the pending ones, up to the first that does not fit.
    """
    first = pending[0]
    total, limit, has_heading = first.tokens, budget.available(first.block), False
    for index in count(1):
        pending += islice(following, 1 if index == len(pending) else 0)
        if index == len(pending):
            break
        unit = pending[index]
        if not has_heading and includes_heading(first, unit):
            has_heading = True
            total += first.gap_tokens
        total += unit.gap_tokens + unit.tokens
        limit = min(limit, budget.available(unit.block))
        if total > limit:
            return index
    return len(pending)


def _start_of_next(units: Sequence[Unit], begin: int, stop: int, budget: TokenBudget, overlap: int) -> int:
    """Return where the run after ``units[begin:stop]`` starts.

    The run starts as far back as the overlap allows, but so that at least one new unit fits. A heading in front of the
    repeated text counts toward the overlap: the run repeats it too if it continues into another section.
    """
    start, repeated = stop, 0
    for index in range(stop - 1, begin, -1):
        repeated += units[index].gap_tokens + units[index].tokens
        if units[index].is_block or repeated > overlap:
            break
        if token_count(units[index : stop + 1]) > budget.available_for(units[index : stop + 1]):
            break
        start = index
    return start
