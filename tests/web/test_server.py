"""Tests the start and the end of the page's server, and its probes."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from bot.errors import ConfigError
from bot.platforms.web import app
from tests.web.client import Stream
from tests.web.conftest import CONFIG, Running
from tests.web.fakes import ScriptedDispatcher, scripted_playground


async def test_probes(page: Running, http: aiohttp.ClientSession) -> None:
    async with http.get("/healthz", headers={"Host": "10.0.0.5"}) as response:
        assert response.status == 200
    async with http.get("/readyz") as response:
        assert response.status == 200
    page.playground.history.broken = True  # type: ignore[attr-defined]
    async with http.get("/readyz") as response:
        assert (response.status, await response.text()) == (
            503,
            "The database is not reachable. Start it, or correct DATABASE_URL.",
        )


async def test_a_taken_port_raises_a_config_error(page: Running) -> None:
    port = int(page.address.rsplit(":", 1)[1])
    with pytest.raises(ConfigError, match=rf"^Port {port} is taken\. Choose another with --port\.$"):
        await app.run(
            scripted_playground(ScriptedDispatcher(asyncio.Event().wait)), CONFIG, host="127.0.0.1", port=port
        )


@pytest.mark.parametrize(("host", "port"), [("no-such-host.invalid", 0), ("127.0.0.1", 70_000), ("192.0.2.1", 0)])
async def test_an_unusable_address_raises_a_config_error(host: str, port: int) -> None:
    with pytest.raises(ConfigError, match="Choose"):
        await app.run(scripted_playground(ScriptedDispatcher(asyncio.Event().wait)), CONFIG, host=host, port=port)


async def test_shutdown_ends_open_event_streams(page: Running, http: aiohttp.ClientSession) -> None:
    ended: list[Stream] = []

    async def watch() -> None:
        async with http.get("/api/events") as response:
            ready.set()
            await response.read()
            ended.append(Stream())

    ready = asyncio.Event()
    watching = asyncio.create_task(watch())
    await ready.wait()
    page.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await page.task
    await watching
    assert len(ended) == 1
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.get("/")
