"""Tests that the pages of a PDF are shown as pictures with the quote marked, to those who may read the document."""

from __future__ import annotations

import io
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from PIL import Image
from selenium.webdriver.common.keys import Keys
from sqlalchemy import text

from bot.app import App
from bot.errors import UsageError
from bot.platforms.web.document_pictures import PAGES_AT_ONCE, StoredDocumentPages, quotes_by_page
from bot.store.database.session import Database
from bot.types.conversation import LOCAL_TENANT, Author
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.parsing.page_display import QuoteOnPage
from knowledge.store import document_files
from knowledge.store.document_windows import PageStart, Window
from knowledge.store.file_parts import PartsTable
from tests.knowledge.parsing.test_pdf import lines, pdf_of
from tests.web.accessibility import faults
from tests.web.browser import (
    browsing,
    click,
    console_errors,
    find_all,
    look,
    requires_chromium,
    shown,
    texts,
    type_keys,
    wait_until,
)
from tests.web.client import post
from tests.web.serving import served
from tests.web.test_document_viewer import ADMIN, MEMBER, QUOTE, store

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PAGES = 2 * PAGES_AT_ONCE + 5


@pytest.fixture
async def pages(database: Database) -> AsyncIterator[StoredDocumentPages]:
    found = StoredDocumentPages(database.tenant, Parser())
    yield found
    await found.aclose()


async def add_file(database: Database, document: str, data: bytes) -> None:
    async with database.tenant(LOCAL_TENANT) as session:
        await document_files.replace_files(session, LOCAL_TENANT, {uuid.UUID(document): data})


def window(text: str, start: int, quote_start: int | None, starts: Sequence[int]) -> Window:
    pages = tuple(PageStart(begin, number) for number, begin in enumerate(starts, 1))
    return Window("id", "t", "s", NOW, 1000, start, text, quote_start, pages)


def test_a_quote_is_divided_where_a_page_ends() -> None:
    whole = "five days. Then five days. And more."
    assert quotes_by_page(window(whole, 0, 16, [0, 21]), 14) == {
        1: QuoteOnPage("five ", 1),
        2: QuoteOnPage("days. And"),
    }
    assert quotes_by_page(window(whole, 500, 516, [100, 521]), 5) == {1: QuoteOnPage("five ", 1)}
    assert quotes_by_page(window(whole, 0, None, [0]), 5) == {}
    assert quotes_by_page(window(whole, 0, 3, []), 5) == {}, "a document without pages"


async def test_the_quote_is_marked_on_its_page(database: Database, pages: StoredDocumentPages) -> None:
    document = await store(database, f"Trains come first here, in many words.\n{QUOTE}")
    await add_file(
        database, document, pdf_of(lines("Trains come first here,", "in many words."), lines("Hotels", QUOTE))
    )
    view = await pages.layouts(document, MEMBER, quote=QUOTE, start=39)
    assert [(page.number, page.label, len(page.areas)) for page in view.pages] == [(1, "1", 0), (2, "2", 1)]
    assert (view.earlier, view.later) == (None, None)
    picture = Image.open(io.BytesIO(await pages.picture(document, MEMBER, 2)))
    assert (picture.format, picture.height) == ("PNG", 1600)


async def test_the_file_of_a_window_full_of_pages_is_read_once_and_only_for_those_who_may_read_it(
    database: Database, pages: StoredDocumentPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = await store(database, QUOTE, audience="C-board")
    await add_file(database, document, pdf_of(lines(QUOTE), lines("More")))
    read, reads = PartsTable.read, []

    async def counted(self: PartsTable, *given: Any) -> bytes:
        reads.append(given)
        return await read(self, *given)

    monkeypatch.setattr(PartsTable, "read", counted)
    await pages.layouts(document, ADMIN, quote=QUOTE)
    first = [await pages.picture(document, ADMIN, number) for number in (1, 2)]
    assert len(reads) == 1
    with pytest.raises(UsageError):
        await pages.picture(document, MEMBER, 1)
    async with database.tenant(LOCAL_TENANT) as session:
        await session.execute(text("UPDATE documents SET content_hash = 'changed'"))
    await add_file(database, document, pdf_of(lines("Another file")))
    assert await pages.picture(document, ADMIN, 1) not in first


async def test_many_pages_are_read_in_parts(database: Database, pages: StoredDocumentPages) -> None:
    document = await store(database, QUOTE)
    await add_file(database, document, pdf_of(*[lines(f"Page {number}") for number in range(PAGES)]))
    numbers: list[int] = []
    first: int | None = 1
    while first is not None:
        part = await pages.layouts(document, MEMBER, first=first)
        numbers += [page.number for page in part.pages]
        first = part.later
    assert numbers == list(range(1, PAGES + 1))
    last = await pages.layouts(document, MEMBER, first=PAGES)
    assert last.earlier == PAGES - PAGES_AT_ONCE
    assert (await pages.layouts(document, MEMBER, first=3)).earlier == 1


async def test_only_those_who_may_read_a_document_see_its_pages(database: Database, pages: StoredDocumentPages) -> None:
    data = pdf_of(lines(QUOTE))
    public, board = await store(database, QUOTE), await store(database, QUOTE, audience="C-board")
    without = await store(database, QUOTE, audience="playground")
    other = await store(database, QUOTE, tenant="slack:T1")
    for document in (public, board):
        await add_file(database, document, data)
    async with database.tenant("slack:T1") as session:
        await document_files.replace_files(session, "slack:T1", {uuid.UUID(other): data})
    for document, author in ((public, MEMBER), (board, ADMIN)):
        assert (await pages.layouts(document, author, quote=QUOTE)).pages[0].areas
        assert await pages.picture(document, author, 1)
    refusals = set()
    refused: tuple[tuple[str, Author], ...] = ((board, MEMBER), (other, ADMIN), (without, ADMIN), ("nonsense", MEMBER))
    for document, author in refused:
        with pytest.raises(UsageError) as layouts:
            await pages.layouts(document, author, quote=QUOTE)
        with pytest.raises(UsageError) as picture:
            await pages.picture(document, author, 1)
        refusals |= {str(layouts.value), str(picture.value)}
    assert len(refusals) == 1, "a refusal does not tell whether the document exists"


async def test_a_page_that_cannot_be_drawn_is_refused_in_a_line(database: Database, pages: StoredDocumentPages) -> None:
    document = await store(database, QUOTE)
    await add_file(database, document, b"%PDF-1.4 and nothing more")
    for call in (pages.layouts(document, MEMBER), pages.picture(document, MEMBER, 1)):
        with pytest.raises(UsageError, match="Read its text instead"):
            await call


async def test_pages_over_http(handbook_app: App, database: Database) -> None:
    async with database.tenant(LOCAL_TENANT) as session:
        document = await session.scalar(text("SELECT id FROM documents"))
    async with served(handbook_app) as address, aiohttp.ClientSession(address) as http:
        status, view = await post(http, f"/api/documents/{document}", {})
        assert (status, view["has_pages"]) == (200, True)
        status, view = await post(http, f"/api/documents/{document}/pages", {"quote": "On-call rotation"})
        assert (status, [bool(page["areas"]) for page in view["pages"]]) == (200, [False, True, False])
        async with http.get(f"/api/documents/{document}/pages/2") as response:
            assert (response.status, response.content_type) == (200, "image/png")
            assert response.headers["Cache-Control"] == "no-store"
            assert Image.open(io.BytesIO(await response.read())).height == 1600
        for path in (
            f"{document}/pages/9",
            f"{uuid.uuid4()}/pages/1",
            f"{document}/pages/{2**70}",
            f"{document}/pages/{'9' * 5000}",
        ):
            async with http.get(f"/api/documents/{path}") as response:
                assert response.status == 400
                assert "error" in await response.json()
        status, found = await post(http, f"/api/documents/{document}/pages", {"first": -1})
        assert (status, "could not read" in found["error"]) == (400, True)


@requires_chromium
async def test_a_citation_opens_the_page_of_its_quote(handbook_app: App) -> None:
    async with served(handbook_app) as address, browsing(address) as driver:
        await wait_until(driver, lambda driver: texts(driver, "#connection") == ["connected"])
        await type_keys(driver, "How fast must the on-call engineer acknowledge a SEV-1 at night?", Keys.ENTER)
        await wait_until(driver, lambda driver: find_all(driver, ".msg.assistant.final .sources li"))
        await click(driver, ".sources button")
        is_shown = """
            const area = document.querySelector("#viewer[open] .area");
            const picture = area?.parentElement.querySelector("img");
            const at = area?.getBoundingClientRect();
            return Boolean(picture?.complete && picture.naturalWidth > 500 && at.top > 0 && at.bottom < innerHeight
                && at.width > 20);
        """
        await wait_until(driver, lambda driver: driver.execute_script(is_shown))
        assert await shown(driver, "#viewer-mode [aria-pressed=true]") == ["Pages"]
        assert await faults(driver, name="document-pages") == []
        await click(driver, "#viewer-mode [data-mode=text]")
        await wait_until(driver, lambda driver: any("SEV-1" in one for one in texts(driver, "#viewer-text mark")))
        assert await shown(driver, "#viewer-mode [aria-pressed=true]") == ["Text"]
        assert not await look(driver, lambda driver: driver.find_element("id", "viewer-pages").is_displayed())
        await click(driver, "#viewer-mode [data-mode=pages]")
        await wait_until(driver, lambda driver: driver.execute_script(is_shown))
        assert await look(driver, console_errors) == []
