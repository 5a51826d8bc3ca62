"""Tests the progress and the Stop button of an ingestion, with the real engine and worker."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bot.app import App, open_app
from bot.config import load
from bot.jobs import working
from bot.types.conversation import LOCAL_TENANT
from knowledge.store import document_catalog
from tests.web.browser import (
    browsing,
    click,
    console_errors,
    look,
    requires_chromium,
    shown,
    texts,
    type_keys,
    wait_until,
)
from tests.web.client import following
from tests.web.serving import served
from tests.web.test_with_real_engine import THREAD

PAGES = 40


@dataclass
class Site:
    """A web site with a sitemap. Each page is served once ``release`` allows it."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/sitemap.xml":
            places = "".join(f"<url><loc>{self.url}/{number}</loc></url>" for number in range(PAGES))
            namespace = "http://www.sitemaps.org/schemas/sitemap/0.9"
            return web.Response(text=f'<urlset xmlns="{namespace}">{places}</urlset>', content_type="text/xml")
        if request.path == "/robots.txt":
            return web.Response(status=404)
        await self.gate.acquire()
        self.asked.append(request.path)
        page = f"<html><title>Rule {request.path}</title><body><p>Bicycle {request.path} is red.</p></body></html>"
        return web.Response(text=page, content_type="text/html")

    def release(self, pages: int) -> None:
        for _ in range(pages):
            self.gate.release()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    application = web.Application()
    application.router.add_get("/{tail:.*}", site.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield site
    site.release(PAGES)
    await runner.cleanup()


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncIterator[App]:
    settings = load(database_url=database_url, data_dir=tmp_path, reranker="none", fetch_allow=("127.0.0.1",))
    async with open_app(settings) as opened, working(opened.services):
        yield opened


async def stored(app: App) -> int:
    async with app.database.tenant(LOCAL_TENANT) as session:
        return len(await document_catalog.list_documents(session, LOCAL_TENANT))


def _in_progress(text: str) -> bool:
    """Return whether some pages have been read and more follow."""
    return re.search(rf"[1-9]\d* of {PAGES} pages", text) is not None


def _documents(count: int) -> str:
    assert 0 < count < PAGES
    return "1 document " if count == 1 else f"{count} documents "


async def test_an_ingestion_is_stopped_by_the_id_in_its_message(app: App, site: Site) -> None:
    async with served(app) as address, aiohttp.ClientSession(address) as http, following(http) as stream:
        command = {"thread": THREAD, "command": "ingest", "args": f"sitemap:{site.url}/sitemap.xml"}
        async with http.post("/api/command", json=command) as response:
            assert response.status == 202
        await stream.until(lambda seen: bool(seen.of("command")))
        site.release(2)
        await stream.until(lambda seen: any(_in_progress(note) for note in seen.of("command")[0]["notes"]))
        (card,) = stream.of("command")
        wrong = {"thread": THREAD, "reading": "0123abcd"}
        async with http.post("/api/readings/stop", json=wrong) as response:
            assert (response.status, "already ended" in (await response.json())["error"]) == (400, True)
        async with http.post("/api/readings/stop", json={"thread": THREAD, "reading": card["reading"]}) as response:
            assert response.status == 200
        site.release(3)
        await stream.ended("command")
        (card,) = stream.of("command")
    assert "Stopped early. Documents added so far stay." in stream.text("command")
    assert (card["actions"], card["reading"]) == ([], "")
    assert f"Added {_documents(await stored(app))}" in stream.text("command")
    assert len(site.asked) <= 5, "the rest is not fetched"


@requires_chromium
async def test_the_page_shows_progress_and_stops_the_ingestion(app: App, site: Site) -> None:
    async with served(app) as address, browsing(address) as chrome:
        await wait_until(chrome, lambda driver: texts(driver, "#connection") == ["connected"])
        await type_keys(chrome, f"/ingest sitemap:{site.url}/sitemap.xml\n")
        site.release(3)
        await wait_until(chrome, lambda driver: _in_progress("".join(texts(driver, ".card .notes"))))
        await click(chrome, '.card [data-action="stop"]')
        site.release(3)
        await wait_until(chrome, lambda driver: "Stopped early" in "".join(texts(driver, ".card .body")))
        assert await shown(chrome, '.card [data-action="stop"]') == []
        assert f"Added {_documents(await stored(app))}" in "".join(await shown(chrome, ".card .body"))
        assert len(site.asked) <= 6, "the rest is not fetched"
        assert await look(chrome, console_errors) == []
