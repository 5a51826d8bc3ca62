"""A citation names the page and the heading of its quote, not those on which its passage begins."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from bot.engine.answer.citations import resolve
from knowledge import text_locations
from knowledge.ingest import Ingestor
from knowledge.parsing.document_builder import Builder
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Sessions
from knowledge.search.retriever import Retriever
from knowledge.types.documents import Document
from knowledge.types.scope import Scope
from knowledge.types.source_items import Fetched
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown


class PagesParser(Parser):
    """Makes each line a paragraph on a page of its own; a line that starts with # is a heading."""

    async def parse(self, fetched: Fetched, *, max_chars: int | None = None, include_hidden: bool = False) -> Document:
        builder = Builder()
        for page, line in enumerate(fetched.data.decode().splitlines(), 1):
            builder.page = page
            builder.heading(1, line[1:]) if line.startswith("#") else builder.add("paragraph", line)
        built = builder.build("Report")
        return Document(fetched.uri, "Report", built.text, built.blocks)


REPORT = "#Yard\nThe gate of the yard is blue.\nThe fence of the yard is green.\n#Roof\nThe flag on the roof is red."


@pytest.mark.parametrize(
    ("claim", "page", "heading"),
    [
        ("The gate of the yard is blue", 2, ("Yard",)),
        ("The fence of the yard is green", 3, ("Yard",)),
        ("The flag on the roof is red", 5, ("Roof",)),
    ],
)
async def test_page_and_heading_are_those_of_the_quote(
    sessions: Sessions, embedder: WordEmbedder, claim: str, page: int, heading: tuple[str, ...]
) -> None:
    ingestor = Ingestor(sessions, embedder, parser=PagesParser(), chunk_tokens=200)
    await ingestor.ingest([ListSource("list", markdown("report.pdf", REPORT))], tenant_id="t")
    found = await Retriever(sessions, embedder)("Which colours are in the yard and on the roof?", Scope("t"))
    (passage,) = found.passages
    assert "gate" in passage.text
    assert "flag" in passage.text
    (citation,) = resolve(f"{claim} [1].", [passage]).citations
    assert (citation.quote.rstrip("."), citation.page, citation.heading) == (claim, page, heading)


async def test_a_document_stored_without_places_keeps_those_of_its_passage(
    sessions: Sessions, embedder: WordEmbedder
) -> None:
    ingestor = Ingestor(sessions, embedder, parser=PagesParser(), chunk_tokens=200)
    await ingestor.ingest([ListSource("list", markdown("report.pdf", REPORT))], tenant_id="t")
    async with sessions("t") as session:
        await session.execute(text("UPDATE documents SET blocks = '[]'"))
    found = await Retriever(sessions, embedder)("Which colour has the flag?", Scope("t"))
    (citation,) = resolve("The flag on the roof is red [1].", found.passages).citations
    assert (citation.page, citation.heading) == (found.passages[0].page, found.passages[0].heading)


def test_only_changes_of_place_are_stored_and_not_too_many() -> None:
    builder = Builder(page=1)
    for number in range(6):
        builder.page = 1 + number // 3
        builder.add("paragraph", f"Line {number}.")
    built = builder.build()
    document = Document("a", "A", built.text, built.blocks)
    assert [(place.start, place.page) for place in text_locations.places_of(document)] == [(0, 1), (27, 2)]
    many = Builder()
    for number in range(text_locations.MAX_PLACES + 1):
        many.page = 1 + number // 5000
        many.heading(1, f"H{number}")
        many.add("paragraph", "Words.")
    built = many.build()
    places = text_locations.places_of(Document("b", "B", built.text, built.blocks))
    assert [(place.heading, place.page) for place in places] == [(None, 1), (None, 2), (None, 3)]
