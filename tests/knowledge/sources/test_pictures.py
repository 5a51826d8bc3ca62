"""Pictures of folders and repositories: read where text can be recognized, else counted; icons are never opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from knowledge.errors import NoTextError
from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.parsing.ocr import text_recognition
from knowledge.ports import Sessions
from knowledge.sources import files
from knowledge.sources.file_selection import MIN_BYTES
from knowledge.sources.files import FolderSource
from knowledge.sources.git import GitSource
from knowledge.store import document_catalog
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched, SourceWarning
from tests.knowledge.parsing.test_text_recognition import installed, scan
from tests.knowledge.sources.test_git import git, handbook, server

__all__ = ["handbook", "server"]

SCAN = b"\x89PNG\r\n\x1a\n" + bytes(MIN_BYTES)
LEFT_OUT = "2 pictures left out, which may hold text. "


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in (("a.md", b"# Gate"), ("scan.png", SCAN), ("sub/fax.TIFF", SCAN), ("icon.png", SCAN[:900])):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    return tmp_path


def with_recognition(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(text_recognition, "is_installed", lambda: there)


async def read_pictures(parser: Parser, monkeypatch: pytest.MonkeyPatch, shown: dict[str, str]) -> list[str]:
    """Parse pictures as what ``shown`` says of their names, and others as they are. Return the names of pictures."""
    parse, read = parser.parse, []

    async def parse_or_show(fetched: Fetched, *, include_hidden: bool = False) -> Document:
        name = fetched.uri.rpartition("/")[2]
        if name not in shown:
            return await parse(fetched, include_hidden=include_hidden)
        read.append(name)
        if not shown[name]:
            raise NoTextError("it is a picture without text. Add the text itself")
        return await parse(Fetched(fetched.uri, shown[name].encode(), name="shown.txt"))

    monkeypatch.setattr(parser, "parse", parse_or_show)
    return read


async def test_without_text_recognition_pictures_are_counted_and_the_way_is_told(
    folder: Path, ingestor: Ingestor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_recognition(monkeypatch, there=False)
    report = await ingestor.ingest([FolderSource(folder, max_bytes=10**6)], tenant_id="t")
    assert (report.documents, report.failed) == (1, ())
    assert [(one.source, one.warning) for one in report.warnings] == [
        (str(folder), LEFT_OUT + text_recognition.INSTALL)
    ]


async def test_with_text_recognition_they_are_read_and_those_without_text_only_once(
    folder: Path, ingestor: Ingestor, sessions: Sessions, parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_recognition(monkeypatch, there=True)
    read = await read_pictures(parser, monkeypatch, {"scan.png": "The gate opens at six.", "fax.TIFF": ""})
    for again in (False, True):
        report = await ingestor.ingest([FolderSource(folder, max_bytes=10**6)], tenant_id="t")
        assert (report.documents, report.unchanged, report.failed) == (2, 2 * again, ())
        assert [one.warning for one in report.warnings] == ["1 picture without text left out"]
    assert sorted(read) == ["fax.TIFF", "scan.png"]
    async with sessions("t") as session:
        states = await session.execute(text("SELECT uri, state FROM documents ORDER BY uri"))
    assert [(row.uri.partition("/")[2], row.state) for row in states] == [
        ("a.md", "ready"),
        ("scan.png", "ready"),
        ("sub/fax.TIFF", "failed"),
    ]
    async with sessions("t") as session:
        listed = await document_catalog.list_documents(session, "t", order="state")
    assert [row.state for row in listed] == ["no text", "ready", "ready"]
    (folder / "sub" / "fax.TIFF").write_bytes(SCAN + b"changed")
    await ingestor.ingest([FolderSource(folder, max_bytes=10**6)], tenant_id="t")
    assert read.count("fax.TIFF") == 2


async def test_icons_are_never_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5000):
        (folder / f"icon{number}.png").write_bytes(b"\x89PNG")
    opened = []
    monkeypatch.setattr(files, "read_file", lambda path, *_: opened.append(path.name))
    with_recognition(monkeypatch, there=True)
    source = FolderSource(folder, max_bytes=10**6)
    assert source.count() == 3
    assert [item async for item in source.fetch() if isinstance(item, SourceWarning)] == []
    assert sorted(opened) == ["a.md", "fax.TIFF", "scan.png"]


@pytest.mark.parametrize("there", [False, True])
async def test_a_repository_has_the_same_pictures(
    tmp_path: Path, ingestor: Ingestor, parser: Parser, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    root = tmp_path / "wiki"
    root.mkdir()
    for name, data in (("a.md", b"# Gate"), ("icon.png", SCAN[:900]), ("scan.png", SCAN), ("fax.tif", SCAN)):
        (root / name).write_bytes(data)
    git(root, "init", "-q")
    git(root, "add", "--all")
    git(root, "commit", "-q", "-m", "All")
    with_recognition(monkeypatch, there)
    await read_pictures(parser, monkeypatch, {"scan.png": "The gate opens at six.", "fax.tif": ""})
    source = GitSource(root, fetch_allow=(), max_bytes=10**6)
    report = await ingestor.ingest([source], tenant_id="t")
    assert (report.documents, report.failed) == (2 if there else 1, ())
    said = "1 picture without text left out" if there else LEFT_OUT + text_recognition.INSTALL
    assert [one.warning for one in report.warnings] == [said]


@installed
async def test_a_scan_of_a_folder_is_read(tmp_path: Path, ingestor: Ingestor, sessions: Sessions) -> None:
    scan("The north gate opens at six", "and closes at nine.").save(tmp_path / "scan.png")
    assert (tmp_path / "scan.png").stat().st_size >= MIN_BYTES
    report = await ingestor.ingest([FolderSource(tmp_path, max_bytes=10**7)], tenant_id="t")
    assert (report.documents, report.failed) == (1, ())
    async with sessions("t") as session:
        assert "gate opens at six" in str(await session.scalar(text("SELECT text FROM documents")))


async def test_a_repository_with_a_picture_without_text_is_not_cloned_again_and_the_picture_not_read_again(
    server: tuple[str, list[str]],
    handbook: Path,
    ingestor: Ingestor,
    parser: Parser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (handbook / "photo.png").write_bytes(SCAN)
    git(handbook, "rm", "--quiet", "large.txt")
    git(handbook, "add", "photo.png")
    git(handbook, "commit", "--quiet", "-m", "A photo")
    with_recognition(monkeypatch, there=True)
    read = await read_pictures(parser, monkeypatch, {"photo.png": ""})
    url, requested_paths = server
    repository = GitSource(f"{url}/handbook", fetch_allow=("127.0.0.1",), max_bytes=10**6)

    def clones() -> int:
        return sum(path.endswith("/git-upload-pack") for path in requested_paths)

    first = await ingestor.ingest([repository], tenant_id="t")
    assert (first.documents, first.failed, read) == (2, (), ["photo.png"])
    cloned = clones()
    listed = len(requested_paths)
    await ingestor.ingest([repository], tenant_id="t")
    listing = clones() - cloned
    assert listing < cloned, requested_paths[listed:]
    (handbook / "README.md").write_text("# Another\n")
    git(handbook, "commit", "--quiet", "-a", "-m", "Another")
    changed = await ingestor.ingest([repository], tenant_id="t")
    assert (changed.documents, changed.unchanged) == (2, 1)
    assert [one.warning for one in changed.warnings] == [one.warning for one in first.warnings]
    assert read == ["photo.png"], "what was read of it is kept while the repository stays as it is"
