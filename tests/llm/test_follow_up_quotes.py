"""A follow-up question that names another thing is answered about the subject of the question before it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.llm.quoting.quote_selection import best_quotes
from knowledge.search.followup_queries import carried_words
from knowledge.types.search_results import Passage, Sentence
from tests.llm.llm_requests import passage

LIGHT = "A bicycle light, because the towpath in Ghent has none."
ROW = "| Ghent and everywhere else | 140 EUR |"
TABLE = f"| City | Limit per night |\n| --- | --- |\n| London, Zurich | 220 EUR |\n{ROW}"


def with_cosine(made: Passage, text: str, cosine: float) -> Passage:
    """Return the passage with the cosine of one of its sentences, as the search stores it."""
    start = made.text.index(text)
    return replace(made, sentences=(Sentence(start, start + len(text), cosine),))


@pytest.mark.parametrize(
    ("before", "asked"),
    [
        ("What may a hotel cost in London?", "And in Ghent?"),
        ("What is the hotel limit in Zurich?", "And in Ghent?"),
        ("Wie hoch ist das Limit für ein Hotel in London?", "Und in Ghent?"),
    ],
)
def test_a_sentence_that_only_has_the_name_does_not_answer_a_follow_up(before: str, asked: str) -> None:
    light = with_cosine(passage(LIGHT, title="Things to buy"), LIGHT, 0.70)
    hotels = with_cosine(passage(TABLE, title="Travel", heading=("Hotel",)), ROW, 0.38)
    first, *_ = best_quotes(asked, [light, hotels], carried_words(asked, [before]))
    assert first.text == ROW


def test_a_new_name_replaces_the_earlier_one() -> None:
    asked, before = "And of Creek?", ["What is the rate limit of Harbour?"]
    rates = passage("Harbour has a rate limit of 600 requests. Creek may send 60 requests, which is its limit.")
    first, *_ = best_quotes(asked, [rates], carried_words(asked, before))
    assert first.text.startswith("Creek may send 60")
