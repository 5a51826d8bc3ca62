"""Slack exports that change between two readings: damaged files, other forms, and channels that become private."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from knowledge.ingest import Ingestor
from knowledge.ports import Sessions, Source
from knowledge.sources.files import FileSource, FolderSource
from tests.knowledge.ingest.test_mail_attachments import mail
from tests.knowledge.parsing.test_chat_privacy import archive, content, day

CHANNELS = ("canteen", "garden", "library", "office", "parking")
MAX_BYTES = 10**6


class Export:
    """An export in a folder or an archive."""

    def __init__(self, path: Path, form: str) -> None:
        self._path, self._form = path, form

    def write(self, files: Mapping[str, Any]) -> Source:
        if self._form == "archive":
            path = self._path / "export.zip"
            path.write_bytes(archive(dict(files)))
            return FileSource(path, max_bytes=MAX_BYTES)
        for name, value in files.items():
            path = self._path / "export" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content(value))
        return FolderSource(self._path / "export", max_bytes=MAX_BYTES)


@pytest.fixture(params=["archive", "folder"])
def export(request: pytest.FixtureRequest, tmp_path: Path) -> Export:
    return Export(tmp_path, request.param)


def files(*public: str) -> dict[str, Any]:
    """Return the files of an export in which these channels are public, and the others private."""
    private = [name for name in CHANNELS if name not in public]
    return {
        "channels.json": [{"id": f"C{name}", "name": name} for name in public],
        "groups.json": [{"id": f"G{name}", "name": name} for name in private],
        **{f"{name}/2026-03-02.json": day(f"Words about the {name}") for name in CHANNELS},
    }


async def states(sessions: Sessions) -> dict[str, tuple[bool, str]]:
    """Return, for each stored document, whether it has a text, and why it could not be read."""
    async with sessions("t") as session:
        rows = await session.execute(text("SELECT uri, text <> '', error FROM documents"))
        return {uri.partition("/")[2]: (has_text, error) for uri, has_text, error in rows}


async def test_channels_that_became_private_are_deleted(export: Export, ingestor: Ingestor, sessions: Sessions) -> None:
    await ingestor.ingest([export.write(files(*CHANNELS))], tenant_id="t")
    assert sorted(await states(sessions)) == sorted(CHANNELS)
    report = await ingestor.ingest([export.write(files("canteen"))], tenant_id="t")
    assert (report.documents, report.deleted) == (1, 4)
    assert [name for name, (has_text, _) in (await states(sessions)).items() if has_text] == ["canteen"]
    again = await ingestor.ingest([export.write(files("canteen"))], tenant_id="t")
    assert again.failed == ()
    assert list(await states(sessions)) == ["canteen"]


async def test_damaged_days_keep_what_was_read_of_their_channel(
    export: Export, ingestor: Ingestor, sessions: Sessions
) -> None:
    good = files(*CHANNELS)
    await ingestor.ingest([export.write(good)], tenant_id="t")
    report = await ingestor.ingest([export.write(good | {"garden/2026-03-02.json": b'[{"type": "mes'})], tenant_id="t")
    assert report.deleted == 0
    has_text, error = (await states(sessions))["garden"]
    assert (has_text, error) == (True, "none of its files can be read. Export it again.")
    repaired = await ingestor.ingest([export.write(good)], tenant_id="t")
    assert repaired.failed == ()
    assert await states(sessions) == dict.fromkeys(CHANNELS, (True, ""))


async def test_damaged_list_of_channels_removes_nothing(export: Export, ingestor: Ingestor, sessions: Sessions) -> None:
    good = files("canteen", "garden")
    await ingestor.ingest([export.write(good)], tenant_id="t")
    damaged = json.dumps(good["channels.json"]).encode()[:-9]
    report = await ingestor.ingest([export.write(good | {"channels.json": damaged})], tenant_id="t")
    assert report.deleted == 0
    assert any("nobody knows which channels are public" in failure.error for failure in report.failed)
    assert {name for name, (has_text, _) in (await states(sessions)).items() if has_text} == {"canteen", "garden"}


async def test_archive_that_is_half_copied_removes_nothing(
    tmp_path: Path, ingestor: Ingestor, sessions: Sessions
) -> None:
    export = Export(tmp_path, "archive")
    await ingestor.ingest([export.write(files("canteen", "garden"))], tenant_id="t")
    path = tmp_path / "export.zip"
    path.write_bytes(path.read_bytes()[:-200])
    report = await ingestor.ingest([FileSource(path, max_bytes=MAX_BYTES)], tenant_id="t")
    assert (report.documents, report.deleted) == (0, 0)
    assert {name for name, (has_text, _) in (await states(sessions)).items() if has_text} == {"canteen", "garden"}


async def test_mail_that_must_be_read_again_with_its_files_is_no_export(
    tmp_path: Path, ingestor: Ingestor, sessions: Sessions
) -> None:
    path = tmp_path / "offer.eml"
    path.write_bytes(bytes(mail("Offer", ("prices.txt", "The crane costs 900 euros."))))
    await ingestor.ingest([FileSource(path, max_bytes=MAX_BYTES)], tenant_id="t")
    async with sessions("t") as session:
        await session.execute(text("UPDATE documents SET recipe = 'of an earlier version'"))
    again = await ingestor.ingest([FileSource(path, max_bytes=MAX_BYTES)], tenant_id="t")
    assert (again.documents, again.unchanged, again.failed) == (2, 0, ())
