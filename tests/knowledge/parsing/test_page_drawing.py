"""Pages of PDF files as people see them: where a quote stands on them, and their pictures."""

from __future__ import annotations

from typing import Any

import pypdfium2
import pytest

from knowledge import sample
from knowledge.errors import ParseError
from knowledge.parsing.isolation import page_protocol
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.parsing.page_display import PageLayout, QuoteOnPage
from knowledge.types.source_items import Fetched
from tests.knowledge.parsing.test_pdf import lines, pdf_of

Area = tuple[float, float, float, float]


def letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


async def layout(parser: Parser, data: bytes, quote: QuoteOnPage, page: int = 1) -> PageLayout:
    found = await parser.page_layouts("a.pdf", data, first=page, last=page, quotes={page: quote})
    (only,) = found.pages
    return only


def text_within(data: bytes, page: PageLayout) -> str:
    """Return what pdfium reads inside the areas of an upright page."""
    text = pypdfium2.PdfDocument(data)[page.number - 1].get_textpage()
    found = ""
    for left, top, right, bottom in page.areas:
        edges = (left * page.width, right * page.width, (1 - bottom) * page.height, (1 - top) * page.height)
        found += text.get_text_bounded(left=edges[0], bottom=edges[2], right=edges[1], top=edges[3])
    return found


async def test_the_areas_hold_every_block_of_the_sample_and_nothing_else(parser: Parser) -> None:
    data = (sample.path() / "incident-handbook.pdf").read_bytes()
    document = await parser.parse(Fetched("incident-handbook.pdf", data))
    assert len(document.blocks) > 8
    for block in document.blocks:
        quote = document.text[block.start : block.end]
        assert block.page is not None
        found = await layout(parser, data, QuoteOnPage(quote), block.page)
        within = letters(text_within(data, found))
        # Bars of tables and their line of dashes are no letters; a character at an edge may belong to the area.
        assert abs(len(within) - len(letters(quote))) <= 0.05 * len(letters(quote)) + 2, quote
        assert letters(quote)[:12] in within


@pytest.mark.parametrize(
    ("drawn", "quote"),
    [
        (lines("A deliv\xadery takes", "three days."), "delivery takes three"),
        (lines("One \\256 two", "and   three"), "two\nand three"),
        (lines("First cell", "Other words here", "Second cell of it"), "| First cell | Second cell of it |"),
    ],
    ids=["hyphen", "spaces", "cells with words between them"],
)
async def test_a_quote_is_found_however_the_page_divides_it(parser: Parser, drawn: str, quote: str) -> None:
    data = pdf_of(drawn)
    found = await layout(parser, data, QuoteOnPage(quote))
    assert len(found.areas) == 2
    assert "Otherwords" not in text_within(data, found).replace(" ", "")


async def test_of_equal_words_those_of_the_quote_are_marked(parser: Parser) -> None:
    data = pdf_of(lines("The limit is 5.", "Between.", "The limit is 5."))
    first, second = [await layout(parser, data, QuoteOnPage("The limit is 5.", earlier)) for earlier in (0, 1)]
    ((_, top, _, _),), ((_, lower, _, _),) = first.areas, second.areas
    assert top < lower
    assert (await layout(parser, data, QuoteOnPage("The limit is 5.", 7))).areas == second.areas
    assert (await layout(parser, data, QuoteOnPage("Nobody wrote this sentence."))).areas == ()
    assert (await layout(parser, data, QuoteOnPage("| --- |"))).areas == ()


def turned(area: Area) -> Area:
    """Return the area after its page was turned clockwise by a quarter."""
    left, top, right, bottom = area
    return 1 - bottom, left, 1 - top, right


async def test_areas_turn_with_the_page(parser: Parser) -> None:
    drawn = lines("Above.", "The words of the quote.", "Below.")
    upright = await layout(parser, pdf_of(drawn), QuoteOnPage("The words of the quote."))
    quarter = await layout(parser, pdf_of(drawn, page="/Rotate 90"), QuoteOnPage("The words of the quote."))
    assert (quarter.width, quarter.height) == (upright.height, upright.width)
    assert quarter.areas[0] == pytest.approx(turned(upright.areas[0]), abs=1e-3)


async def test_only_the_pages_that_were_asked_for_are_read(parser: Parser) -> None:
    data = pdf_of(*[lines(f"Page {n}") for n in range(1, 6)])
    found = await parser.page_layouts("a.pdf", data, first=4, last=9, quotes={5: QuoteOnPage("Page 5")})
    assert found.total == 5
    assert [(page.number, len(page.areas)) for page in found.pages] == [(4, 0), (5, 1)]


async def test_a_picture_shows_the_ink_where_the_areas_are(parser: Parser) -> None:
    data = pdf_of(lines("The words of the quote."))
    found = await layout(parser, data, QuoteOnPage("The words of the quote."))
    picture = await parser.draw_page("a.pdf", data, 1, side=792)
    assert (picture.width, picture.height) == (612, 792)
    assert len(picture.pixels) == 3 * 612 * 792
    left, top, right, bottom = found.areas[0]
    reds = picture.pixels[::3]
    dark = [(index % 612, index // 612) for index, red in enumerate(reds) if red < 90]
    assert dark
    assert all(left * 612 - 2 <= x <= right * 612 + 2 and top * 792 - 2 <= y <= bottom * 792 + 2 for x, y in dark)


async def test_what_cannot_be_drawn_is_refused_and_the_process_goes_on(parser: Parser) -> None:
    data = pdf_of(lines("Words."))
    for page, file in ((2, data), (0, data), (1, b"no PDF at all"), (1, data[:200])):
        with pytest.raises(ParseError):
            await parser.draw_page("a.pdf", file, page, side=100)
    assert (await parser.draw_page("a.pdf", data, 1, side=100)).height == 100
    assert (await parser.draw_page("a.pdf", data, 1, side=10**6)).height == 2000, "no picture is larger"


PAGE: dict[str, Any] = {"number": 1, "width": 5.0, "height": 5.0, "areas": []}


@pytest.mark.parametrize(
    "head",
    [
        {},
        {"total": "1", "pages": []},
        {"total": True, "pages": []},
        {"total": 1, "pages": [{**PAGE, "number": 0}]},
        {"total": 1, "pages": [{**PAGE, "width": float("nan")}]},
        {"total": 1, "pages": [{**PAGE, "height": -1}]},
        {"total": 1, "pages": [{**PAGE, "areas": [[0, 0, 1]]}]},
        {"total": 1, "pages": [{**PAGE, "areas": [[0, 0, 1, "<b>"]]}]},
        {"total": 1, "pages": [{**PAGE, "areas": [[0, 0, 1, 2]]}]},
    ],
)
def test_a_worker_cannot_send_other_layouts(head: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        page_protocol.layouts_of(head, bytearray())


@pytest.mark.parametrize(
    ("head", "size"),
    [
        ({"width": 2, "height": 2}, 11),
        ({"width": 0, "height": 2}, 0),
        ({"width": 10**5, "height": 10**5}, 12),
        ({"width": 2.0, "height": 2}, 12),
        ({"width": 2}, 12),
    ],
)
def test_a_worker_cannot_send_other_pictures(head: dict[str, Any], size: int) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        page_protocol.picture_of(head, bytearray(size))
