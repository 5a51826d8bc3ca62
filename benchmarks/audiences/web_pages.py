"""Requests every page of the playground with IDs from chat channels, with and without a sign-in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp

from bot.app import App
from tests.web.serving import served

READ_SECONDS = 0.5
"""How long the event stream is read. It never ends."""


async def pages(app: App, thread_id: str, turn_ids: Mapping[str, str]) -> dict[str, str]:
    """Return what each page shows, by who asked and the page. ``turn_ids`` are answers of a chat channel."""
    token = app.settings.web_token
    assert token is not None
    shown: dict[str, str] = {}
    async with served(app) as address:
        for person in ("nobody", "signed in"):
            async with aiohttp.ClientSession(address, cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
                if person == "signed in":
                    form = {"token": token.get_secret_value()}
                    async with http.post("/login", data=form, headers={"Origin": address.rstrip("/")}) as signed:
                        assert signed.status < 400, await signed.text()
                for page, body in (await _every_page(http, thread_id, turn_ids)).items():
                    shown[f"{person}, {page}"] = body
    return shown


async def _every_page(http: aiohttp.ClientSession, thread_id: str, turn_ids: Mapping[str, str]) -> dict[str, str]:
    names = ("/", "/api/state", "/api/threads", f"/api/threads/{thread_id}", f"/api/files/{thread_id}", "/healthz")
    found = {name.replace(thread_id, "ID"): await _text(http, "GET", name) for name in (*names, "/readyz", "/metrics")}
    found["/api/events"] = await _text(http, "GET", "/api/events")
    for kind, turn_id in turn_ids.items():
        for action in ("why", "sources", "again", "strong", "up", "stop"):
            path = f"/api/turns/{turn_id}/{action}"
            found[f"{action} of a {kind} answer"] = await _text(http, "POST", path, {"thread": "thread-0001"})
        for name in ("why", "sources"):
            command = {"thread": "thread-0001", "text": f"/{name} {turn_id}", "id": f"{name}-{turn_id}"}
            found[f"/{name} of a {kind} answer"] = await _text(http, "POST", "/api/command", command)
    found["/api/events afterwards"] = await _text(http, "GET", "/api/events")
    return found


async def _text(http: aiohttp.ClientSession, method: str, path: str, body: object = None) -> str:
    """Return the body of the response, or as much of a stream as arrives at once."""
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(READ_SECONDS if path == "/api/events" else 30):
            async with http.request(method, path, json=body, allow_redirects=False) as response:
                while part := await response.content.readany():
                    parts.append(part)
    except TimeoutError:
        pass
    return b"".join(parts).decode(errors="replace")
