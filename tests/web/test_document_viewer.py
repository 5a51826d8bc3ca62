"""Tests that a citation opens its document at the quoted passage, for those who may read the document."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime

import aiohttp
import pytest
from selenium import webdriver
from selenium.webdriver.common.keys import Keys
from sqlalchemy import insert

from bot.errors import UsageError
from bot.platforms.web.document_viewer import Segment, StoredDocuments
from bot.store.database.session import Database
from bot.types.conversation import LOCAL_TENANT, Author
from knowledge.store.document_windows import WINDOW_CHARS
from knowledge.store.schema import documents, sources
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
from tests.web.conftest import Running
from tests.web.fake_documents import TRAVEL
from tests.web.fakes import PIECES

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
QUOTE = "The limit is 220 EUR."
CELLS = ["London, Zurich, Copenhagen", "220 EUR"]
"""The cells of the row that the first source quotes."""
MEMBER, ADMIN = Author("ben", "Ben"), Author("you", "You", is_admin=True)


async def store(database: Database, text: str, *, audience: str = "tenant", tenant: str = LOCAL_TENANT) -> str:
    """Store a document whose second page begins in the middle, and return its ID."""
    source, document = uuid.uuid4(), uuid.uuid4()
    named = {"tenant_id": tenant, "audience": audience}
    async with database.tenant(tenant) as session:
        await session.execute(
            insert(sources).values(**named, id=source, uri="/travel.pdf", kind="file", fetched_at=NOW)
        )
        places = [[0, 1, ["Travel"]], [0, 1, ["Travel", "Trains"]], [len(text) // 2, 2, ["Travel", "Hotels"]]]
        await session.execute(
            insert(documents).values(
                **named, id=document, source_id=source, uri="/travel.pdf", title="Travel", text=text, blocks=places,
                metadata={}, content_hash="x", recipe="x", state="ready", fetched_at=NOW, dated_at=NOW,
            )
        )  # fmt: skip
    return str(document)


async def test_the_quote_and_the_pages_are_marked_in_the_text(database: Database) -> None:
    text = f"Trains first.\n{QUOTE}\nThe end of it all."
    document = await store(database, text)
    view = await StoredDocuments(database.tenant).view(document, MEMBER, quote=QUOTE, start=14)
    half = len(text) // 2
    assert view.segments == (
        Segment("Trains first.\n", 1),
        Segment(text[14:half], 1, quoted=True),
        Segment(text[half : 14 + len(QUOTE)], 2, quoted=True),
        Segment("\nThe end of it all.", 2),
    )
    assert (view.title, view.source, view.found, view.earlier, view.later) == (
        "Travel",
        "/travel.pdf",
        True,
        None,
        None,
    )


async def test_a_quote_is_found_where_it_has_moved_to_and_missed_if_it_is_gone(database: Database) -> None:
    document = await store(database, f"More. More. {QUOTE} End.")
    viewer = StoredDocuments(database.tenant)
    moved = await viewer.view(document, MEMBER, quote=QUOTE, start=0)
    assert "".join(segment.text for segment in moved.segments if segment.quoted) == QUOTE
    gone = await viewer.view(document, MEMBER, quote="Nobody wrote this.", start=5)
    assert (gone.found, any(segment.quoted for segment in gone.segments)) == (False, False)
    assert gone.segments[0].text.startswith("More.")


async def test_a_long_document_is_read_in_parts(database: Database) -> None:
    text = f"{'a' * 100_000}{QUOTE}{'b' * 100_000}"
    document = await store(database, text)
    viewer = StoredDocuments(database.tenant)
    view = await viewer.view(document, MEMBER, quote=QUOTE, start=100_000)
    assert view.later is not None
    assert view.earlier is not None
    parts = [view]
    while parts[0].earlier is not None:
        parts.insert(0, await viewer.view(document, MEMBER, quote=QUOTE, start=100_000, at=parts[0].earlier))
    first = "".join(segment.text for segment in parts[0].segments)
    assert (len(first), set(first)) == (WINDOW_CHARS, {"a"})
    part = await viewer.view(document, MEMBER, quote=QUOTE, start=100_000, at=0)
    pieces = [*part.segments]
    while part.later is not None:
        part = await viewer.view(document, MEMBER, quote=QUOTE, start=100_000, at=part.later)
        pieces += part.segments
    assert "".join(segment.text for segment in pieces) == text
    beyond = await viewer.view(document, MEMBER, at=2**31 - 2)
    assert "".join(segment.text for segment in beyond.segments) == "b"


async def test_only_those_who_may_read_a_document_see_it(database: Database) -> None:
    viewer = StoredDocuments(database.tenant)
    public, here = await store(database, QUOTE), await store(database, QUOTE, audience="playground")
    board = await store(database, QUOTE, audience="C-board")
    other = await store(database, QUOTE, tenant="slack:T1")
    for document in (public, here):
        assert (await viewer.view(document, MEMBER, quote=QUOTE)).found
    assert (await viewer.view(board, ADMIN, quote=QUOTE)).found
    refusals = set()
    for document, author in ((board, MEMBER), (other, ADMIN), (str(uuid.uuid4()), MEMBER), ("nonsense", MEMBER)):
        with pytest.raises(UsageError) as refused:
            await viewer.view(document, author, quote=QUOTE)
        refusals.add(str(refused.value))
    assert len(refusals) == 1, "a refusal does not tell whether the document exists"


@pytest.mark.parametrize("body", [{"start": -1}, {"start": "1"}, {"at": True}, {"at": 2**40}, {"quote": 1}])
async def test_a_wrong_offset_is_refused(http: aiohttp.ClientSession, body: dict[str, object]) -> None:
    status, found = await post(http, f"/api/documents/{TRAVEL}", body)
    assert (status, "could not read" in found["error"]) == (400, True)


@requires_chromium
async def test_a_citation_opens_its_document_at_the_quote(page: Running) -> None:
    async with browsing(page.address) as driver:
        await wait_until(driver, lambda driver: texts(driver, "#connection") == ["connected"])
        page.release(len(PIECES))
        await type_keys(driver, "What is the limit?", Keys.ENTER)
        await wait_until(driver, lambda driver: find_all(driver, ".msg.assistant.final .sources li"))
        await click(driver, ".sources button")
        await wait_until(driver, lambda driver: texts(driver, "#viewer[open] mark") == CELLS)
        is_in_view = """
            const at = document.querySelector("#viewer mark").getBoundingClientRect();
            return at.top > 0 && at.bottom < innerHeight;
        """
        await wait_until(driver, lambda driver: driver.execute_script(is_in_view))
        assert await shown(driver, "#viewer .page-number") == ["page 1", "page 2"]
        assert await shown(driver, "#viewer .heading") == ["Expenses and travel", "Hotels"]
        assert await shown(driver, "#viewer .part") == ["Show the part after"]
        await asyncio.to_thread(webdriver.ActionChains(driver).send_keys(Keys.ESCAPE).perform)
        await wait_until(driver, lambda driver: not find_all(driver, "#viewer[open]"))
        focused = "return document.activeElement === document.querySelector('.sources button')"
        assert await look(driver, lambda driver: driver.execute_script(focused))

        await click(driver, ".cite")
        await click(driver, ".open-document")
        await wait_until(driver, lambda driver: texts(driver, "#viewer[open] mark") == CELLS)
        await click(driver, "#viewer-close")
        await click(driver, ".cite", 1)
        assert await shown(driver, "#passage .open-document") == [], "this source has no document"
        assert await look(driver, console_errors) == []
