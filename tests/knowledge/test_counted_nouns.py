"""Counts in messages have their noun in the right number."""

from __future__ import annotations

from knowledge.text.counted_nouns import counted


def test_one_is_singular_and_every_other_count_is_plural() -> None:
    assert [counted(count, "day") for count in (0, 1, 2)] == ["0 days", "1 day", "2 days"]
    assert [counted(count, "reply", "replies") for count in (1, 2)] == ["1 reply", "2 replies"]
