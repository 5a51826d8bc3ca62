"""A large document is ingested in batches: few chunks in memory, no work on the loop's thread, all or nothing."""

from __future__ import annotations

import asyncio
import gc
import io
import threading
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import text

from bot.engine.answer.attached_context import FILE_CHARS
from bot.engine.ports.attachment_reader import FileText
from bot.file_reader import FileReader
from knowledge import bm25
from knowledge.bm25 import indexing
from knowledge.chunking import chunk, chunker, token_counting
from knowledge.chunking.chunker import BATCH_CHUNKS
from knowledge.errors import EmbeddingError, ParseError
from knowledge.ingest import Ingestor
from knowledge.parsing.isolation import worker_protocol
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Encoded, EncodeKind, Sessions
from knowledge.search.retriever import Retriever
from knowledge.store import chunk_vectors, document_catalog, document_rows, document_writes
from knowledge.store.document_rows import EmbeddedChunk
from knowledge.text import search_terms, sentence_splitter
from knowledge.text.sentence_splitter import sentence_spans
from knowledge.types.documents import Block, Document
from knowledge.types.scope import Scope
from knowledge.types.source_items import Fetched
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown

CHUNKS = 1000
TEXT = "\n\n".join(f"Paragraph number{n} says what the rule of case number{n} is. " * 2 for n in range(CHUNKS))
LARGE = ListSource("list", Fetched("large.txt", TEXT.encode()))


def chunks_in_memory() -> int:
    """Return how many chunks with vectors exist in this process."""
    return sum(type(one) is EmbeddedChunk for one in gc.get_objects())


class Watching(WordEmbedder):
    """Records how many chunks exist at each call, and the threads that count tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[int] = []
        self.threads: set[int] = set()
        self.encoding = False

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        if not self.encoding:
            self.threads.add(threading.get_ident())
        return super().count_tokens(texts)

    async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
        self.held.append(chunks_in_memory())
        self.encoding = True
        try:
            return await super().encode(texts, kind)
        finally:
            self.encoding = False


def watched(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, see: Callable[[], None]) -> None:
    """Call ``see`` with every call of a function."""
    function = getattr(place, name)

    def seen(*arguments: Any, **named: Any) -> Any:
        see()
        return function(*arguments, **named)

    monkeypatch.setattr(place, name, seen)


async def test_few_chunks_of_a_large_document_are_in_memory(
    sessions: Sessions, parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = Watching()
    at_statements: list[int] = []
    watched(monkeypatch, document_writes, "insert_chunks", lambda: at_statements.append(chunks_in_memory()))
    report = await Ingestor(sessions, embedder, parser=parser, chunk_tokens=32).ingest([LARGE], tenant_id="t")
    assert report.failed == ()
    assert report.chunks >= CHUNKS
    assert len(at_statements) >= report.chunks / document_writes.BATCH_CHUNKS
    assert max(embedder.held + at_statements) <= 2 * BATCH_CHUNKS


async def test_no_batch_of_work_is_done_on_the_thread_of_the_event_loop(
    sessions: Sessions, parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder, here = Watching(), threading.get_ident()
    seen: dict[str, set[int]] = {}
    for place, name in (
        (search_terms, "document_terms"),
        (indexing, "pack"),
        (indexing, "keep_alive"),
        (chunk_vectors, "halfvec"),
        (worker_protocol, "document_of"),
        (chunker, "_take"),
    ):
        threads = seen[name] = set()
        watched(monkeypatch, place, name, lambda threads=threads: threads.add(threading.get_ident()))  # type: ignore[misc]
    source = ListSource("list", Fetched("large.txt", TEXT[:40_000].encode()))
    ingestor = Ingestor(sessions, embedder, parser=parser, chunk_tokens=32)
    await ingestor.ingest([source], tenant_id="t")
    source.items = [Fetched("large.txt", TEXT[20_000:60_000].encode())]
    await ingestor.ingest([source], tenant_id="t")
    async with sessions("t") as session:
        await bm25.sweep_dead(session, "t")
    assert all(seen.values()), seen
    assert here not in embedder.threads.union(*seen.values())


class Pausing(WordEmbedder):
    """Waits in the call that reaches ``pause_at`` passages; ``fails`` raises there instead."""

    def __init__(self, pause_at: int, *, fails: bool = False) -> None:
        super().__init__()
        self.pause_at, self.fails = pause_at, fails
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
        encoded = await super().encode(texts, kind)
        if len(self.passages) >= self.pause_at and not self.reached.is_set():
            self.reached.set()
            if self.fails:
                raise EmbeddingError("The model stopped.")
            await self.go_on.wait()
        return encoded


async def sources_found(sessions: Sessions, query: str) -> set[str]:
    found = await Retriever(sessions, WordEmbedder())(query, Scope("t"))
    return {passage.text for passage in found.passages}


async def test_half_of_a_document_is_never_found(sessions: Sessions, parser: Parser) -> None:
    old = ListSource("list", Fetched("large.txt", b"The old text names number3 too."))
    await Ingestor(sessions, WordEmbedder(), parser=parser).ingest([old], tenant_id="t")
    embedder = Pausing(CHUNKS // 2)
    ingestor = Ingestor(sessions, embedder, parser=parser, chunk_tokens=32)
    ingesting = asyncio.create_task(ingestor.ingest([LARGE], tenant_id="t"))
    async with asyncio.timeout(60):
        await embedder.reached.wait()
    assert await sources_found(sessions, "number3") == {"The old text names number3 too."}
    embedder.go_on.set()
    await ingesting
    assert any("case number3 is" in passage for passage in await sources_found(sessions, "number3"))


async def test_a_failure_in_the_middle_stores_nothing(sessions: Sessions, parser: Parser) -> None:
    failing = Ingestor(sessions, Pausing(CHUNKS // 2, fails=True), parser=parser, chunk_tokens=32)
    with pytest.raises(EmbeddingError):
        await failing.ingest([LARGE], tenant_id="t")
    async with sessions("t") as session:
        assert await session.scalar(text("SELECT count(*) FROM documents")) == 0
        assert await session.scalar(text("SELECT count(*) FROM chunks")) == 0


async def test_a_long_text_is_stored_in_pieces_and_complete(
    sessions: Sessions, parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_rows, "PIECE_CHARS", 700)
    source = ListSource("list", Fetched("a.txt", TEXT[:5000].encode(), memo="m" * 1500))
    ingestor = Ingestor(sessions, WordEmbedder(), parser=parser, chunk_tokens=32)
    for body in (TEXT[:5000], TEXT[100:4000]):
        source.items = [Fetched("a.txt", body.encode(), memo=body[:1500])]
        await ingestor.ingest([source], tenant_id="t")
        async with sessions("t") as session:
            row = (await session.execute(text("SELECT text, memo FROM documents"))).one()
            chunks = (await session.execute(text("SELECT text, start_char, end_char FROM chunks"))).all()
        assert (row.text, row.memo) == (body, body[:1500])
        assert all(body[one.start_char : one.end_char] == one.text for one in chunks)


async def test_a_heading_is_not_repeated_without_limit(sessions: Sessions, parser: Parser) -> None:
    body = "# " + "long heading " * 20_000 + "\n\n" + "\n\n".join(f"Paragraph {n}." for n in range(200))
    source = ListSource("list", markdown("a.md", body))
    await Ingestor(sessions, WordEmbedder(), parser=parser, chunk_tokens=32).ingest([source], tenant_id="t")
    async with sessions("t") as session:
        longest = await session.scalar(text("SELECT max(length(header)) FROM chunks"))
        stored = await session.scalar(text("SELECT text FROM documents"))
    assert longest is not None
    assert longest <= worker_protocol.MAX_TITLE_CHARS + worker_protocol.MAX_HEADING_CHARS + 10
    assert stored == body


def test_a_tokenizer_never_reads_much_at_once() -> None:
    calls: list[int] = []

    def count(texts: Sequence[str]) -> list[int]:
        calls.append(sum(map(len, texts)))
        return [len(one.split()) for one in texts]

    words = "word " * 100_000
    for body, kind in ((words, "table"), (words, "paragraph"), ("x" * 500_000, "paragraph"), (words, "code")):
        document = Document("u", "T", body, (Block(kind, 0, len(body.rstrip())),))  # type: ignore[arg-type]
        chunks = chunk(document, count=count, tokens=100)
        assert "".join(one.text for one in chunks).replace(" ", "") == body.replace(" ", "")
        assert max(len(one.text) for one in chunks) <= 100 * token_counting.MAX_TOKEN_CHARS
    assert max(calls) <= token_counting.CALL_CHARS + token_counting.PIECE_CHARS


class Sliced(str):
    """A text that counts the characters of its slices."""

    sliced = 0

    def __getitem__(self, key: Any) -> str:
        found = super().__getitem__(key)
        Sliced.sliced += len(found)
        return found


@pytest.mark.parametrize(
    ("repeated", "sentences"), [("A sentence of a line. ", 5000), ("Until am 12. Januar ", 1), ("Mr. ", 1), (". ", 1)]
)
def test_splitting_a_long_line_copies_it_a_few_times_only(
    monkeypatch: pytest.MonkeyPatch, repeated: str, sentences: int
) -> None:
    monkeypatch.setattr(Sliced, "sliced", 0)
    body = Sliced(repeated * 5000)
    assert len(sentence_spans(body)) == sentences
    assert Sliced.sliced <= 8 * len(body)


@pytest.mark.parametrize("size", [1, 7, 20, 64])
def test_sentences_are_the_same_wherever_a_search_ends(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    bodies = (
        TEXT[:3000],
        "One. Two!  Three?\n\nFour\n- five\n1. six. e.g. this. “Seven.” 八。九。 Ten",
        "Zehn“ „elf.“ Zwölf . . . 十三?十四!十五。 Πότε; Έξι. • 9. Nine",
        "no end " * 40,
    )
    whole = [sentence_spans(body) for body in bodies]
    monkeypatch.setattr(sentence_splitter, "SEARCH_CHARS", size)
    assert [sentence_spans(body) for body in bodies] == whole


async def test_only_the_beginning_of_an_attached_file_is_read_into_the_process() -> None:
    reader = FileReader()
    try:
        found = await reader("long.txt", "text/plain", ("Words. " * 100_000).encode())
    finally:
        await reader.aclose()
    assert found == FileText(("Words. " * 100_000)[:FILE_CHARS])


async def test_an_attached_archive_may_unpack_to_what_the_setting_allows() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("a.json", bytes(2000))
    reader = FileReader(max_unpacked=1000)
    try:
        with pytest.raises(ParseError, match="PARLEY_MAX_UNPACKED_MB"):
            await reader("a.zip", "application/zip", archive.getvalue())
    finally:
        await reader.aclose()


async def test_documents_are_shown_in_part_and_quotes_are_found_anywhere(sessions: Sessions, parser: Parser) -> None:
    body = TEXT + "\n\nThe last word is canary."
    source = ListSource("list", Fetched("large.txt", body.encode()))
    await Ingestor(sessions, WordEmbedder(), parser=parser).ingest([source], tenant_id="t")
    async with sessions("t") as session:
        [row] = await document_catalog.list_documents(session, "t")
        shown = await document_catalog.show(session, "t", row.id, max_chars=50)
        whole = await document_catalog.show(session, "t", row.id)
        near = await document_catalog.around(session, "t", row.id, quote="canary", start=3, chars=10)
    assert (shown.text, shown.complete) == (body[:50], False)
    assert (whole.text, whole.complete) == (body, True)
    assert (near.text, near.start) == ("t word is canary.", 10)
