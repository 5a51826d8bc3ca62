"""Passages cut down to what matters, with their places intact."""

from __future__ import annotations

from knowledge.compress import LEFT_OUT, compress, is_code
from knowledge.types import Passage

PROSE = (
    "The canteen opens at eight. Coffee is free on Mondays. Parking is behind the hall. "
    "Travel expenses are paid back within thirty days. Send receipts to the finance desk. "
    "The garden was planted in spring. Chess is played on Fridays. The lift is slow."
)
TABLE = "| city | rate |\n|---|---|\n| Rome | 40 |\n| Oslo | 60 |\n"
FENCED = "Run this.\n\n```sh\nmake all\nmake test\n```\n\nThe weather was fine. Nobody came. It was late."


def passage(text: str, start: int = 100) -> Passage:
    return Passage(1, "1", text, "s", "t", (), start, start + len(text), None, 1.0)


def test_the_sentences_that_speak_to_the_question_stay_in_their_places() -> None:
    [kept] = compress("When are travel expenses paid back?", [passage(PROSE)], share=0.4)
    shown = [PROSE[start:end] for start, end in kept.spans]
    assert any("Travel expenses are paid back within thirty days." in piece for piece in shown)
    assert sum(map(len, shown)) <= 0.4 * len(PROSE)
    assert kept.text.count(LEFT_OUT.strip()) >= 1
    assert list(kept.spans) == sorted(kept.spans)
    for piece in kept.text.split(LEFT_OUT.strip()):
        assert piece.strip() in PROSE


def test_tables_and_code_are_kept_whole() -> None:
    [table] = compress("What is the rate?", [passage(f"{TABLE}\n{PROSE}")], share=0.2)
    assert TABLE.strip() in table.text
    [fenced] = compress("What is the weather?", [passage(FENCED)], share=0.1)
    assert "```sh\nmake all\nmake test\n```" in fenced.text
    code = "def total(rows):\n    return sum(\n        row.size for row in rows\n    )\n\nclass Cart:\n    items = []\n"
    assert is_code(code)
    assert not is_code(PROSE)
    [whole] = compress("What is a cart?", [passage(code)], share=0.1)
    assert whole.text == code


def test_what_does_not_matter_at_all_is_left_out_and_order_stays() -> None:
    found = [passage(PROSE), passage("Nothing of the kind stands here at all, not a word of it, whatever one asks.")]
    kept = compress("When are travel expenses paid back?", found, share=0.3)
    assert [one.passage for one in kept] == found[: len(kept)]
    assert kept[0].passage is found[0]


def test_everything_stays_where_there_is_room_and_nothing_breaks_without_text() -> None:
    [kept] = compress("Coffee?", [passage(PROSE)], share=1.0)
    assert kept.text == PROSE
    assert compress("Coffee?", [], share=0.5) == ()
    assert compress("", [passage("")], share=0.5) == ()
    assert compress("?!", [passage(PROSE)], share=0.5)[0].spans
