"""Parsing of OpenDocument presentations, and of comments in every kind of OpenDocument file."""

from __future__ import annotations

import pytest

from knowledge.parsing import parsers
from knowledge.parsing.parse_options import ParseOptions
from tests.knowledge.parsing.test_other_formats import opendocument

COMMENT = (
    '<office:annotation office:name="c1"><dc:creator xmlns:dc="http://purl.org/dc/elements/1.1/">Ann</dc:creator>'
    "<text:p>Is this right?</text:p></office:annotation>"
)
CELL = "<table:table-cell>{}</table:table-cell>"
CELLS = CELL.format("<text:p>Plan</text:p>") + CELL.format(f"{COMMENT}<text:p>12</text:p>")
TABLE = f'<table:table table:name="Prices"><table:table-row>{CELLS}</table:table-row></table:table>'
PAGE = '<draw:page draw:name="one">{}</draw:page>'
FRAME = '<draw:frame presentation:class="{}"><draw:text-box>{}</draw:text-box></draw:frame>'


def test_slides_are_pages_under_their_titles() -> None:
    items = "<text:list><text:list-item><text:p>Kim has the keys.</text:p></text:list-item></text:list>"
    notes = f"<presentation:notes>{FRAME.format('notes', '<text:p>Say hello.</text:p>')}</presentation:notes>"
    shape = "<draw:g><draw:custom-shape><text:p>Way out</text:p></draw:custom-shape></draw:g>"
    first = FRAME.format("outline", items) + FRAME.format("title", "<text:p>The gate</text:p>") + shape + notes
    body = PAGE.format(first) + PAGE.format(f"<draw:frame>{TABLE}</draw:frame>")
    document = parsers.parse(opendocument(body, "presentation"), "gate.odp")
    assert document.title == "The gate"
    assert [(b.page, b.heading, document.text[b.start : b.end]) for b in document.blocks] == [
        (1, (), "The gate"),
        (1, ("The gate",), "- Kim has the keys."),
        (1, ("The gate",), "Way out"),
        (2, (), "Slide 2"),
        (2, ("Slide 2",), "| Plan | 12 |\n| --- | --- |"),
    ]


def test_hidden_slides_are_left_out_and_told() -> None:
    styles = (
        '<style:style style:name="h"><style:drawing-page-properties presentation:visibility="hidden"/></style:style>'
    )
    hidden = '<draw:page draw:style-name="h">' + FRAME.format("title", "<text:p>Pay</text:p>") + "</draw:page>"
    data = opendocument(
        PAGE.format(FRAME.format("title", "<text:p>The gate</text:p>")) + hidden, "presentation", styles
    )
    document = parsers.parse(data, "gate.odp")
    assert document.text == "The gate"
    assert document.warnings == ("hidden slide 2 left out. Add it with --include-hidden",)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text", f"<text:p>The gate{COMMENT} opens at six.</text:p>"),
        ("text", f'<text:h text:outline-level="1">Rules{COMMENT}</text:h><text:p>Dogs may enter.</text:p>'),
        (
            "text",
            f"<text:p>{FRAME.format('', f'<text:p>Way{COMMENT} out</text:p>')}</text:p>",
        ),
        ("text", TABLE),
        ("spreadsheet", TABLE),
        ("presentation", PAGE.format(COMMENT + FRAME.format("title", "<text:p>The gate</text:p>"))),
    ],
)
def test_comments_are_left_out_and_told(kind: str, body: str) -> None:
    data = opendocument(body, kind)
    document = parsers.parse(data, "file")
    assert "Is this right?" not in document.text
    assert document.warnings == ("comments left out (1). Add them with --include-hidden",)
    everything = parsers.parse(data, "file", "", ParseOptions(include_hidden=True))
    assert everything.text.count("Comment by Ann: Is this right?") == 1
    assert everything.warnings == ()
