"""Chunking method ``fixed``: runs of words of about the same number of tokens, which can overlap. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from knowledge.chunking.text_units import TokenBudget, Unit, includes_heading, token_count


def fixed(units: Sequence[Unit], budget: TokenBudget, overlap: int) -> Iterator[Sequence[Unit]]:
    """Yield the run of units of each chunk. A run repeats at most ``overlap`` tokens of the one before.

    A table, code block or message is never repeated.
    """
    begin = 0
    while begin < len(units):
        stop = _end_of_run(units, begin, budget)
        yield units[begin:stop]
        if stop == len(units):
            return
        begin = _start_of_next(units, begin, stop, budget, overlap)


def _end_of_run(units: Sequence[Unit], begin: int, budget: TokenBudget) -> int:
    """Return the end of the longest run that starts at ``begin`` and fits."""
    first = units[begin]
    total, limit, has_heading = first.tokens, budget.available(first.block), False
    for index in range(begin + 1, len(units)):
        unit = units[index]
        if not has_heading and includes_heading(first, unit):
            has_heading = True
            total += first.gap_tokens
        total += unit.gap_tokens + unit.tokens
        limit = min(limit, budget.available(unit.block))
        if total > limit:
            return index
    return len(units)


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
