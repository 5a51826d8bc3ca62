"""Tests that shortened passages keep the relevant sentences at exact offsets."""

from __future__ import annotations

from dataclasses import replace

from knowledge.search.passage_compression import LEFT_OUT, compress, is_code
from knowledge.types.search_results import Passage, Sentence

PROSE = (
    "The canteen opens at eight. Coffee is free on Mondays. Parking is behind the hall. "
    "Travel expenses are paid back within thirty days. Send receipts to the finance desk. "
    "The garden was planted in spring. Chess is played on Fridays. The lift is slow."
)
TABLE = "| city | rate |\n|---|---|\n| Rome | 40 |\n| Oslo | 60 |\n"
FENCED = "Run this.\n\n```sh\nmake all\nmake test\n```\n\nThe weather was fine. Nobody came. It was late."


def passage(text: str, start: int = 100) -> Passage:
    return Passage(1, "1", text, "s", "t", (), start, start + len(text), None, 1.0)


def test_relevant_sentences_are_kept_in_order() -> None:
    [kept] = compress("When are travel expenses paid back?", [passage(PROSE)], share=0.4)
    shown = [PROSE[start:end] for start, end in kept.spans]
    assert any("Travel expenses are paid back within thirty days." in piece for piece in shown)
    assert sum(map(len, shown)) <= 0.4 * len(PROSE)
    assert kept.text.count(LEFT_OUT.strip()) >= 1
    assert list(kept.spans) == sorted(kept.spans)
    for piece in kept.text.split(LEFT_OUT.strip()):
        assert piece.strip() in PROSE


def test_tables_and_code_are_never_shortened() -> None:
    [table] = compress("What is the rate?", [passage(f"{TABLE}\n{PROSE}")], share=0.2)
    assert TABLE.strip() in table.text
    [fenced] = compress("What is the weather?", [passage(FENCED)], share=0.1)
    assert "```sh\nmake all\nmake test\n```" in fenced.text
    code = "def total(rows):\n    return sum(\n        row.size for row in rows\n    )\n\nclass Cart:\n    items = []\n"
    assert is_code(code)
    assert not is_code(PROSE)
    [whole] = compress("What is a cart?", [passage(code)], share=0.1)
    assert whole.text == code


def test_irrelevant_passages_are_left_out_and_order_is_kept() -> None:
    found = [passage(PROSE), passage("Nothing of the kind stands here at all, not a word of it, whatever one asks.")]
    kept = compress("When are travel expenses paid back?", found, share=0.3)
    assert [one.passage for one in kept] == found[: len(kept)]
    assert kept[0].passage is found[0]


def test_full_share_keeps_everything_and_empty_input_works() -> None:
    [kept] = compress("Coffee?", [passage(PROSE)], share=1.0)
    assert kept.text == PROSE
    assert compress("Coffee?", [], share=0.5) == ()
    assert compress("", [passage("")], share=0.5) == ()
    assert compress("?!", [passage(PROSE)], share=0.5)[0].spans


def test_cosines_decide_if_words_do_not() -> None:
    text = "The lift is slow today. The garden is green. Wages arrive on the first. The hall is cold and dark."
    wages = text.index("Wages")
    near = tuple(
        Sentence(100 + start, 100 + end, 0.6 if start == wages else 0.1)
        for start, end in ((0, 23), (24, 44), (45, 73), (74, len(text)))
    )
    [blind] = compress("When am I paid?", [passage(text)], share=0.45)
    [seeing] = compress("When am I paid?", [replace(passage(text), sentences=near)], share=0.45)
    assert "Wages" not in blind.text
    assert "Wages arrive on the first." in seeing.text


def test_repeated_sentences_are_dropped_first() -> None:
    rule = "Travel expenses are paid back within thirty days."
    more = "For travel by train, expenses are paid back at once."
    first, second = passage(f"{rule} Chess is on Fridays."), passage(f"{rule} {more}", 900)
    kept = compress("How are travel expenses paid back?", [first, second], share=0.65)
    shown = " ".join(one.text for one in kept)
    assert shown.count(rule) == 1
    assert more in shown


def test_share_includes_the_marks() -> None:
    def words(text: str) -> int:
        return len(text.split())

    found = [passage(PROSE), passage(PROSE.replace("paid", "settled"), 900)]
    for share in (0.2, 0.4, 0.6, 0.8):
        kept = compress("When are travel expenses paid back?", found, share=share, count=words)
        assert kept
        assert sum(words(one.text) for one in kept) <= share * sum(words(one.text) for one in found)


def test_table_without_borders_is_a_table() -> None:
    rows = "in millions | 2013 | 2012\nresidential mortgages | 1315 | 2096\nother | 20 | 30\n"
    [kept] = compress("When are travel expenses paid back?", [passage(f"{PROSE}\n\n{rows}")], share=0.5)
    assert rows.strip() in kept.text
