"""Chunking methods end to end on a real Postgres: ingesting with a method and searching its chunks."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from knowledge.chunking import METHODS, Method
from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Sessions
from knowledge.search.passage_merging import group_neighbors
from knowledge.search.retriever import Retriever
from knowledge.source_options import SourceOptions
from knowledge.types.scope import Scope
from knowledge.types.search_results import Passage
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown

NUMBERS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")
BODY = " ".join(f"{number} tells of thing{n}." for n, number in enumerate(NUMBERS))
GUIDE = markdown("guide.md", f"# Guide\n\n{BODY}")
OTHERS = [markdown(f"{n}.md", f"Another text number{n} of nothing.") for n in range(4)]


async def stored_chunking(sessions: Sessions) -> tuple[int, str]:
    """Return the number of chunks of the guide and the chunking recipe stored with it."""
    async with sessions("t") as session:
        row = await session.execute(
            text(
                "SELECT count(*), min(recipe) FROM chunks JOIN documents USING (tenant_id) "
                "WHERE documents.id = document_id AND uri = 'guide.md'"
            )
        )
        count, recipe = row.one()
        return count, str(recipe).rsplit(", chunks ", 1)[1]


async def test_source_keeps_its_chunking_method_and_a_change_chunks_it_again(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder, parser: Parser
) -> None:
    source = ListSource("list", GUIDE)
    await ingestor.ingest([source], tenant_id="t")
    assert (await stored_chunking(sessions))[1] == "packed 64"
    changed = await ingestor.ingest([source], tenant_id="t", options=SourceOptions(chunking="sentence-window"))
    assert changed.unchanged == 0
    assert await stored_chunking(sessions) == (13, "sentence-window 64 beside 3")
    again = await ingestor.ingest([source], tenant_id="t")
    assert (again.unchanged, again.chunks) == (1, 13)
    other_default = Ingestor(sessions, embedder, parser=parser, chunk_tokens=64, chunking="fixed", chunk_overlap=8)
    assert (await other_default.ingest([source], tenant_id="t")).unchanged == 1
    await other_default.ingest([ListSource("another", GUIDE)], tenant_id="other")
    async with sessions("other") as session:
        assert "fixed 64 overlap 8" in str(await session.scalar(text("SELECT recipe FROM documents")))


@pytest.mark.parametrize("method", METHODS)
async def test_chunks_of_every_method_are_found_with_exact_offsets(
    method: Method, ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    await ingestor.ingest([ListSource("list", GUIDE, *OTHERS)], tenant_id="t", options=SourceOptions(chunking=method))
    found = await Retriever(sessions, embedder)("thing7", Scope("t"), k=1)
    async with sessions("t") as session:
        whole = str(await session.scalar(text("SELECT text FROM documents WHERE uri = 'guide.md'")))
    best = found.passages[0]
    assert "thing7" in best.text
    assert best.text == whole[best.start : best.end]


async def test_found_sentence_is_read_with_its_neighbors(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    await ingestor.ingest(
        [ListSource("list", GUIDE, *OTHERS)], tenant_id="t", options=SourceOptions(chunking="sentence-window")
    )
    found = await Retriever(sessions, embedder)("thing6", Scope("t"), k=1)
    (passage,) = found.passages
    assert passage.text.split(" tells")[0] == "Three"
    assert passage.text.endswith("Nine tells of thing9.")
    assert passage.window is None
    near = await Retriever(sessions, embedder)("thing4 thing6", Scope("t"), k=2)
    assert [p.text for p in near.passages if p.source == "guide.md"] == [BODY[BODY.index("One ") : BODY.index(" Ten")]]


async def test_sentence_windows_move_when_text_is_added_before_them(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    await ingestor.ingest([ListSource("list", GUIDE)], tenant_id="t", options=SourceOptions(chunking="sentence-window"))
    longer = markdown("guide.md", f"# Guide\n\nA new beginning.\n\n{BODY}")
    await ingestor.ingest([ListSource("list", longer)], tenant_id="t")
    found = await Retriever(sessions, embedder)("thing6", Scope("t"), k=1)
    assert found.passages[0].text.endswith("Nine tells of thing9.")
    first = (await Retriever(sessions, embedder)("thing0", Scope("t"), k=1)).passages[0]
    assert first.text.startswith("A new beginning.")


def passage(start: int, end: int, score: float = 0.0, document: str = "d") -> Passage:
    return Passage(start, document, "x" * (end - start), "s", "t", (), start, end, None, score)


def test_overlapping_passages_are_merged() -> None:
    def spans(*passages: Passage, k: int = 5) -> list[tuple[int, int]]:
        return [(group[0].start, group[-1].end) for group in group_neighbors(passages, k)]

    assert spans(passage(0, 5000), passage(4000, 9000)) == [(0, 9000)]
    assert spans(passage(0, 5000), passage(4000, 9000, document="other")) == [(0, 5000), (4000, 9000)]
    assert spans(passage(0, 4000), passage(6500, 10_000), passage(3500, 7000)) == [(0, 10_000)]
    assert spans(passage(0, 100), passage(5000, 5100), passage(50, 150), k=3) == [(0, 150), (5000, 5100)]
