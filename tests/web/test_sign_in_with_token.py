"""Tests the sign-in with a token: the page, the session cookie, the limits, and what is closed without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.config import Settings
from bot.errors import ConfigError
from bot.platforms.web.sign_in.attempt_limit import OVERALL, PER_CLIENT, AttemptLimit
from bot.platforms.web.sign_in.sign_in_setup import build_access, require_sign_in
from tests.web.client import following
from tests.web.conftest import Running
from tests.web.fakes import PIECES
from tests.web.serving import TOKEN, serving, settings_with

THREAD = "thread-0001"
QUESTION = {"thread": THREAD, "id": "m1", "text": "What is the limit?"}
PROTECTED_READS = (
    "/api/state",
    "/api/welcome",
    "/api/threads",
    f"/api/threads/{THREAD}",
    "/api/events",
    "/api/files/x",
    "/metrics",
)
PROTECTED_WRITES = (
    "/api/ask",
    "/api/command",
    "/api/upload?thread=thread-0001&file=x.md",
    "/api/attach?file=x.md",
    "/api/readings/stop",
    "/api/documents/x",
    "/api/turns/x/stop",
    "/api/turns/x/forget",
    "/logout",
)


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_with(tmp_path, web_token=TOKEN)


@pytest.fixture
async def page(settings: Settings, clock: Clock) -> AsyncIterator[Running]:
    async with serving(settings, clock=clock) as running:
        yield running


@pytest.fixture
async def http(page: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(page.address, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def _sign_in(http: aiohttp.ClientSession, token: str = TOKEN, **headers: str) -> aiohttp.ClientResponse:
    async with http.post("/login", data={"token": token}, headers=headers, allow_redirects=False) as response:
        await response.read()
        return response


# --- without a session


@pytest.mark.parametrize("path", PROTECTED_READS)
async def test_nothing_is_read_without_a_session(http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(path) as response:
        assert response.status == 401
        assert "signed out" in (await response.json())["error"]


@pytest.mark.parametrize("path", PROTECTED_WRITES)
async def test_nothing_is_written_without_a_session(page: Running, http: aiohttp.ClientSession, path: str) -> None:
    async with http.post(path, json=QUESTION) as response:
        assert response.status == 401
    assert page.dispatcher.asked == []


async def test_the_page_leads_to_the_sign_in_page(http: aiohttp.ClientSession) -> None:
    async with http.get("/", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, "/login")
    async with http.get("/login") as response:
        text = await response.text()
        assert (response.status, response.headers["Cache-Control"]) == (200, "no-store")
    assert '<form method="post" action="login">' in text
    assert "<script" not in text, "the page works without JavaScript"


async def test_probes_and_static_files_are_open_to_everybody(page: Running, http: aiohttp.ClientSession) -> None:
    for path in ("/healthz", "/readyz", "/static/app.css"):
        async with http.get(path) as response:
            assert response.status == 200
    page.playground.history.broken = True  # type: ignore[attr-defined]
    async with http.get("/readyz") as response:
        assert (response.status, await response.text()) == (503, "not ready")
    await _sign_in(http)
    async with http.get("/readyz") as response:
        assert "database" in await response.text()


@pytest.mark.parametrize(
    "path", ["/static/../api/state", "//api/state", "/healthz/../api/state", "/STATIC/../api/state"]
)
async def test_an_open_path_is_no_way_around(page: Running, path: str) -> None:
    host, port = page.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.split()[1] in (b"401", b"404")
    assert b"commands" not in answer


# --- with a session


async def test_one_sign_in_gives_a_session(page: Running, http: aiohttp.ClientSession) -> None:
    response = await _sign_in(http)
    assert (response.status, response.headers["Location"]) == (303, "/")
    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith("parley_session=")
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    async with http.get("/") as shown:
        assert shown.status == 200
    async with http.get("/api/state") as shown:
        assert (await shown.json())["user"] == {"name": "", "admin": True, "sign_out": True}
    page.release(len(PIECES))
    async with following(http) as stream:
        async with http.post("/api/ask", json={**QUESTION, "name": "Ann"}) as asked:
            assert asked.status == 202
        await stream.ended()
    (incoming,) = page.dispatcher.asked
    assert (incoming.author.id, incoming.author.name, incoming.author.is_admin) == ("you", "Ann", True)
    async with http.post("/api/attach?file=a.md", data=b"# A") as attached:
        assert attached.status == 201


async def test_a_session_survives_a_restart_and_works_in_another_process(settings: Settings, clock: Clock) -> None:
    async with serving(settings, clock=clock) as first, serving(settings, clock=clock) as second:
        async with aiohttp.ClientSession(first.address) as http:
            cookie = (await _sign_in(http)).headers["Set-Cookie"].split(";")[0]
        async with (
            aiohttp.ClientSession(second.address) as http,
            http.get("/api/state", headers={"Cookie": cookie}) as r,
        ):
            assert r.status == 200


async def test_another_token_ends_all_sessions(settings: Settings, page: Running, clock: Clock, tmp_path: Path) -> None:
    async with aiohttp.ClientSession(page.address) as http:
        cookie = (await _sign_in(http)).headers["Set-Cookie"].split(";")[0]
    async with (
        serving(settings_with(tmp_path, web_token=TOKEN + "2"), clock=clock) as changed,
        aiohttp.ClientSession(changed.address) as http,
        http.get("/api/state", headers={"Cookie": cookie}) as r,
    ):
        assert r.status == 401


async def test_a_session_expires(http: aiohttp.ClientSession, clock: Clock) -> None:
    await _sign_in(http)
    cookie = next(iter(http.cookie_jar)).value
    clock.now += 12 * 3600 - 1
    async with http.get("/api/state", headers={"Cookie": f"parley_session={cookie}"}) as response:
        assert response.status == 200
    clock.now += 2
    async with http.get("/api/state", headers={"Cookie": f"parley_session={cookie}"}) as response:
        assert response.status == 401


async def test_an_open_stream_ends_with_its_session(
    page: Running, http: aiohttp.ClientSession, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.platforms.web.api.HEARTBEAT_SECONDS", 0.05)
    await _sign_in(http)
    async with http.get("/api/events") as response:
        await response.content.readline()
        clock.now += 13 * 3600
        async with asyncio.timeout(30):
            await response.read()


@pytest.mark.parametrize("change", ["x{}", "{}x", "e30.{}", "", "a.b.c", "\u00e9"])
async def test_a_forged_cookie_is_no_session(http: aiohttp.ClientSession, change: str) -> None:
    response = await _sign_in(http)
    value = response.cookies["parley_session"].value
    http.cookie_jar.clear()
    async with http.get("/api/state", headers={"Cookie": f"parley_session={change.format(value)}"}) as refused:
        assert refused.status == 401


async def test_two_session_cookies_are_no_session(http: aiohttp.ClientSession) -> None:
    value = (await _sign_in(http)).cookies["parley_session"].value
    http.cookie_jar.clear()
    async with http.get("/api/state", headers={"Cookie": f"parley_session=x; parley_session={value}"}) as refused:
        assert refused.status == 401


async def test_sign_out_deletes_the_cookie(http: aiohttp.ClientSession) -> None:
    await _sign_in(http)
    async with http.post("/logout", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, "/login?signed-out")
        assert "Max-Age=0" in response.headers["Set-Cookie"]
    async with http.get("/api/state") as response:
        assert response.status == 401
    async with http.get("/login?signed-out") as response:
        assert "You are signed out." in await response.text()


# --- other sites


FOREIGN: tuple[dict[str, str], ...] = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
)


@pytest.mark.parametrize("headers", FOREIGN)
async def test_another_site_cannot_use_the_session(
    page: Running, http: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    await _sign_in(http)
    for path in PROTECTED_WRITES:
        async with http.post(path, json=QUESTION, headers=headers) as response:
            assert response.status == 403
    assert page.dispatcher.asked == []
    async with http.get("/api/state") as response:
        assert response.status == 200, "the session is still there"


@pytest.mark.parametrize("headers", FOREIGN)
async def test_another_site_cannot_sign_in(http: aiohttp.ClientSession, headers: dict[str, str]) -> None:
    response = await _sign_in(http, **headers)
    assert (response.status, "Set-Cookie" in response.headers) == (403, False)


# --- guessing


async def test_wrong_tokens_are_refused_and_limited(http: aiohttp.ClientSession, clock: Clock) -> None:
    for _ in range(PER_CLIENT):
        response = await _sign_in(http, "wrong")
        assert response.status == 403
        assert "This token is not correct." in await response.text()
        assert "Set-Cookie" not in response.headers
    response = await _sign_in(http)
    assert (response.status, response.headers["Retry-After"]) == (429, "60")
    assert "Too many wrong tokens. Wait 60 seconds and try again." in await response.text()
    clock.now += 61
    assert (await _sign_in(http)).status == 303


@pytest.mark.parametrize("body", [b"", b"token=", b"token=%FF%FE", b"\xff\xfe", b"&" * 100_000])
async def test_an_unreadable_form_is_no_sign_in(http: aiohttp.ClientSession, body: bytes) -> None:
    async with http.post("/login", data=body) as response:
        assert response.status in (400, 403)
        assert "Set-Cookie" not in response.headers


def test_many_clients_together_are_limited() -> None:
    clock = Clock()
    limit = AttemptLimit(clock)
    for number in range(OVERALL):
        assert limit.wait_seconds(f"10.0.{number}.1") == 0
        limit.add_failure(f"10.0.{number}.1")
    assert limit.wait_seconds("192.0.2.1") > 0
    clock.now += 61
    assert limit.wait_seconds("192.0.2.1") == 0


def test_an_ipv6_network_is_one_client() -> None:
    limit = AttemptLimit(Clock())
    for number in range(PER_CLIENT):
        limit.add_failure(f"2001:db8::{number}")
    assert limit.wait_seconds("2001:db8::ffff") > 0
    assert limit.wait_seconds("2001:db8:0:1::1") == 0


async def test_metrics_accept_the_token_of_a_script(http: aiohttp.ClientSession) -> None:
    async with http.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}) as response:
        assert response.status != 401
    async with http.get("/metrics", headers={"Authorization": "Bearer wrong"}) as response:
        assert response.status == 401
    async with http.get("/api/threads", headers={"Authorization": f"Bearer {TOKEN}"}) as response:
        assert response.status == 401, "only metrics accept it"


# --- the start


@pytest.mark.parametrize(
    ("host", "values", "refused"),
    [
        ("127.0.0.1", {}, False),
        ("localhost", {}, False),
        ("::1", {}, False),
        ("0.0.0.0", {}, True),
        ("::", {}, True),
        ("0.0.0.0", {"web_token": TOKEN}, False),
        ("127.0.0.1", {"web_url": "https://parley.example"}, True),
        ("127.0.0.1", {"web_url": "https://parley.example", "web_token": TOKEN}, False),
        ("127.0.0.1", {"web_url": "http://localhost:9000"}, False),
        ("127.0.0.1", {"web_url": "http://[::1]:9000"}, False),
        ("127.0.0.1", {"web_url": "http://localhost.evil.example"}, True),
    ],
)
def test_outside_loopback_a_sign_in_is_needed(tmp_path: Path, host: str, values: dict[str, Any], refused: bool) -> None:
    settings = settings_with(tmp_path, **values)
    if not refused:
        require_sign_in(settings, host)
        return
    with pytest.raises(ConfigError, match=r"needs a sign-in\. Set PARLEY_WEB_TOKEN") as error:
        require_sign_in(settings, host)
    assert "\n" not in str(error.value)


async def test_the_server_itself_refuses_to_listen_without_a_sign_in(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Other machines can reach 0\.0\.0\.0"):
        async with serving(settings_with(tmp_path), host="0.0.0.0"):
            pass


async def test_a_page_without_a_sign_in_refuses_what_a_proxy_forwards(tmp_path: Path) -> None:
    async with serving(settings_with(tmp_path)) as page, aiohttp.ClientSession(page.address) as http:
        async with http.get("/api/threads") as response:
            assert response.status == 200
        async with http.get("/api/threads", headers={"X-Forwarded-For": "192.0.2.1"}) as response:
            assert response.status == 403
            assert "PARLEY_WEB_TOKEN" in (await response.json())["error"]


@pytest.mark.parametrize(
    ("url", "name", "path"),
    [
        (None, "parley_session", "/"),
        ("http://parley.lan", "parley_session", "/"),
        ("https://parley.example", "__Host-parley_session", "/"),
        ("https://example.com/parley/", "__Secure-parley_session", "/parley"),
    ],
)
async def test_the_cookie_is_bound_to_the_public_address(tmp_path: Path, url: str | None, name: str, path: str) -> None:
    settings = settings_with(tmp_path, web_token=TOKEN, web_url=url)
    async with serving(settings) as page, aiohttp.ClientSession(page.address) as http:
        response = await _sign_in(http)
    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith(f"{name}=")
    assert f"Path={path}" in cookie.split("; ")
    assert ("Secure" in cookie.split("; ")) == bool(url and url.startswith("https"))
    assert build_access(settings).cookies.session_name == name
