"""Serves a playground with a scripted dispatcher on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from bot.app import App, open_app
from bot.config import load
from bot.jobs import working
from bot.platforms.web import app
from bot.platforms.web.api import PageConfig
from bot.platforms.web.playground import Playground
from bot.types.conversation import LOCAL_TENANT
from knowledge import sample
from knowledge.sources.source_factory import open_source
from tests.web.browser import Chrome, browsing, texts, wait_until
from tests.web.fakes import ScriptedDispatcher, scripted_playground

CONFIG = PageConfig(True, 1_048_576, 2000)


@pytest.fixture(autouse=True)
def _no_response_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that closes a session while one of its responses is neither read nor closed.

    The connection of such a response becomes garbage, whose warning fails some later test.
    """
    close = aiohttp.ClientSession.close

    async def checked(session: aiohttp.ClientSession) -> None:
        connector = session.connector
        left = len(connector._acquired) if connector is not None else 0
        await close(session)
        assert left == 0, f"{left} responses are neither read nor closed"

    monkeypatch.setattr(aiohttp.ClientSession, "close", checked)


@dataclass
class Running:
    """The running server. ``release`` lets the dispatcher write its next pieces."""

    address: str
    playground: Playground
    dispatcher: ScriptedDispatcher
    gate: asyncio.Semaphore
    task: asyncio.Task[None]

    def release(self, pieces: int) -> None:
        for _ in range(pieces):
            self.gate.release()


@pytest.fixture
async def page() -> AsyncIterator[Running]:
    gate = asyncio.Semaphore(0)

    async def before_piece() -> None:
        await gate.acquire()

    dispatcher = ScriptedDispatcher(before_piece)
    playground = scripted_playground(dispatcher)
    ready = asyncio.Event()
    found: list[str] = []
    task = asyncio.create_task(
        app.run(playground, CONFIG, host="127.0.0.1", port=0, ready=ready, bound=found.append, resume_interval=0.05)
    )
    async with asyncio.timeout(60):
        await ready.wait()
    yield Running(found[0], playground, dispatcher, gate, task)
    task.cancel()
    for running in dispatcher.running.values():
        running.cancel()
    await asyncio.gather(task, *dispatcher.running.values(), return_exceptions=True)


@pytest.fixture
async def chrome(page: Running) -> AsyncIterator[Chrome]:
    """A browser whose page is connected."""
    async with browsing(page.address) as driver:
        await wait_until(driver, lambda driver: texts(driver, "#connection") == ["connected"])
        yield driver


@pytest.fixture
async def http(page: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(page.address) as session:
        yield session


@pytest.fixture
async def handbook_app(database_url: str, tmp_path: Path) -> AsyncIterator[App]:
    """An application without a model, whose one document is the sample's PDF file."""
    settings = load(database_url=database_url, data_dir=tmp_path, reranker="none")
    async with open_app(settings) as opened, working(opened.services):
        source = open_source(str(sample.path() / "incident-handbook.pdf"), fetch_allow=(), max_bytes=10**7, files=True)
        report = await opened.ingestor.ingest([source], tenant_id=LOCAL_TENANT)
        assert (report.documents, report.failed) == (1, ())
        yield opened
