"""A question that no document answers names the closest documents only if they share a word with it."""

from __future__ import annotations

import pytest

from bot.engine.answer.claim_support import shares_words
from bot.engine.answer.query import Query
from bot.engine.answer.question_context import Attachments
from bot.engine.answer.retrieval import judge
from knowledge.types.search_results import Found, Passage


@pytest.mark.parametrize(
    ("question", "is_named"), [("asdkjh qwoieu zmxnc", False), ("Who repaired the presses?", True)]
)
def test_only_documents_with_a_word_of_the_question_are_named(question: str, *, is_named: bool) -> None:
    press = Passage(1, "d", "The press is oiled weekly.", "press.md", "Press", (), 0, 26, None, 0.1)
    assert shares_words(question, f"{press.title} {press.text}") is is_named
    found = Found((press,), {}, 0.01, 1, documents=1)
    evidence = judge(None, Query(question, question), found, Attachments())  # type: ignore[arg-type]
    assert ("Closest documents: Press." in evidence.notes[0]) is is_named
