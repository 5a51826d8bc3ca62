"""The server's side of the event stream: it sends heartbeats, and drops a page that no longer reads."""

from __future__ import annotations

import asyncio
import itertools
import socket
import sys
from urllib.parse import urlsplit

import aiohttp
import pytest

from bot.platforms.web import api, uvicorn_server
from bot.platforms.web.json_views import MessageView
from tests.web.client import get
from tests.web.conftest import Running

LARGE = "x" * 1_000_000
"""More than what the buffers of both ends hold."""
PATIENCE = 60
"""Seconds to wait for what a busy machine does late."""


async def test_a_quiet_stream_has_heartbeats_at_the_interval_that_the_page_is_told(
    page: Running, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "HEARTBEAT_SECONDS", 0.05)
    _, told = await get(http, "/api/state")
    assert told["heartbeat_seconds"] == 0.05
    beats = 0
    async with asyncio.timeout(PATIENCE), http.get("/api/events") as stream:
        async for line in stream.content:
            beats += line == b"event: heartbeat\n"
            if beats == 3:
                break
    assert beats == 3


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second without an acknowledgment ends a connection. The server reads this when it begins to listen."""
    monkeypatch.setattr(uvicorn_server, "UNACKNOWLEDGED_MS", 500)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason=f"{sys.platform} has no TCP_USER_TIMEOUT")
async def test_a_page_that_no_longer_reads_is_dropped(impatient: None, page: Running) -> None:
    """Its computer sleeps, or its network is gone: nobody closes the connection, and nothing that is sent arrives."""
    address = urlsplit(page.address)
    with socket.socket() as dead:
        dead.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        dead.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(dead, (address.hostname, address.port))
        await loop.sock_sendall(dead, f"GET /api/events HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        hub = page.playground.hub
        async with asyncio.timeout(PATIENCE):
            while not hub.open_streams:
                await asyncio.sleep(0.01)
            for number in itertools.count():
                if not hub.open_streams:
                    break
                hub.put_message(MessageView("m", "t", "assistant", "Parley", "", (f"{number}{LARGE}",), final=False))
                await asyncio.sleep(0.05)
