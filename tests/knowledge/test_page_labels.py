"""The numbers that pages bear: as PDF files state them, as they are stored, and in citations."""

from __future__ import annotations

import io

import pypdf
import pytest
from pypdf.constants import PageLabelStyle

from bot.engine.answer.citations import resolve
from bot.engine.display.citation_links import link
from bot.platforms.discord import render as discord_render
from bot.platforms.slack import render as slack_render
from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.parsing.pdf import pdf_document
from knowledge.ports import Sessions
from knowledge.search.retriever import Retriever
from knowledge.text.page_labels import label_of, ranges_of
from knowledge.types.scope import Scope
from knowledge.types.source_items import Fetched
from tests.knowledge.fakes import ListSource, WordEmbedder
from tests.knowledge.parsing.test_pdf import lines, pdf_of

ROMAN = ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi"]


@pytest.mark.parametrize(
    ("labels", "ranges"),
    [
        (["1", "2", "3"], ""),
        ([], ""),
        (["", "", ""], ""),
        ([*ROMAN, "1", "2", "3"], '[[1, "i"], [12, "1"]]'),
        (["A-8", "A-9", "A-10", "Cover", "XLIX", "L"], '[[1, "A-8"], [4, "Cover"], [5, "XLIX"]]'),
        (["7", "8", "mix", "9"], '[[1, "7"], [3, "mix"], [4, "9"]]'),
        ([str(number * number) for number in range(9, 99)], ""),
    ],
)
def test_labels_are_stored_as_ranges_and_read_again(labels: list[str], ranges: str) -> None:
    assert ranges_of(labels) == ranges
    if ranges:
        assert [label_of(ranges, page) for page in range(1, len(labels) + 1)] == labels
    else:
        assert label_of(ranges, 7) == "7"


@pytest.mark.parametrize("stored", ["[", "[[1]]", '{"a": 1}', "7", '[["x", "y"]]', "null"])
def test_damaged_ranges_leave_the_page_as_it_is(stored: str) -> None:
    assert label_of(stored, 7) == "7"


def labelled(*pages: str) -> bytes:
    """Return a PDF whose first two pages are i and ii, and the others 1, 2, ...."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf_of(*map(lines, pages))))
    writer.set_page_label(0, 1, PageLabelStyle.LOWERCASE_ROMAN)
    writer.set_page_label(2, len(pages) - 1, PageLabelStyle.DECIMAL)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_a_file_states_the_numbers_of_its_pages() -> None:
    data = labelled("The gate is blue.", "The lamp is red.", "The key is green.")
    assert pdf_document.parse(data).metadata["page_labels"] == '[[1, "i"], [3, "1"]]'
    assert "page_labels" not in pdf_document.parse(pdf_of(lines("The gate is blue."))).metadata


async def test_a_citation_shows_the_number_on_the_page_and_opens_the_page(
    sessions: Sessions, embedder: WordEmbedder, parser: Parser
) -> None:
    data = labelled("The gate is blue.", "The lamp is red.", "The key is green.", "The rope is grey.")
    source = ListSource("list", Fetched("https://example.org/handbook.pdf", data))
    await Ingestor(sessions, embedder, parser=parser).ingest([source], tenant_id="t")
    (passage,) = (await Retriever(sessions, embedder)("gate lamp key rope", Scope("t"))).passages
    (lamp,) = resolve("The lamp is red [1].", [passage]).citations
    (rope,) = resolve("The rope is grey [1].", [passage]).citations
    assert [(one.page, one.shown_page) for one in (lamp, rope)] == [(2, "ii"), (4, "2")]
    assert link(rope) == "https://example.org/handbook.pdf#page=4"
    assert lamp.place.endswith(", page ii")
    assert "p. 2" in discord_render._source(rope)
    assert "page 2" in slack_render._source(rope)
