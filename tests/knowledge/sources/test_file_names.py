"""Files whose names are not UTF-8: each stays a document of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from knowledge.ingest import Ingestor
from knowledge.ports import Sessions, Source
from knowledge.sources.files import FolderSource
from knowledge.sources.git import GitSource
from tests.knowledge.sources.test_git import git

NAMES = (b"caf\xe9.md", b"caf\xe8.md", "café.md".encode())


@pytest.mark.parametrize("kind", ["folder", "git"])
async def test_files_whose_names_differ_in_one_byte_are_two_documents(
    kind: str, tmp_path: Path, ingestor: Ingestor, sessions: Sessions
) -> None:
    if kind == "git" and shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "menu"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / os.fsdecode(name)).write_text(f"# Menu {number}")
    if kind == "git":
        git(folder, "init", "--quiet")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", "Menus")
    source: Source = (
        FolderSource(folder, max_bytes=10**6)
        if kind == "folder"
        else GitSource(folder, fetch_allow=(), max_bytes=10**6)
    )
    await ingestor.ingest([source], tenant_id="t")
    again = await ingestor.ingest([source], tenant_id="t")
    assert (again.documents, again.unchanged, again.deleted) == (3, 3, 0)
    async with sessions("t") as session:
        rows = await session.execute(text("SELECT uri, title FROM documents"))
    assert {row.uri: row.title for row in rows} == {
        "menu/caf\\xe9.md": "Menu 0",
        "menu/caf\\xe8.md": "Menu 1",
        "menu/café.md": "Menu 2",
    }
