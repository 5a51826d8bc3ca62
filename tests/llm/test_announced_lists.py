"""A list that the quoted sentence announces is quoted whole, so that no part of the answer is missing."""

from __future__ import annotations

from bot.llm.quoting.quote_selection import MAX_LISTED, MAX_QUOTES, best_quotes
from tests.llm.llm_requests import passage

ANNOUNCEMENT = "Each valve is in one of the following states:"
QUESTION = "Which state can a valve be in?"


def quotes(states: int) -> list[str]:
    items = [f"State{n}. The lamp {n} is lit." for n in range(states)]
    text = f"{ANNOUNCEMENT}\n\n" + "\n".join(f"* {one}" for one in items) + "\n\nEvery hall has its own meter."
    return [quote.text for quote in best_quotes(QUESTION, [passage(text)])]


def test_every_item_of_an_announced_list_is_quoted() -> None:
    announcement, *items = quotes(6)
    assert announcement == ANNOUNCEMENT
    assert items == [f"State{n}. The lamp {n} is lit." for n in range(6)]


def test_a_long_list_is_quoted_in_part() -> None:
    assert len(quotes(MAX_LISTED + 1)) == MAX_QUOTES
