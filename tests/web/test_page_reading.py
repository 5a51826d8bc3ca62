"""A site that is read for the page, over the real engine and the real worker: seen, stopped, and what it leaves."""

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
from knowledge import document_catalog
from tests.web.browser import browsing, complaints, every, needed, texts, typed, until
from tests.web.client import following
from tests.web.test_engine import THREAD, served

PAGES = 40


@dataclass
class Site:
    """A sitemap with pages, each handed out when it is let."""

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

    def let(self, pages: int) -> None:
        for _ in range(pages):
            self.gate.release()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    served_ = web.Application()
    served_.router.add_get("/{tail:.*}", made.answer)
    runner = web.AppRunner(served_, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    made.let(PAGES)
    await runner.cleanup()


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncIterator[App]:
    settings = load(database_url=database_url, data_dir=tmp_path, reranker="none", fetch_allow=("127.0.0.1",))
    async with open_app(settings) as opened, working(opened.services):
        yield opened


async def stored(app: App) -> int:
    async with app.database.tenant(LOCAL_TENANT) as session:
        return len(await document_catalog.list_documents(session, LOCAL_TENANT))


def _under_way(told: str) -> bool:
    """Whether something stands and more is to come."""
    return re.search(rf"[1-9]\d* of {PAGES} pages", told) is not None


def _documents(count: int) -> str:
    assert 0 < count < PAGES
    return "1 document " if count == 1 else f"{count} documents "


async def test_a_reading_is_stopped_by_what_its_card_names(app: App, site: Site) -> None:
    async with served(app) as address, aiohttp.ClientSession(address) as http, following(http) as stream:
        command = {"thread": THREAD, "command": "ingest", "args": f"sitemap:{site.url}/sitemap.xml"}
        async with http.post("/api/command", json=command) as response:
            assert response.status == 202
        await stream.until(lambda seen: bool(seen.of("command")))
        site.let(2)
        await stream.until(lambda seen: any(_under_way(note) for note in seen.of("command")[0]["notes"]))
        (card,) = stream.of("command")
        wrong = {"thread": THREAD, "reading": "0123abcd"}
        async with http.post("/api/readings/stop", json=wrong) as response:
            assert (response.status, "already ended" in (await response.json())["error"]) == (400, True)
        async with http.post("/api/readings/stop", json={"thread": THREAD, "reading": card["reading"]}) as response:
            assert response.status == 200
        site.let(3)
        await stream.ended("command")
        (card,) = stream.of("command")
    assert "Stopped early; documents added so far stay." in stream.text("command")
    assert (card["actions"], card["reading"]) == ([], "")
    assert f"Added {_documents(await stored(app))}" in stream.text("command")
    assert len(site.asked) <= 5, "the rest is not fetched"


@needed
async def test_a_person_sees_how_far_it_is_and_stops_it(app: App, site: Site, tmp_path: Path) -> None:
    async with served(app) as address, browsing(address, tmp_path / "profile") as chrome:
        await until(chrome, lambda driver: texts(driver, "#line") == ["connected"])
        await typed(chrome, f"/ingest sitemap:{site.url}/sitemap.xml\n")
        site.let(3)
        await until(chrome, lambda driver: _under_way("".join(texts(driver, ".card .notes"))))
        (stop,) = await until(chrome, lambda driver: every(driver, '.card [data-do="stop"]'))
        await asyncio.to_thread(stop.click)
        site.let(3)
        await until(chrome, lambda driver: "Stopped early" in "".join(texts(driver, ".card .body")))
        assert every(chrome, '.card [data-do="stop"]') == []
        assert f"Added {_documents(await stored(app))}" in "".join(texts(chrome, ".card .body"))
        assert len(site.asked) <= 6, "the rest is not fetched"
        assert complaints(chrome) == []
