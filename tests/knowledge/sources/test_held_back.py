"""A source that lost its documents, or shows a sign-in or a notice in their place, costs nothing that was known."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from knowledge.ingest import Ingestor, removals
from knowledge.ports import Sessions, Source
from knowledge.sources.files import FolderSource
from knowledge.store import document_removals, held_back_sources
from knowledge.types.ingest_reports import Progress
from knowledge.types.source_items import Failure
from tests.knowledge.fakes import ListSource, markdown
from tests.knowledge.sources.test_refresh import MAX_BYTES, Site, html_page, site

__all__ = ["site"]
TEXTS = {f"doc-{n}.md": f"# Page {n}\n\nThe code of room {n} is {n * 37}." for n in range(10)}


async def stored(sessions: Sessions) -> dict[str, str]:
    """Return the stored texts by name."""
    async with sessions("t") as session:
        rows = await session.execute(text("SELECT uri, text FROM documents WHERE tenant_id = 't' AND text <> ''"))
        return {row.uri: row.text for row in rows}


async def state(sessions: Sessions) -> tuple[str, set[str]]:
    """Return why the source is held back, and the reasons that its documents show."""
    async with sessions("t") as session:
        held = await session.scalar(text("SELECT held_back FROM sources WHERE tenant_id = 't'"))
        rows = await session.scalars(text("SELECT error FROM documents WHERE tenant_id = 't' AND error <> ''"))
        return str(held), set(rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "handbook"
    made.mkdir()
    write(made)
    return made


def write(folder: Path) -> None:
    for name, words in TEXTS.items():
        (folder / name).write_text(words)


@pytest.mark.parametrize(
    ("removed", "stored", "too_much"),
    [(3, 3, False), (4, 4, True), (4, 20, False), (4, 19, True), (20, 100, False), (21, 100, True), (0, 0, False)],
)
def test_more_than_a_fifth_and_more_than_three_are_held_back(removed: int, stored: int, too_much: bool) -> None:
    assert document_removals.is_too_much(removed, stored) is too_much


async def test_empty_mount_point_removes_nothing(folder: Path, ingestor: Ingestor, sessions: Sessions) -> None:
    source = FolderSource(folder, max_bytes=MAX_BYTES)
    await ingestor.ingest([source], tenant_id="t")
    before = await stored(sessions)
    shutil.rmtree(folder)
    folder.mkdir()
    shown: list[Progress] = []
    source = FolderSource(folder, max_bytes=MAX_BYTES)
    report = await ingestor.ingest([source], tenant_id="t", on_progress=shown.append)
    assert (await stored(sessions), report.deleted) == (before, 0)
    assert [(at.done, at.total) for at in shown] == [(1, 1)]
    (failure,) = report.failed
    assert failure.source == str(folder)
    assert failure.error.startswith("10 of 10 documents are gone")
    assert "--accept-removals" in failure.error
    held_back, reasons = await state(sessions)
    assert held_back == failure.error.removesuffix(f" {removals.ACCEPT}")
    assert [reason for reason in reasons if "kept" not in reason] == []
    write(folder)
    back = await ingestor.ingest([FolderSource(folder, max_bytes=MAX_BYTES)], tenant_id="t")
    assert (back.failed, back.unchanged, await state(sessions)) == ((), 10, ("", set()))


async def test_accepted_removals_are_done(folder: Path, ingestor: Ingestor, sessions: Sessions) -> None:
    await ingestor.ingest([FolderSource(folder, max_bytes=MAX_BYTES)], tenant_id="t")
    for name in list(TEXTS)[2:]:
        (folder / name).unlink()
    held = await ingestor.ingest([FolderSource(folder, max_bytes=MAX_BYTES)], tenant_id="t")
    assert (held.deleted, len(held.failed)) == (0, 1)
    report = await ingestor.ingest([FolderSource(folder, max_bytes=MAX_BYTES)], tenant_id="t", accept_removals=True)
    assert (report.deleted, report.failed, len(await stored(sessions))) == (8, (), 2)
    assert await state(sessions) == ("", set())


async def test_moved_files_are_no_loss(folder: Path, ingestor: Ingestor, sessions: Sessions) -> None:
    await ingestor.ingest([FolderSource(folder, max_bytes=MAX_BYTES)], tenant_id="t")
    (folder / "new").mkdir()
    for name in TEXTS:
        (folder / name).rename(folder / "new" / name)
    report = await ingestor.ingest([FolderSource(folder, max_bytes=MAX_BYTES)], tenant_id="t")
    assert (report.deleted, report.failed) == (10, ())
    assert sorted(await stored(sessions)) == sorted(f"handbook/new/{name}" for name in TEXTS)


async def test_unreadable_subfolder_is_a_failure_and_keeps_what_is_known(
    folder: Path, ingestor: Ingestor, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests may run as root, who can read everything, so the system call fails in its place."""
    (folder / "legal").mkdir()
    (folder / "legal" / "terms.md").write_text("# Terms\n\nNotice is two months.")
    await ingestor.ingest([FolderSource(folder, max_bytes=MAX_BYTES)], tenant_id="t")
    scandir = os.scandir

    def refused(path: Any) -> Any:
        if str(path).endswith("legal"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    report = await ingestor.ingest([FolderSource(folder, max_bytes=MAX_BYTES)], tenant_id="t")
    assert report.deleted == 0
    reasons = {one.source: one.error for one in report.failed}
    assert "Permission denied" in reasons["handbook/legal"]
    assert reasons[str(folder)].startswith("1 folder could not be read")
    assert "two months" in (await stored(sessions))["handbook/legal/terms.md"]


def put_pages(site: Site, number: int = 6) -> list[str]:
    paths = [f"/{n}" for n in range(number)]
    site.pages |= {path: html_page(f"The gate of hall {path} opens at {path}0.") for path in paths}
    listed = "".join(f"<url><loc>{site.url}{path}</loc></url>" for path in paths)
    site.pages["/map.xml"] = f"<urlset>{listed}</urlset>"
    return paths


async def test_sitemap_without_entries_removes_nothing(site: Site, ingestor: Ingestor, sessions: Sessions) -> None:
    put_pages(site)
    await ingestor.ingest([site.sitemap()], tenant_id="t")
    before = await stored(sessions)
    site.pages["/map.xml"], site.versions["/map.xml"] = "<urlset></urlset>", "2"
    report = await ingestor.ingest([site.sitemap()], tenant_id="t")
    assert (await stored(sessions), report.deleted) == (before, 0)
    assert "lists no pages" in report.failed[0].error
    assert "--accept-removals" in report.failed[0].error
    assert "lists no pages" in (await state(sessions))[0], "whoever added it is told"
    put_pages(site)
    site.versions["/map.xml"] = "3"
    back = await ingestor.ingest([site.sitemap()], tenant_id="t")
    assert (back.unchanged, back.deleted, await state(sessions)) == (6, 0, ("", set()))
    site.pages["/map.xml"], site.versions["/map.xml"] = "<urlset></urlset>", "4"
    accepted = await ingestor.ingest([site.sitemap()], tenant_id="t", accept_removals=True)
    assert (await stored(sessions), accepted.deleted, accepted.failed) == ({}, 6, ())


def site_source(site: Site, kind: str) -> Source:
    return site.sitemap() if kind == "sitemap" else site.crawl()


SIGN_INS = ["/login", "/accounts/login/?next=/1", "/users/sign_in", "/sso/start"]


@pytest.mark.parametrize(
    ("kind", "target"),
    # One address alone that shows a notice cannot be told from one that moved.
    [
        *((kind, target) for kind in ("sitemap", "crawl", "url") for target in SIGN_INS),
        ("sitemap", "/notice"),
        ("crawl", "/notice"),
    ],
)
async def test_redirect_of_all_pages_replaces_nothing(
    site: Site, ingestor: Ingestor, sessions: Sessions, kind: str, target: str
) -> None:
    paths = put_pages(site)
    site.pages |= {"/": html_page("start", *paths)}

    def source() -> Source:
        return site.one("/1") if kind == "url" else site_source(site, kind)

    await ingestor.ingest([source()], tenant_id="t")
    before = await stored(sessions)
    site.pages[target.partition("?")[0]] = html_page("Please sign in to see this page.")
    site.moved = dict.fromkeys(paths, target)
    report = await ingestor.ingest([source()], tenant_id="t")
    after = await stored(sessions)
    assert {name: after.get(name) for name in before} == before
    assert report.deleted == 0
    assert report.failed
    assert (await state(sessions))[0], "whoever added it is told"


@pytest.mark.parametrize("kind", ["sitemap", "crawl", "url"])
async def test_first_request_that_is_redirected_to_a_sign_in_is_told(
    site: Site, ingestor: Ingestor, sessions: Sessions, kind: str
) -> None:
    paths = put_pages(site)
    site.pages |= {"/": html_page("start", *paths), "/login": html_page("Please sign in.")}

    def source() -> Source:
        return site.one("/1") if kind == "url" else site_source(site, kind)

    first = await ingestor.ingest([source()], tenant_id="t")
    before = await stored(sessions)
    site.moved = {path: "/login" for path in site.pages if path != "/login"}
    report = await ingestor.ingest([source()], tenant_id="t")
    assert (await stored(sessions), report.deleted, len(report.failed)) == (before, 0, 1)
    assert "sign-in" in (await state(sessions))[0]
    site.moved = {}
    back = await ingestor.ingest([source()], tenant_id="t")
    assert (back.documents, back.deleted, await state(sessions)) == (first.documents, 0, ("", set()))


async def test_start_page_of_a_crawl_that_lost_its_links_keeps_its_text(
    site: Site, ingestor: Ingestor, sessions: Sessions
) -> None:
    paths = put_pages(site)
    site.pages["/"] = html_page("The policies of all halls.", *paths)
    await ingestor.ingest([site.crawl()], tenant_id="t")
    before = await stored(sessions)
    site.pages["/"], site.versions["/"] = html_page("We will be back soon."), "2"
    report = await ingestor.ingest([site.crawl()], tenant_id="t")
    assert (await stored(sessions), report.deleted) == (before, 0)
    accepted = await ingestor.ingest([site.crawl()], tenant_id="t", accept_removals=True)
    assert (accepted.deleted, len(await stored(sessions))) == (6, 1)


@pytest.mark.parametrize("kind", ["sitemap", "crawl"])
async def test_notice_with_status_200_replaces_nothing(
    site: Site, ingestor: Ingestor, sessions: Sessions, kind: str
) -> None:
    paths = put_pages(site)
    site.pages["/"] = html_page("start", *paths)
    await ingestor.ingest([site_source(site, kind)], tenant_id="t")
    before = await stored(sessions)
    for path in paths:
        site.pages[path], site.versions[path] = html_page("We are down for maintenance. Back soon."), "2"
    report = await ingestor.ingest([site_source(site, kind)], tenant_id="t")
    assert (await stored(sessions), report.deleted) == (before, 0)
    assert len(report.failed) == 6
    accepted = await ingestor.ingest([site_source(site, kind)], tenant_id="t", accept_removals=True)
    assert accepted.failed == ()
    assert sum("maintenance" in words for words in (await stored(sessions)).values()) == 6


async def test_fraction_of_a_page_does_not_replace_it(site: Site, ingestor: Ingestor, sessions: Sessions) -> None:
    words = " ".join(f"Rule {n} holds for everybody in building {n}." for n in range(60))
    site.pages["/rules"] = html_page(words)
    await ingestor.ingest([site.one("/rules")], tenant_id="t")
    before = await stored(sessions)
    site.pages["/rules"], site.versions["/rules"] = html_page("Scheduled maintenance."), "2"
    report = await ingestor.ingest([site.one("/rules")], tenant_id="t")
    assert (await stored(sessions), len(report.failed)) == (before, 1)
    assert "--accept-removals" in report.failed[0].error
    site.pages["/rules"], site.versions["/rules"] = html_page(words.replace("Rule 5 ", "Rule five ")), "3"
    edited = await ingestor.ingest([site.one("/rules")], tenant_id="t")
    assert edited.failed == ()
    assert "Rule five" in next(iter((await stored(sessions)).values()))


async def test_edits_of_a_site_are_stored(site: Site, ingestor: Ingestor, sessions: Sessions) -> None:
    paths = put_pages(site)
    await ingestor.ingest([site.sitemap()], tenant_id="t")
    for path in paths:
        site.pages[path], site.versions[path] = html_page(f"The gate of hall {path} is closed now."), "2"
    report = await ingestor.ingest([site.sitemap()], tenant_id="t")
    assert (report.documents, report.failed) == (6, ())
    assert all("closed now" in words for words in (await stored(sessions)).values())


async def test_private_conversation_that_was_stored_is_deleted(ingestor: Ingestor, sessions: Sessions) -> None:
    source = ListSource("list", markdown("dm.json", "The salary is 4711."), markdown("b.md", "words"))
    await ingestor.ingest([source], tenant_id="t")
    source.items = [Failure("dm.json", "it is private.", private=True), markdown("b.md", "words")]
    report = await ingestor.ingest([source], tenant_id="t")
    assert (list(await stored(sessions)), report.deleted) == (["b.md"], 1)


@pytest.mark.parametrize(("audiences", "listed"), [(None, True), (("tenant", "C1"), True), (("tenant", "C2"), False)])
async def test_a_source_that_is_held_back_is_listed_only_to_those_who_may_read_it(
    folder: Path, ingestor: Ingestor, sessions: Sessions, audiences: tuple[str, ...] | None, listed: bool
) -> None:
    source = FolderSource(folder, max_bytes=MAX_BYTES)
    await ingestor.ingest([source], tenant_id="t", audience="C1")
    for name in list(TEXTS)[:5]:
        (folder / name).unlink()
    await ingestor.ingest([FolderSource(folder, max_bytes=MAX_BYTES)], tenant_id="t", audience="C1")
    async with sessions("t") as session:
        found = await held_back_sources.list_sources(session, tenant_id="t", audiences=audiences)
    reasons = ["5 of 10 documents are gone from it, so nothing was removed. Check the source."] if listed else []
    assert [one.reason for one in found] == reasons
