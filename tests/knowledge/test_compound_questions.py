"""Questions that one search cannot answer are split into parts, and what the parts find is merged."""

from __future__ import annotations

import pytest

from knowledge.compound_questions import parts_of
from knowledge.question_part_merging import merged
from knowledge.types.search_results import Found, Passage


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        (
            "What is the difference between the Creek and the Harbour plan in price?",
            [
                ("What is the difference between the Creek plan in price?", "Creek"),
                ("What is the difference between the Harbour plan in price?", "Harbour"),
            ],
        ),
        (
            "Compare the hotel limits of London and Ghent.",
            [("Compare the hotel limits of London.", "London"), ("Compare the hotel limits of Ghent.", "Ghent")],
        ),
        (
            "How do the times of SEV-1 and SEV-2 differ?",
            [("How do the times of SEV-1 differ?", "SEV-1"), ("How do the times of SEV-2 differ?", "SEV-2")],
        ),
        (
            "What is the budget of marketing or of sales?",
            [("What is the budget of marketing?", "marketing"), ("What is the budget of sales?", "sales")],
        ),
        (
            "Pay for a week as first engineer or as second engineer?",
            [
                ("Pay for a week as first engineer?", "first engineer"),
                ("Pay for a week as second engineer?", "second engineer"),
            ],
        ),
        (
            "What do Creek, Harbour and Estuary cost?",
            [
                ("What do Creek cost?", "Creek"),
                ("What do Harbour cost?", "Harbour"),
                ("What do Estuary cost?", "Estuary"),
            ],
        ),
        ("Creek vs Harbour", [("Creek", "Creek"), ("Harbour", "Harbour")]),
        (
            "How long is the leave, and who approves it?",
            [("How long is the leave", "How long is the leave"), ("who approves it?", "who approves it?")],
        ),
        *(
            (f"{one} {other}", [(one, one), (other, other)])
            for one, other in (
                ("When is pay day?", "Who approves claims?"),
                ("Wann ist Zahltag?", "Wer genehmigt Reisen?"),
                ("什么时候发工资？", "谁批准报销？"),
                ("वेतन कब मिलता है?", "खर्च कौन मंज़ूर करता है?"),
                ("متى يوم الدفع؟", "من يوافق على المصاريف؟"),
            )
        ),
    ],
)
def test_what_stands_side_by_side_is_searched_for_each(question: str, parts: list[tuple[str, str]]) -> None:
    assert [(part.text, part.label) for part in parts_of(question)] == parts


@pytest.mark.parametrize(
    "question",
    [
        "",
        "and",
        "A and A",
        "What are the terms and conditions of use?",
        "How do I log in and reset my password?",
        "When is pay day?",
        "I moved. When is pay day?",
        "Was kostet Creek oder Harbour or Estuary, und wie viel ist das?",  # English rules are for English.
        "Who? " * 4,
        "Compare London and Ghent " * 40,
    ],
)
def test_other_questions_are_searched_as_a_whole(question: str) -> None:
    assert parts_of(question) == ()


def test_no_question_has_more_than_three_parts_and_each_has_a_text() -> None:
    for question in ("What do Ann, Bob, Cid, Dan and Eve do?", ", , and Ann, or Bob?", "Ann and, or Bob", "Or or And"):
        parts = parts_of(question)
        assert len(parts) in (0, 2, 3)
        assert all(part.text and part.label for part in parts)


def passage(document: str, start: int = 0, end: int = 10) -> Passage:
    return Passage(0, document, "x" * (end - start), document, "", (), start, end, None, 1.0)


def found(*passages: Passage, confidence: float = 0.5) -> Found:
    return Found(passages, {"total": 1.0}, confidence, 3, embedding_tokens=2, searched="q")


def test_every_part_has_room_and_repeats_count_once() -> None:
    whole = found(*(passage(f"w{n}") for n in range(5)))
    first = found(passage("w0"), passage("a1"), passage("a2"))
    second = found(passage("b0"), passage("b1"), confidence=0.9)
    both = merged(whole, [first, second], 5)
    assert [one.document_id for one in both.passages] == ["w0", "b0", "w1", "a1", "b1", "w2", "a2"]
    assert (both.confidence, both.embedding_tokens, len(both.part_passages)) == (0.9, 6, 2)
    assert merged(whole, [], 5) is whole
    first_five = merged(whole, [first, second], 5, whole_first=True)
    assert [one.document_id for one in first_five.passages] == ["w0", "w1", "w2", "w3", "w4", "b0", "a1"]


def test_the_longer_of_two_overlapping_passages_stays() -> None:
    both = merged(found(passage("w", 0, 10), passage("z")), [found(passage("w", 0, 30)), found(passage("w", 5, 8))], 5)
    assert [(one.document_id, one.start, one.end) for one in both.passages] == [("w", 0, 30), ("z", 0, 10)]
