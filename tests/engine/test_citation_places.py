"""A click on a marker leads to the words that it stands for, also if one passage has several sections."""

from __future__ import annotations

from bot.engine.answer.citations import resolve
from knowledge.types.search_results import Passage, TextPlace

HOLIDAYS = "Everybody has 28 days of holiday a year. Ten of them are taken in one piece."
OTHER = "Moving house gives one day, once in two years."
SICK = "A doctor's note is needed after three days."
TEXT = f"{HOLIDAYS}\n\n{OTHER}\n\n{SICK}"


def leave(*places: TextPlace) -> Passage:
    end = 100 + len(TEXT)
    return Passage(1, "doc", TEXT, "leave.md", "Leave", ("Leave", "Holidays"), 100, end, None, 0.9, places=places)


SECTIONS = leave(
    TextPlace(100, ("Leave", "Holidays"), 1),
    TextPlace(100 + TEXT.index(OTHER), ("Leave", "Other leave"), 1),
    TextPlace(100 + TEXT.index(SICK), ("Leave", "Sick leave"), 2),
)


def test_every_quoted_sentence_is_cited_where_it_stands() -> None:
    first, second = HOLIDAYS.split(". ")
    answer = f"“{first}.” [1]\n\n“{OTHER}” [1]\n\n“{second}” [1]\n\n“{OTHER}” [1]"
    resolved = resolve(answer, [SECTIONS])
    assert resolved.text == f"“{first}.” [1]\n\n“{OTHER}” [2]\n\n“{second}” [3]\n\n“{OTHER}” [2]"
    assert [one.quote for one in resolved.citations] == [f"{first}.", OTHER, second]
    assert [one.heading[-1] for one in resolved.citations] == ["Holidays", "Other leave", "Holidays"]
    for cited in resolved.citations:
        assert TEXT[cited.start - 100 : cited.end - 100] == cited.quote


def test_a_quotation_of_several_sentences_is_cited_whole() -> None:
    resolved = resolve(f"“{HOLIDAYS}” [1]", [SECTIONS])
    assert [one.quote for one in resolved.citations] == [HOLIDAYS]


def test_claims_about_several_sections_of_a_passage_are_cited_apart() -> None:
    answer = "You have 28 days of holiday [1]. A doctor's note is needed after the third of three days [1]."
    resolved = resolve(answer, [SECTIONS])
    assert resolved.text == answer[:-4] + "[2]."
    assert [(one.heading[-1], one.page) for one in resolved.citations] == [("Holidays", 1), ("Sick leave", 2)]
    assert {one.passage for one in resolved.citations} == {0}


def test_claims_about_one_section_share_a_citation() -> None:
    answer = "There are 28 days of holiday a year for everybody [1], and ten are in one piece, taken together [1]."
    resolved = resolve(answer, [SECTIONS])
    assert resolved.text == answer
    assert [one.quote for one in resolved.citations] == [HOLIDAYS.split(". ")[0] + "."]


def test_words_that_are_quoted_after_a_claim_share_its_citation_if_it_has_their_sentence() -> None:
    sentence = HOLIDAYS.split(". ")[0]
    resolved = resolve(f"All have 28 days of holiday a year [1]. It says “{sentence}.” [1]", [SECTIONS])
    assert [one.quote for one in resolved.citations] == [f"{sentence}."]


def test_a_few_quoted_words_support_no_other_claim_of_their_sentence() -> None:
    resolved = resolve("You have 99 days of holiday “a year” [1].", [SECTIONS])
    assert resolved.citations == ()
    (cited,) = resolve("Everybody has 28 days of holiday “a year” [1].", [SECTIONS]).citations
    assert cited.quote == HOLIDAYS.split(". ")[0] + "."
