"""One document never ends a run: whatever fails in it becomes its own failure, in one line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from knowledge.errors import KnowledgeError
from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Encoded, EncodeKind, Sessions
from knowledge.sources.files import FolderSource
from knowledge.types.documents import Block, Document
from knowledge.types.source_items import NOTHING_KNOWN, Fetched, Item, Known
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown

GOOD = [markdown(f"good{n}.md", f"# Good {n}\n\nThe gate number {n} is blue.") for n in range(6)]


class OddParser(Parser):
    """Parses documents as usual, but the text of ``nul`` cannot be stored, and other odd names raise an error."""

    async def parse(self, fetched: Fetched, *, max_chars: int | None = None, include_hidden: bool = False) -> Document:
        match fetched.uri:
            case "nul.md":
                return Document(fetched.uri, "Nul", "The gate \0 is red.", (Block("paragraph", 0, 18),))
            case "half.md":
                return Document(fetched.uri, "Half", "The gate \ud800 is red.", (Block("paragraph", 0, 18),))
            case "outside.md":
                return Document(fetched.uri, "Outside", "Short.", (Block("paragraph", 40, 90),))
            case "key.md":
                raise KeyError("grid")
            case "deep.md":
                raise RecursionError("maximum recursion depth exceeded")
        return await super().parse(fetched, max_chars=max_chars, include_hidden=include_hidden)


async def test_an_odd_document_fails_alone(sessions: Sessions, embedder: WordEmbedder) -> None:
    parser = OddParser()
    ingestor = Ingestor(sessions, embedder, parser=parser, chunk_tokens=64)
    odd = [markdown(f"{name}.md", "# Odd\n\nOdd.") for name in ("nul", "half", "key", "deep")]
    mixed = [item for pair in zip(odd, GOOD, strict=False) for item in pair] + GOOD[4:]
    try:
        report = await ingestor.ingest([ListSource("list", *mixed), ListSource("more", GOOD[0])], tenant_id="t")
    finally:
        await parser.aclose()
    assert report.documents == len(GOOD) + 1
    assert [failure.source for failure in report.failed] == ["deep.md", "half.md", "key.md", "nul.md"]
    for failure in report.failed:
        assert failure.error.startswith("it cannot be added (")
        assert failure.error.endswith(").") or "Save it again" in failure.error
        assert "\n" not in failure.error


class Website(ListSource):
    """The pages of a site."""

    kind = "crawl"


async def test_an_odd_page_that_changed_fails_alone(sessions: Sessions, embedder: WordEmbedder) -> None:
    parser = OddParser()
    ingestor = Ingestor(sessions, embedder, parser=parser, chunk_tokens=64)
    names = ("half.md", "good.md")
    try:
        first = [markdown(name.upper(), f"# Page\n\nThe first words of {name}.") for name in names]
        await ingestor.ingest([Website("https://e.org/", *first)], tenant_id="t")
        async with sessions("t") as session:
            await session.execute(text("UPDATE documents SET uri = lower(uri)"))
        changed = [markdown(name, f"# Page\n\nThe second words of {name}.") for name in names]
        report = await ingestor.ingest([Website("https://e.org/", *changed)], tenant_id="t")
    finally:
        await parser.aclose()
    assert [failure.source for failure in report.failed] == ["half.md"]
    assert report.documents == 1


class BrokenSource(ListSource):
    """Yields its items, then fails as no source may."""

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Item]:
        async for item in super().fetch(known):
            yield item
        raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")


async def test_a_source_that_breaks_ends_alone(ingestor: Ingestor) -> None:
    report = await ingestor.ingest([BrokenSource("broken", GOOD[0]), ListSource("list", GOOD[1])], tenant_id="t")
    assert report.documents == 2
    (failure,) = report.failed
    assert (failure.source, failure.error) == (
        "broken",
        "it cannot be read to its end (UnicodeEncodeError). Check the source.",
    )


async def test_a_folder_whose_name_is_not_utf8_is_read(ingestor: Ingestor, tmp_path: Path) -> None:
    folder = tmp_path / b"caf\xe9".decode("utf-8", "surrogateescape")
    folder.mkdir()
    (folder / "a.md").write_text("# A\n\nThe gate is blue.")
    report = await ingestor.ingest([FolderSource(folder, max_bytes=10**6)], tenant_id="t")
    assert (report.documents, report.failed) == (1, ())


async def test_what_is_wrong_outside_of_documents_ends_the_run(sessions: Sessions, parser: Parser) -> None:
    class Away(WordEmbedder):
        async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
            raise KnowledgeError("The embedding service is away.")

    ingestor = Ingestor(sessions, Away(), parser=parser, chunk_tokens=64)
    with pytest.raises(KnowledgeError, match="away"):
        await ingestor.ingest([ListSource("list", *GOOD)], tenant_id="t")
