"""Parsing several files at the same time, in processes of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from knowledge.errors import ParseError
from knowledge.ingest import Ingestor
from knowledge.parsing.isolation import parser_pool
from knowledge.parsing.isolation.parser_pool import ParserPool, processes_for
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Sessions
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown

SECONDS = 60.0


class Meeting(Parser):
    """Parses nothing before ``barrier`` is full: parsers that run one after the other never get that far."""

    barrier: asyncio.Barrier
    opened: list[Meeting]

    async def parse(self, fetched: Fetched, *, max_chars: int | None = None, include_hidden: bool = False) -> Document:
        async with asyncio.timeout(SECONDS):
            await self.barrier.wait()
        return await super().parse(fetched, max_chars=max_chars, include_hidden=include_hidden)


@pytest.fixture
async def opened() -> list[Meeting]:
    return []


@pytest.fixture
async def pool(opened: list[Meeting]) -> AsyncIterator[ParserPool]:
    barrier = asyncio.Barrier(2)

    def open_parser() -> Meeting:
        parser = Meeting()
        parser.barrier = barrier
        opened.append(parser)
        return parser

    pool = ParserPool(open_parser, processes=2)
    yield pool
    await pool.aclose()


def processes(opened: list[Meeting]) -> set[int]:
    return {parser._process.pid for parser in opened if parser._process is not None}


async def test_files_are_parsed_at_the_same_time_in_as_many_processes(pool: ParserPool, opened: list[Meeting]) -> None:
    files = [markdown(f"{number}.md", f"# Page {number}") for number in range(6)]
    documents = await asyncio.gather(*(pool.parse(one) for one in files))
    assert [document.title for document in documents] == [f"Page {number}" for number in range(6)]
    assert len(processes(opened)) == len(opened) == 2


async def test_ingestion_parses_at_the_same_time(
    sessions: Sessions, embedder: WordEmbedder, pool: ParserPool, opened: list[Meeting]
) -> None:
    files = [markdown(f"{number}.md", f"# Page {number}\n\nwords") for number in range(4)]
    ingestor = Ingestor(sessions, embedder, parser=pool, chunk_tokens=64)
    report = await ingestor.ingest([ListSource("list", *files)], tenant_id="t")
    assert (report.documents, report.failed) == (4, ())
    assert len(processes(opened)) == 2


async def test_files_that_come_one_by_one_need_one_process() -> None:
    opened: list[Parser] = []
    pool = ParserPool(lambda: opened.append(Parser()) or opened[-1], processes=4)  # type: ignore[func-returns-value]
    try:
        for number in range(3):
            await pool.parse(markdown(f"{number}.md", "# Page"))
        with pytest.raises(ParseError):
            await pool.parse(Fetched("bad.pdf", b"no pdf"))
        await pool.parse(markdown("after.md", "# Page"))
        assert len(opened) == 1
    finally:
        await pool.aclose()
    assert opened[0]._process is None


@pytest.mark.parametrize(
    ("cores", "gigabytes", "recognizes", "processes"),
    [
        (2, 24, False, 2),
        (16, 24, False, 16),
        (16, 24, True, 6),
        (16, 4, False, 4),
        (4, 1, False, 1),
        (2, 0.25, True, 1),
    ],
)
def test_a_parser_runs_for_each_core_if_memory_allows(
    cores: int, gigabytes: float, recognizes: bool, processes: int
) -> None:
    assert processes_for(cores, int(gigabytes * 2**30), recognizes=recognizes) == processes


def test_the_limit_of_a_container_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit, none = tmp_path / "memory.max", tmp_path / "none"
    none.write_text("max\n")
    monkeypatch.setattr(parser_pool, "MEMORY_LIMITS", (none, tmp_path / "missing"))
    whole = parser_pool.memory()
    assert whole > 2**28
    limit.write_text(f"{2**28}\n")
    monkeypatch.setattr(parser_pool, "MEMORY_LIMITS", (none, limit))
    assert parser_pool.memory() == 2**28


@pytest.mark.parametrize("cores", [1, 6])
async def test_at_most_one_process_a_core_is_started(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser_pool, "cores", lambda: cores)
    monkeypatch.setattr(parser_pool, "memory", lambda: 64 * 2**30)
    waiting, going_on = asyncio.Semaphore(0), asyncio.Event()

    class Waiting:
        async def parse(self, fetched: Fetched, *, include_hidden: bool = False) -> Document:
            waiting.release()
            await going_on.wait()
            return Document(fetched.uri, "", "", ())

        async def aclose(self) -> None:
            closed.append(self)

    opened: list[Waiting] = []
    closed: list[Waiting] = []
    pool = ParserPool(lambda: opened.append(Waiting()) or opened[-1])  # type: ignore[func-returns-value]
    tasks = [asyncio.create_task(pool.parse(markdown(f"{n}.md", "x"))) for n in range(40)]
    for _ in range(cores):
        await waiting.acquire()
    assert len(opened) == cores
    going_on.set()
    await asyncio.gather(*tasks)
    await pool.aclose()
    assert opened == closed
    assert len(opened) == cores
