"""The fields before a Markdown text are quoted one by one, and those that only announce the text are not quoted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.llm.quoting.quotable_pieces import pieces
from bot.llm.quoting.quote_selection import best_quotes
from knowledge.parsing import markdown
from tests.llm.llm_requests import passage

FIELDS = "title: Sharing\ndescription: Control who can see a memo with share links.\nowner: Facilities, Mira Voss"
TEXT = f"---\n{FIELDS}\n---\n\nPrivate memos are for you alone. Everybody may see a public memo.\n"


def test_a_description_is_no_answer() -> None:
    first, *_ = best_quotes("Who can see a public memo?", [passage(TEXT, title="Sharing")])
    assert first.text == "Everybody may see a public memo."


def test_a_field_is_quoted_alone() -> None:
    first, *_ = best_quotes("Who is the owner of sharing?", [passage(TEXT, title="Sharing")])
    assert first.text == "owner: Facilities, Mira Voss"


@pytest.mark.parametrize("text", [TEXT, TEXT.replace(":", " =").replace("---", "+++"), "---\nA text.\n---\nMore."])
def test_every_piece_is_literal(text: str) -> None:
    found = pieces(text)
    assert found
    assert all(text[one.start : one.start + len(one.text)] == one.text for one in found)


def test_a_text_between_two_rules_has_no_fields() -> None:
    assert [one.text for one in pieces("---\nOpen at nine.\n---\nClosed at six.")] == [
        "Open at nine.",
        "Closed at six.",
    ]


def test_fields_go_on_behind_a_rule_within_a_value() -> None:
    fields = 'owner = "Mira Voss"\nnote = """\nFirst.\n---\nSecond.\n..."""\ncolor = "blue"'
    found = pieces(f"+++\n{fields}\n+++\nThe gate opens at six.")
    items = [one.text for one in found if one.kind == "item"]
    assert items[0] == 'owner = "Mira Voss"'
    assert items[-1] == 'color = "blue"'
    assert [one.text for one in found if one.kind != "item"] == ["The gate opens at six."]


@pytest.mark.parametrize("rest", ["", "\n", "\n\n\n"])
def test_a_text_of_fields_only_has_no_other_pieces(rest: str) -> None:
    assert [one.text for one in pieces(f"---\n{FIELDS}\n---{rest}")] == ["owner: Facilities, Mira Voss"]


@pytest.mark.parametrize(("fence", "sign"), [("---", ":"), ("+++", " =")])
def test_fields_of_a_passage_without_the_line_that_opens_them_are_no_sentences(fence: str, sign: str) -> None:
    fields = FIELDS.replace(":", sign) if fence == "---" else FIELDS.replace(": ", ' = "').replace("\n", '"\n') + '"'
    text = f"{fields}\n{fence}\n\nPrivate memos are for you alone. Everybody may see a public memo.\n"
    stored = replace(passage(text, title="Sharing"), start=4, end=4 + len(text))
    first, *_ = best_quotes("Who can see a public memo?", [stored])
    assert first.text == "Everybody may see a public memo."


def test_fields_as_they_are_parsed_are_no_sentences() -> None:
    parsed = markdown.parse(TEXT)
    start, end = parsed.blocks[0].start, len(parsed.text)
    first, *_ = best_quotes("Who can see a public memo?", [replace(passage(parsed.text[start:]), start=start, end=end)])
    assert first.text == "Everybody may see a public memo."


def test_lines_of_tags_are_neither_headings_nor_quoted() -> None:
    card = '<Card title="FAQ" href="/faq" icon="Help">\n  Quick answers about visitors.\n</Card>'
    text = f"Read on.\n\n<Cards>\n{card}\n</Cards>\n\nVisitors wear a badge."
    assert [(one.text.strip(), one.heading) for one in pieces(text)] == [
        ("Read on.", ""),
        ("Quick answers about visitors.", ""),
        ("Visitors wear a badge.", ""),
    ]


def test_an_address_in_angle_brackets_is_quoted() -> None:
    text = "Everybody who expects a visitor asks for a badge at the gate, or writes to\n<mira@example.com>\nor open\n<https://example.com/badges>\nbefore."
    assert [one.text for one in pieces(text)] == [text]
