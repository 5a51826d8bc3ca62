"""The disk below the temporary files fills up while documents are read: a clear error, nothing lost, retried later.

Runs on a small file system in memory, which only root may mount.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from knowledge.errors import DiskFullError
from knowledge.full_temporary_disk import NO_SPACE
from knowledge.ingest import Ingestor
from knowledge.ingest.read_document import ReadDocument
from knowledge.ingest.soft_error_detection import MEMORY_BYTES, ChangedPages
from knowledge.ports import Sessions
from knowledge.sources.git import GitSource
from knowledge.sources.git_command import _explain
from knowledge.sources.page_rendering import PageRenderer
from knowledge.store import document_catalog
from knowledge.types.documents import Block, Document
from knowledge.types.source_items import Fetched
from tests.app.test_full_disk import fill, small_disk
from tests.knowledge.fakes import ListSource, markdown

LARGE = "\n\n".join(f"Paragraph number{n} says what the rule of case number{n} is. " * 2 for n in range(700))


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that leaves no room for temporary files and folders until it is deleted."""
    with small_disk(tmp_path / "disk", megabytes=1, files=2) as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        fill(disk / "ballast")
        yield disk / "ballast"


async def stored(sessions: Sessions) -> set[str]:
    async with sessions("t") as session:
        return {row.title for row in await document_catalog.list_documents(session, "t")}


async def test_a_document_without_room_ends_the_run_and_the_others_are_kept_and_the_next_run_adds_it(
    full: Path, sessions: Sessions, ingestor: Ingestor
) -> None:
    small, large = markdown("small.md", "# Small\n\nDogs are welcome."), Fetched("large.txt", LARGE.encode())
    await ingestor.ingest([ListSource("list", small)], tenant_id="t")
    source = ListSource("list", small, large)
    with pytest.raises(DiskFullError, match=rf"temporary files is full \({full.parent}\)\. Free disk space there"):
        await ingestor.ingest([source], tenant_id="t")
    assert await stored(sessions) == {"Small"}
    full.unlink()
    report = await ingestor.ingest([source], tenant_id="t")
    assert (report.unchanged, report.failed) == (1, ())
    assert await stored(sessions) == {"Small", "large"}


@pytest.mark.usefixtures("full")
def test_changed_pages_without_room_say_so() -> None:
    pages = ChangedPages()
    document = Document("page", "Page", "x" * (2 * MEMORY_BYTES), (Block("paragraph", 0, 2 * MEMORY_BYTES),))
    with pytest.raises(DiskFullError):
        pages.add(ReadDocument(document, "", "hash"))
    pages.close()


@pytest.mark.usefixtures("full")
async def test_a_page_is_not_drawn_without_room_for_the_browser() -> None:
    with pytest.raises(DiskFullError):
        await PageRenderer("false", fetch_allow=(), max_bytes=1).render("https://example.com/", "")


@pytest.mark.usefixtures("full")
async def test_a_repository_is_not_read_without_room_for_git(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError):
        assert not [item async for item in GitSource(tmp_path, fetch_allow=(), max_bytes=2**20).fetch()]


def test_what_git_says_about_a_full_disk_becomes_a_cure() -> None:
    assert "set TMPDIR" in _explain(f"fatal: write error: {NO_SPACE}\nfatal: fetch-pack: invalid index-pack output\n")
