"""Tests that neighboring passages become one that keeps the heading it begins under."""

from __future__ import annotations

import pytest

from knowledge.search.passage_merging import heading_reach, heading_start, merge_group
from knowledge.types.search_results import Passage

TEXT = "# Start\n\nWelcome.\n\n## The first week ##\n\n| Monday | tour |\n\n## Keys\n\nAsk at the desk.\n"


def passage(text: str, *heading: str) -> Passage:
    start = TEXT.index(text)
    return Passage(start, "d", text, "d.md", "D", heading, start, start + len(text), None, 1.0)


TABLE, KEYS = passage("| Monday | tour |", "Start", "The first week"), passage("Ask at the desk.", "Start", "Keys")


def test_a_merged_passage_begins_with_the_heading_that_only_its_first_part_has() -> None:
    first = TABLE.start - heading_reach([TABLE, KEYS])
    before = TEXT[first : TABLE.start]
    merged = merge_group([TABLE, KEYS], TEXT[first + heading_start("The first week", before) : KEYS.end])
    assert merged.text.startswith("## The first week ##\n\n| Monday")
    assert TEXT[merged.start : merged.end] == merged.text
    assert merged.heading == ("Start",)


def test_a_merged_passage_below_one_heading_begins_with_its_first_part() -> None:
    assert heading_reach([TABLE]) == 0
    assert heading_reach([KEYS, passage("the desk.", "Start", "Keys")]) == 0


@pytest.mark.parametrize("before", ["Keys, and much else\n\n", "Welcome.\n\n", ""])
def test_words_that_are_no_heading_directly_before_stay_out(before: str) -> None:
    assert heading_start("Keys", before) == len(before)
