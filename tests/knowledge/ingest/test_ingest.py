"""Tests ingestion on a real Postgres: unchanged, changed, vanished and failing documents and sources."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from knowledge.embedders import SentenceTransformerEmbedder
from knowledge.errors import EmbeddingError, KnowledgeError, SourceError
from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Encoded, EncodeKind, Sessions
from knowledge.search.rerankers import LateInteraction
from knowledge.search.retriever import Retriever
from knowledge.sources.files import FolderSource, UploadSource, read_file
from knowledge.sources.source_factory import open_source
from knowledge.store import chunk_writes, document_catalog
from knowledge.store.knowledge_version import read_version
from knowledge.types.documents import DocumentRow
from knowledge.types.ingest_reports import Progress
from knowledge.types.scope import Scope
from knowledge.types.source_items import Failure, Fetched, SourceWarning
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown

SECTIONS = [f"## Part {n}\n\n" + f"The rule of part {n} says number{n}. " * 12 for n in range(5)]
GUIDE = "# Guide\n\n" + "\n\n".join(SECTIONS)


async def listed(sessions: Sessions, tenant: str = "t") -> list[DocumentRow]:
    async with sessions(tenant) as session:
        return await document_catalog.list_documents(session, tenant)


async def test_unchanged_documents_are_not_embedded_again(
    ingestor: Ingestor, embedder: WordEmbedder, sessions: Sessions
) -> None:
    source = ListSource("list", markdown("guide.md", GUIDE), markdown("b.md", "# B\n\nWords."))
    first = await ingestor.ingest([source], tenant_id="t")
    assert (first.documents, first.unchanged, first.failed) == (2, 0, ())
    assert first.chunks == len(embedder.passages) > 5
    async with sessions("t") as session:
        before = await read_version(session, "t")
    embedder.passages.clear()
    second = await ingestor.ingest([source], tenant_id="t")
    assert (second.documents, second.chunks, second.unchanged) == (2, first.chunks, 2)
    assert embedder.passages == []
    async with sessions("t") as session:
        assert await read_version(session, "t") == before


async def test_only_changed_chunks_are_embedded(ingestor: Ingestor, embedder: WordEmbedder, sessions: Sessions) -> None:
    await ingestor.ingest([ListSource("list", markdown("guide.md", GUIDE))], tenant_id="t")
    async with sessions("t") as session:
        before = {
            row.digest: row.chunk_id for row in await session.execute(text("SELECT digest, chunk_id FROM chunks"))
        }
    embedder.passages.clear()
    changed = GUIDE.replace("# Guide\n", "# Guide\n\n" + "A word in front. " * 12).replace("number3", "number33")
    await ingestor.ingest([ListSource("list", markdown("guide.md", changed))], tenant_id="t")
    assert embedder.passages
    assert all("number33" in passage or "A word in front" in passage for passage in embedder.passages)
    async with sessions("t") as session:
        rows = (await session.execute(text("SELECT digest, chunk_id, text, start_char, end_char FROM chunks"))).all()
        body = await session.scalar(text("SELECT text FROM documents"))
    assert body is not None
    assert all(row.text == body[row.start_char : row.end_char] for row in rows)
    kept = [row for row in rows if row.digest in before]
    assert len(kept) >= 3
    assert all(before[row.digest] == row.chunk_id for row in kept)


async def test_vanished_documents_are_deleted(
    tmp_path: Path, ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    (tmp_path / "a.md").write_text("# A\n\nalpha words")
    (tmp_path / "b.md").write_text("# B\n\nbeta words")
    await ingestor.ingest([FolderSource(tmp_path, max_bytes=1000)], tenant_id="t")
    (tmp_path / "b.md").unlink()
    report = await ingestor.ingest([FolderSource(tmp_path, max_bytes=1000)], tenant_id="t")
    assert (report.documents, report.deleted) == (1, 1)
    assert [row.title for row in await listed(sessions)] == ["A"]
    found = await Retriever(sessions, embedder)("beta", Scope("t"))
    assert [passage.title for passage in found.passages] == ["A"]


async def test_folder_skips_files_that_are_no_documents(tmp_path: Path) -> None:
    for name in ("a.md", "sub/b.txt", ".hidden.md", ".git/config", "logo.png", "large.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x" * (2000 if "large" in name else 10))
    (tmp_path / "escape.txt").symlink_to("/etc/hostname")
    source = FolderSource(tmp_path, max_bytes=1000)
    items = [item async for item in source.fetch() if not isinstance(item, SourceWarning)]
    names = [item.source if isinstance(item, Failure) else item.uri for item in items]
    assert names == [f"{tmp_path.name}/{name}" for name in ("a.md", "large.txt", "sub/b.txt")]
    assert source.count() == 3
    assert isinstance(items[1], Failure)
    assert "PARLEY_MAX_FILE_MB" in items[1].error


async def test_archives_and_links_that_are_left_out_of_a_folder_are_told(tmp_path: Path) -> None:
    folder, outside = tmp_path / "docs", tmp_path / "outside"
    (folder / "sub").mkdir(parents=True)
    outside.mkdir()
    (outside / "far.md").write_text("# Far")
    for name in ("a.md", "old.ZIP", "sub/more.tar.gz", "program.exe", "logo.svg"):
        (folder / name).write_text("x")
    (folder / "far.md").symlink_to(outside / "far.md")
    (folder / "nothing.md").symlink_to(outside / "missing.md")
    (folder / "far").symlink_to(outside)
    (folder / "endless.md").symlink_to("x" * 300)
    (folder / "circle").symlink_to(folder / "circle")
    (folder / "same.md").symlink_to(folder / "a.md")
    (folder / "same").symlink_to(folder / "sub")
    os.mkfifo(folder / "pipe.md")
    items = [item async for item in FolderSource(folder, max_bytes=1000).fetch()]
    assert [item.uri for item in items if isinstance(item, Fetched)] == ["docs/a.md", "docs/same.md"]
    assert [item.text for item in items if isinstance(item, SourceWarning)] == [
        "2 archives left out. Unpack what holds documents",
        "5 links out of the folder or to nothing left out. Add what they lead to by its own name",
    ]


async def test_a_pipe_that_took_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    read = await asyncio.wait_for(asyncio.to_thread(read_file, tmp_path / "pipe.md", "pipe.md", 1000), 60)
    assert read == Failure("pipe.md", "it is no file. Give the path of a file.")


async def test_failed_document_does_not_stop_the_others(ingestor: Ingestor, sessions: Sessions) -> None:
    source = ListSource(
        "list",
        markdown("good.md", "# Good\n\nwords"),
        markdown("bad.pdf", "no pdf"),
        Failure("gone.md", "it cannot be read (gone)"),
    )
    told: list[Progress] = []
    report = await ingestor.ingest([source], tenant_id="t", on_progress=told.append)
    assert report.documents == 1
    assert [failure.source for failure in report.failed] == ["bad.pdf", "gone.md"]
    assert {(row.source, row.state, row.error) for row in await listed(sessions)} == {
        ("good.md", "ready", ""),
        ("bad.pdf", "failed", "its name ends in .pdf but it is not a PDF. Download or export it again."),
        ("gone.md", "failed", "it cannot be read (gone)"),
    }
    assert max(progress.done for progress in told) == 3
    assert {progress.total for progress in told} == {3}


async def test_document_that_fails_keeps_its_previous_version(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    await ingestor.ingest([ListSource("list", markdown("a.md", "# A\n\nalpha words"))], tenant_id="t")
    await ingestor.ingest([ListSource("list", Fetched("a.md", b"\x89PNG broken"))], tenant_id="t")
    assert [(row.state, row.chunks) for row in await listed(sessions)] == [("failed", 1)]
    found = await Retriever(sessions, embedder)("alpha", Scope("t"))
    assert found.passages[0].text == "alpha words"


async def test_unreadable_source_is_reported_and_the_next_is_read(ingestor: Ingestor, sessions: Sessions) -> None:
    bad = open_source("http://127.0.0.1:1/", fetch_allow=(), max_bytes=1000, files=False)
    report = await ingestor.ingest([bad, UploadSource("notes.md", b"# N\n\nwords")], tenant_id="t", audience="C1")
    assert report.documents == 1
    assert "PARLEY_FETCH_ALLOW" in report.failed[0].error
    assert [(row.source, row.state, row.audience) for row in await listed(sessions)] == [
        ("http://127.0.0.1:1/", "failed", "C1"),
        ("notes.md", "ready", "C1"),
    ]


async def test_same_name_in_two_channels_is_two_documents(ingestor: Ingestor, sessions: Sessions) -> None:
    for audience in ("C1", "C2"):
        data = f"# Plan\n\nof {audience}".encode()
        await ingestor.ingest([UploadSource("plan.md", data)], tenant_id="t", audience=audience)
    assert sorted(row.audience for row in await listed(sessions)) == ["C1", "C2"]


async def test_failing_model_stops_the_run_and_stores_nothing(sessions: Sessions, parser: Parser) -> None:
    class Broken(WordEmbedder):
        async def encode(self, texts: object, kind: EncodeKind) -> Encoded:
            raise EmbeddingError("The model is not there; set it.")

    ingestor = Ingestor(sessions, Broken(), parser=parser)
    with pytest.raises(EmbeddingError, match="not there"):
        await ingestor.ingest([ListSource("list", markdown("a.md", "# A\n\nwords"))], tenant_id="t")
    assert await listed(sessions) == []


async def test_ingesting_everything_with_another_model_switches_to_it(
    ingestor: Ingestor, sessions: Sessions, parser: Parser
) -> None:
    source = ListSource("list", markdown("a.md", "# A\n\nalpha words"))
    await ingestor.ingest([source], tenant_id="t")
    other = WordEmbedder("other", 64)
    report = await Ingestor(sessions, other, parser=parser, chunk_tokens=64).ingest([source], tenant_id="t")
    assert (report.unchanged, len(other.passages)) == (0, 1)
    async with sessions("t") as session:
        models = (await session.execute(text("SELECT model, dimensions FROM embeddings ORDER BY model"))).all()
        assert [tuple(row) for row in models] == [("other", 64)]
        assert await session.scalar(text("SELECT count(*) FROM chunks")) == 1


async def test_concurrent_ingestion_of_the_same_documents(sessions: Sessions, ingestor: Ingestor) -> None:
    versions = [
        ListSource("list", *(markdown(f"{name}.md", f"# {name}\n\nround {n} of {name}") for name in "abcdef"))
        for n in range(4)
    ]
    await asyncio.gather(*(ingestor.ingest([source], tenant_id="t") for source in versions))
    async with sessions("t") as session:
        counts = (
            await session.execute(
                text(
                    "SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM chunks), "
                    "(SELECT count(*) FROM embeddings), (SELECT chunks FROM knowledge_state), "
                    "(SELECT sum(chunks.terms) = max(state.terms) FROM chunks, knowledge_state state)"
                )
            )
        ).one()
    assert tuple(counts) == (6, 6, 6, 6, True)


async def test_document_catalog(ingestor: Ingestor, sessions: Sessions) -> None:
    await ingestor.ingest([ListSource("list", markdown("a.md", "# A\n\nalpha words"))], tenant_id="t")
    await ingestor.ingest([UploadSource("b.md", b"# B\n\nbeta")], tenant_id="t", audience="C1")
    first, second = await listed(sessions)
    async with sessions("t") as session:
        assert (await document_catalog.show(session, "t", first.id)).text == "# A\n\nalpha words"
        assert [row.title for row in await document_catalog.list_documents(session, "t", audiences=["tenant"])] == ["A"]
        assert [row.title for row in await document_catalog.list_documents(session, "t", matching="B.M")] == ["B"]
        rows = await document_catalog.sources(session, "t")
        assert [(row.uri, row.can_be_read_again) for row in rows] == [("list", True), ("upload:b.md", False)]
        assert [row.uri for row in await document_catalog.sources(session, "t", audiences=["tenant"])] == ["list"]
        assert [row.uri for row in await document_catalog.sources(session, "t", document_id=second.id)] == [
            "upload:b.md"
        ]
        await document_catalog.delete(session, "t", first.id)
    assert [row.title for row in await listed(sessions)] == ["B"]
    async with sessions("other") as session:
        for unknown in (second.id, "no uuid"):
            with pytest.raises(KnowledgeError, match="no document"):
                await document_catalog.delete(session, "other", unknown)


def test_source_errors_are_knowledge_errors() -> None:
    assert issubclass(SourceError, KnowledgeError)


async def test_stored_token_signs_equal_those_of_the_reranker(sessions: Sessions, parser: Parser) -> None:
    """Stored signs give the same late-interaction scores as encoding the passages again."""
    model = SentenceTransformerEmbedder()
    pages = [markdown(f"{n}.md", f"# Page {n}\n\nRule {n}: the notice period is {n} months.") for n in range(6)]
    await Ingestor(sessions, model, parser=parser).ingest([ListSource("list", *pages)], tenant_id="t")
    ranking = await Retriever(sessions, model, LateInteraction(model)).rank(
        "How long is the notice period?", Scope("t")
    )
    again = await LateInteraction(model).score("How long is the notice period?", ranking.final)
    assert len(again) == 6
    assert [passage.legs.rerank for passage in ranking.final] == pytest.approx(again, abs=0.02)
    await model.aclose()


async def test_stored_chunks_of_many_documents_are_read_in_few_statements(
    ingestor: Ingestor, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = {f"{n}.md": "\n\n".join(f"# Part {p}\n\n" + "word " * 60 for p in range(5)) for n in range(4)}
    await ingestor.ingest([ListSource("list", *(markdown(*one) for one in bodies.items()))], tenant_id="t")
    asked: list[object] = []
    async with sessions("t") as session:
        rows = (await session.execute(text("SELECT document_id, digest, chunk_id, terms FROM chunks"))).all()
        documents = sorted({row.document_id for row in rows})
        for rows_per_read, statements in ((2000, 1), (len(rows), 2), (3, len(rows) // 3 + 1)):
            monkeypatch.setattr(chunk_writes, "ROWS_PER_READ", rows_per_read)
            asked.clear()
            execute = session.execute

            async def counted(*arguments: object, execute: Any = execute) -> Any:
                asked.append(arguments)
                return await execute(*arguments)

            with monkeypatch.context() as patch:
                patch.setattr(session, "execute", counted)
                stored = await chunk_writes.stored_chunks(session, "t", documents)
            assert stored.left() == {row.chunk_id: row.terms for row in rows}
            assert {number for numbers in stored.numbers.values() for number in numbers} == {row[2] for row in rows}
            assert len(asked) == statements
