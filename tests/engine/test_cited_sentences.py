"""A marker is checked against the sentence that carries it, wherever that sentence begins."""

from __future__ import annotations

import pytest

from bot.engine.answer.citations import resolve
from knowledge.types.search_results import Passage


def _passage(text: str) -> Passage:
    return Passage(1, "doc1", text, "file1.md", "Title", (), 0, len(text), 1, 0.9)


@pytest.mark.parametrize(
    ("answer", "unrelated"),
    [
        ("The cafeteria closes on Jan. 5 for repairs [1].", "Room 5 is locked."),
        ("Dr. Meier und Frau Dr. Schulz leiten das Labor [1].", "Frau Schulz wohnt in Bonn."),
    ],
)
def test_an_abbreviation_does_not_cut_the_claim(answer: str, unrelated: str) -> None:
    fitting = answer.replace(" [1]", "")

    assert resolve(answer, [_passage(fitting)]).text == answer
    assert resolve(answer, [_passage(unrelated)]).text == fitting


@pytest.mark.parametrize(
    ("earlier", "cited"),
    [
        ("कार्यालय सोमवार से शुक्रवार तक सुबह नौ बजे खुलता और शाम छह बजे बंद होता है।", "यात्रा का खर्च वापस मिलता है [1]।"),
        ("هل يفتح المكتب أبوابه كل يوم من الاثنين إلى الجمعة في الساعة التاسعة صباحا؟", "تدفع تكاليف السفر شهريا [1]."),
        ("**The office opens at nine from Monday until Friday, and closes at six.**", "Travel is paid monthly [1]."),
        ("「The office opens at nine from Monday until Friday, and closes at six。」", "Travel is paid monthly [1]."),
    ],
    ids=["danda", "Arabic question mark", "bold", "Japanese quotation"],
)
def test_the_sentence_before_is_no_part_of_the_claim(earlier: str, cited: str) -> None:
    answer = f"{earlier} {cited}"
    quote = cited.replace(" [1]", "")

    assert [citation.quote for citation in resolve(answer, [_passage(quote)]).citations] == [quote]


def test_the_next_line_is_no_part_of_the_claim() -> None:
    answer = "- Travel [1]\n- The office opens at nine from Monday until Friday"

    assert resolve(answer, [_passage("The office opens at nine from Monday until Friday.")]).citations == ()


def test_quotation_marks_are_checked_in_a_sentence_with_an_abbreviation() -> None:
    answer = 'It says "never needs any note" since Jan. 5 after three sick days [1].'
    passage = _passage("It says since Jan. 5 a note is needed after three sick days.")

    assert resolve(answer, [passage]).text == answer.replace('"', "")
