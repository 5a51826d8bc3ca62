"""Ingestion whose process is killed: stored documents are complete, the next run encodes only what is missing."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.store.database.advisory_locks import is_free
from bot.store.database.session import Database
from knowledge.ingest.document_writer import BATCH_CHUNKS
from knowledge.store import ingest_runs
from tests.ingestion.slow_sources import TENANT

DOCUMENTS = 40
SECTIONS = 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "docs"
    place.mkdir()
    for number in range(DOCUMENTS):
        sections = (
            f"## Part {part}\n\n" + f"Document {number} part {part} holds rule{number}x{part}. " * 6
            for part in range(SECTIONS)
        )
        (place / f"{number:03}.md").write_text(f"# Document {number}\n\n" + "\n\n".join(sections))
    return place


async def read(url: str, folder: Path, log: Path, delay: float = 0.0) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.ingestion.slow_sources", url, str(folder), str(log), str(delay),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


def encoded(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


async def left(database: Database) -> tuple[int, int, int, int]:
    """Return the number of documents, chunks, chunks without a vector, and chunks in the BM25 index."""
    async with database.tenant(TENANT) as session:
        row = (
            await session.execute(
                text(
                    "SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM chunks), (SELECT count(*) FROM "
                    "chunks LEFT JOIN embeddings USING (tenant_id, chunk_id) WHERE embeddings.chunk_id IS NULL), "
                    "coalesce((SELECT chunks FROM knowledge_state), 0)"
                )
            )
        ).one()
    return row[0], row[1], row[2], row[3]


@pytest.mark.parametrize("after", [1, 400, 900], ids=["at-once", "in-the-middle", "near-the-end"])
async def test_a_killed_reading_leaves_whole_documents_and_goes_on_with_the_rest(
    database: Database, database_url: str, folder: Path, tmp_path: Path, after: int
) -> None:
    log = tmp_path / "encoded"
    process = await read(database_url, folder, log, 0.001)
    while len(encoded(log)) < after:
        assert process.returncode is None, "it ended before it could be killed"
        await asyncio.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    await process.wait()

    documents, chunks, bare, counted = await left(database)
    before = encoded(log)
    print(f"killed after {len(before)} chunks encoded: {documents} documents and {chunks} chunks stand, {bare} bare")
    assert bare == 0
    assert counted == chunks
    async with database.tenant(TENANT) as session:
        (run,) = await ingest_runs.active(session, TENANT)
        whole = set(await session.scalars(text("SELECT uri FROM documents WHERE state = 'ready'")))
    assert run.state == "running"
    assert await is_free(database, f"parley ingest {TENANT} {run.source_id}")

    again = tmp_path / "again"
    second = await read(database_url, folder, again)
    out, _ = await second.communicate()
    assert second.returncode == 0
    now = encoded(again)
    print(f"the next reading: {out.decode().strip()}, {len(now)} chunks encoded")
    documents, total, bare, counted = await left(database)
    assert (documents, bare, counted) == (DOCUMENTS, 0, total)
    assert f"documents {DOCUMENTS} chunks {total} unchanged {len(whole)}" in out.decode()
    assert len(now) == total - chunks
    lost = sum((Counter(before) & Counter(now)).values())
    # Two batches are being encoded, one is being stored, and one consists of documents that are not complete yet.
    assert lost == len(before) + len(now) - total <= 4 * BATCH_CHUNKS
    async with database.tenant(TENANT) as session:
        assert await ingest_runs.active(session, TENANT) == []
