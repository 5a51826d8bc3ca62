"""Citations of a PDF file with many pages: each names the page and the heading on which its quote stands."""

from __future__ import annotations

import pytest

from bot.engine.answer.citations import resolve
from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Sessions
from knowledge.search.retriever import Retriever
from knowledge.sources.files import UploadSource
from knowledge.types.scope import Scope
from knowledge.types.search_results import Passage
from tests.knowledge.fakes import WordEmbedder
from tests.knowledge.parsing.test_pdf import pdf_of
from tests.knowledge.parsing.test_pdf_layout import at

COLOURS = ("blue", "red", "green", "grey", "black", "white", "brown", "pink")
PLACES = ("yard", "roof", "cellar", "attic", "tower", "lobby", "garage", "garden")


def page(number: int) -> str:
    """Return a page with a running header, two sentences, and a table in the middle of the document."""
    lines = [
        "Handbook of the building",
        f"The gate of the {PLACES[number]} is {COLOURS[number]} and has {number + 11} keys.",
        f"The lamp of the {PLACES[number]} hangs over the {number + 31} steps.",
    ]
    drawn = " ".join(at(72, 720 - 16 * row, line) for row, line in enumerate(lines))
    if number != 4:
        return drawn
    rows = (("Item", "Price", "Qty"), ("Ladder", "48.50", "3"), ("Rope", "7.20", "9"), ("Bell", "61.00", "2"))
    cells = " ".join(
        at(x, 600 - 16 * row, cell)
        for row, line in enumerate(rows)
        for x, cell in zip((72, 250, 340), line, strict=True)
    )
    return f"{drawn} {cells}"


@pytest.fixture
async def passages(sessions: Sessions, embedder: WordEmbedder, parser: Parser) -> list[Passage]:
    ingestor = Ingestor(sessions, embedder, parser=parser, chunk_tokens=120)
    data = pdf_of(*(page(number) for number in range(len(PLACES))))
    report = await ingestor.ingest([UploadSource("handbook.pdf", data)], tenant_id="t")
    assert report.failed == ()
    found = await Retriever(sessions, embedder)("gate lamp keys steps ladder rope price", Scope("t"), k=20)
    passages = list(found.passages)
    assert any(one.text.count("The gate of") > 1 for one in passages), "a passage has several pages"
    return passages


async def test_every_quote_is_cited_with_its_page(passages: list[Passage]) -> None:
    quotes = {}
    for number, place in enumerate(PLACES, 1):
        quotes[f"The gate of the {place} is {COLOURS[number - 1]} and has {number + 10} keys"] = number
        quotes[f"The lamp of the {place} hangs over the {number + 30} steps"] = number
    cited = {}
    for quote in quotes:
        n = next(index for index, one in enumerate(passages, 1) if quote in one.text)
        (citation,) = resolve(f"{quote} [{n}].", passages).citations
        cited[quote] = citation.page
    assert cited == quotes


async def test_a_row_of_a_table_is_cited_with_the_page_of_the_table(passages: list[Passage]) -> None:
    n = next(index for index, one in enumerate(passages, 1) if "Rope" in one.text)
    (citation,) = resolve(f"The price of the rope is 7.20 [{n}].", passages).citations
    assert "Rope" in citation.quote
    assert citation.page == 5
