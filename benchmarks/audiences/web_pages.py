"""Requests every page of the playground with IDs from chat channels: without a sign-in, by token, and by a proxy.

The people whom the proxy names are members, an admin, and some who may not sign in. Each of them also runs commands,
whose replies nobody else may see.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import aiohttp

from bot.app import App
from tests.web.serving import served

READ_SECONDS = 0.5
"""How long the event stream is read. It never ends."""
THREAD = "thread-0001"
PROXY = {
    "web_token": None,
    "web_proxy_header": "X-User",
    "web_proxy_groups_header": "X-Groups",
    "web_trusted_proxies": ("127.0.0.1",),
    "web_admin_groups": ("admins",),
    "web_member_groups": ("staff",),
    "web_url": "https://parley.example",
}
PEOPLE: Mapping[str, Mapping[str, str]] = {
    "proxy, member ann": {"X-User": "ann", "X-Groups": "staff"},
    "proxy, member ben": {"X-User": "ben", "X-Groups": "staff, visitors"},
    "proxy, admin": {"X-User": "boss", "X-Groups": "staff, admins"},
    "proxy, visitor": {"X-User": "vic", "X-Groups": "visitors"},
    "proxy, no group": {"X-User": "leo"},
    "proxy, no name": {"X-Groups": "admins"},
}
MEMBERS = frozenset({"proxy, member ann", "proxy, member ben"})
ADMINS = frozenset({"signed in", "proxy, admin"})


async def pages(
    app: App, thread_id: str, turn_ids: Mapping[str, str], private: Mapping[str, str]
) -> dict[tuple[str, str], str]:
    """Return what each page shows, by who asked and the page.

    ``turn_ids`` are answers of a chat channel. ``private`` has a word for each of ``PEOPLE``, who uses it in a command.
    """
    token = app.settings.web_token
    assert token is not None
    shown: dict[tuple[str, str], str] = {}
    async with served(app) as address:
        for person in ("nobody", "signed in"):
            async with aiohttp.ClientSession(address, cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
                if person == "signed in":
                    form = {"token": token.get_secret_value()}
                    async with http.post("/login", data=form, headers={"Origin": address.rstrip("/")}) as signed:
                        assert signed.status < 400, await signed.text()
                for page, body in (await _every_page(http, thread_id, turn_ids)).items():
                    shown[person, page] = body
    async with served(app, app.settings.model_copy(update=PROXY)) as address:
        for person, headers in PEOPLE.items():
            async with aiohttp.ClientSession(address, headers=headers) as http:
                await _command(http, "ask", f"Is {private[person]} the code word of the harbor master?")
        for person, headers in PEOPLE.items():
            async with aiohttp.ClientSession(address, headers=headers) as http:
                for page, body in (await _every_page(http, thread_id, turn_ids)).items():
                    shown[person, page] = body
    return shown


async def _every_page(http: aiohttp.ClientSession, thread_id: str, turn_ids: Mapping[str, str]) -> dict[str, str]:
    names = ("/", "/api/state", "/api/threads", f"/api/threads/{thread_id}", f"/api/files/{thread_id}", "/healthz")
    found = {name.replace(thread_id, "ID"): await _text(http, "GET", name) for name in (*names, "/readyz", "/metrics")}
    found["/api/events"] = await _text(http, "GET", "/api/events?last=0-0")
    for kind, turn_id in turn_ids.items():
        for action in ("why", "sources", "again", "strong", "up", "stop"):
            path = f"/api/turns/{turn_id}/{action}"
            found[f"{action} of a {kind} answer"] = await _text(http, "POST", path, {"thread": THREAD})
        for name in ("why", "sources"):
            found[f"/{name} of a {kind} answer"] = await _command(http, name, turn_id)
    found["/api/events afterwards"] = await _text(http, "GET", "/api/events?last=0-0")
    found["conversation afterwards"] = await _text(http, "GET", f"/api/threads/{THREAD}")
    found["conversations afterwards"] = await _text(http, "GET", "/api/threads")
    return found


async def _command(http: aiohttp.ClientSession, name: str, args: str) -> str:
    """Run a command and return its reply, or the refusal."""
    began = await _text(http, "POST", "/api/command", {"thread": THREAD, "command": name, "args": args})
    if '"message"' not in began:
        return began
    reply_id = json.loads(began)["message"]
    for _ in range(600):
        messages = json.loads(await _text(http, "GET", f"/api/threads/{THREAD}"))["messages"]
        reply = next((one for one in messages if one["id"] == reply_id), None)
        if reply and reply["final"]:
            return json.dumps(reply)
        await asyncio.sleep(0.05)
    raise TimeoutError(f"/{name} does not end")


async def _text(http: aiohttp.ClientSession, method: str, path: str, body: object = None) -> str:
    """Return the body of the response, or as much of a stream as arrives at once."""
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(READ_SECONDS if path.startswith("/api/events") else 30):
            async with http.request(method, path, json=body, allow_redirects=False) as response:
                while part := await response.content.readany():
                    parts.append(part)
    except TimeoutError:
        pass
    return b"".join(parts).decode(errors="replace")
