"""The files of PDF documents are stored with them, so that their pages can be drawn."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from knowledge.ingest import Ingestor
from knowledge.ports import Sessions, Source
from knowledge.sources.source_factory import open_source
from knowledge.store import document_catalog, document_files, file_parts
from knowledge.types.documents import DocumentRow
from knowledge.types.source_items import Fetched
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown
from tests.knowledge.parsing.test_pdf import lines, pdf_of


def folder(path: Path) -> Source:
    return open_source(str(path), fetch_allow=(), max_bytes=10**7, files=True)


async def listed(sessions: Sessions) -> dict[str, DocumentRow]:
    async with sessions("t") as session:
        return {Path(row.source).name: row for row in await document_catalog.list_documents(session, "t")}


async def stored(sessions: Sessions, row: DocumentRow) -> bytes | None:
    async with sessions("t") as session:
        found = await document_files.read(session, "t", row.id, audiences=None)
        return None if found is None else found.data


async def test_the_file_of_a_pdf_is_stored_replaced_and_deleted_with_it(ingestor: Ingestor, sessions: Sessions) -> None:
    # A comment makes the file longer than one part.
    first = pdf_of(lines("The limit is five.")) + b"%" + b"x" * (file_parts.PART_BYTES + 10)
    second = pdf_of(lines("The limit is six now."))
    for data in (first, second):
        source = ListSource("list", Fetched("a", data), markdown("b.md", "# B\n\nWords."))
        await ingestor.ingest([source], tenant_id="t")
        rows = await listed(sessions)
        assert await stored(sessions, rows["a"]) == data
        assert await stored(sessions, rows["b.md"]) is None
    await ingestor.ingest([ListSource("list", Fetched("a", b"Plain words now."))], tenant_id="t")
    assert await stored(sessions, (await listed(sessions))["a"]) is None
    await ingestor.ingest([ListSource("list", Fetched("a", second))], tenant_id="t")
    assert await stored(sessions, (await listed(sessions))["a"]) == second
    await ingestor.ingest([ListSource("list", markdown("b.md", "# B\n\nWords."))], tenant_id="t")
    async with sessions("t") as session:
        assert await session.scalar(text("SELECT count(*) FROM document_files")) == 0


async def test_only_the_audience_of_a_document_reads_its_file(ingestor: Ingestor, sessions: Sessions) -> None:
    data = pdf_of(lines("Salaries."))
    await ingestor.ingest([ListSource("list", Fetched("a.pdf", data))], tenant_id="t", audience="C-board")
    row = (await listed(sessions))["a.pdf"]
    async with sessions("t") as session:
        for audiences in (("tenant",), ()):
            assert await document_files.read(session, "t", row.id, audiences=audiences) is None
        assert await document_files.read(session, "t", "nonsense", audiences=None) is None
        found = await document_files.read(session, "t", row.id, audiences=("tenant", "C-board"))
    assert found is not None
    async with sessions("other") as session:
        assert await document_files.read(session, "t", row.id, audiences=None) is None
        assert await document_files.read(session, "other", row.id, audiences=None) is None


async def test_a_pdf_that_was_added_before_files_were_kept_is_read_once_more(
    ingestor: Ingestor, embedder: WordEmbedder, sessions: Sessions, tmp_path: Path
) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf_of(lines("The limit is five.")))
    (tmp_path / "b.md").write_text("# B\n\nWords.")
    await ingestor.ingest([folder(tmp_path)], tenant_id="t")
    async with sessions("t") as session:
        await session.execute(text("DELETE FROM document_files"))
    embedder.passages.clear()
    again = await ingestor.ingest([folder(tmp_path)], tenant_id="t")
    assert (again.documents, again.unchanged, embedder.passages) == (2, 1, [])
    assert await stored(sessions, (await listed(sessions))["a.pdf"]) == (tmp_path / "a.pdf").read_bytes()
    third = await ingestor.ingest([folder(tmp_path)], tenant_id="t")
    assert third.unchanged == 2
