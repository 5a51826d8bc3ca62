"""Tests the sign-in by the header of a trusted proxy, and that the header of anybody else is not believed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest
from starlette.types import Scope

from bot.platforms.web.sign_in.sign_in_setup import build_access
from bot.platforms.web.sign_in.trusted_proxies import trusted_proxies
from tests.web.conftest import Running
from tests.web.serving import TOKEN, serving, settings_with

HEADERS = {"X-Forwarded-User": "ann", "X-Forwarded-Groups": "staff, parley-admins"}
VALUES = {
    "web_proxy_header": "X-Forwarded-User",
    "web_proxy_groups_header": "X-Forwarded-Groups",
    "web_trusted_proxies": ("127.0.0.1",),
    "web_admin_groups": ("parley-admins",),
    "web_member_groups": ("staff",),
    "web_url": "https://parley.example",
}
QUESTION = {"thread": "thread-0001", "id": "m1", "text": "What is the limit?", "name": "Somebody else"}


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Running]:
    async with serving(settings_with(tmp_path, **VALUES)) as running:
        yield running


async def _ask(page: Running, headers: Mapping[str, str] | list[tuple[str, str]]) -> tuple[int, str]:
    async with aiohttp.ClientSession(page.address) as http, http.post("/api/ask", json=QUESTION, headers=headers) as r:
        return r.status, await r.text()


async def test_the_proxy_names_the_person_and_their_groups(page: Running) -> None:
    assert (await _ask(page, HEADERS))[0] == 202
    author = page.dispatcher.asked[0].author
    assert (author.id, author.name, author.is_admin) == ("proxy:ann", "ann", True)


async def test_a_member_is_no_admin(page: Running) -> None:
    assert (await _ask(page, {**HEADERS, "X-Forwarded-Groups": "staff"}))[0] == 202
    assert not page.dispatcher.asked[0].author.is_admin


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ([], "not signed in"),
        ([("X-Forwarded-User", "")], "not signed in"),
        ([("X-Forwarded-User", "a" * 201)], "not signed in"),
        ([("X-Forwarded-User", "ann"), ("X-Forwarded-User", "ben"), ("X-Forwarded-Groups", "staff")], "not signed in"),
        ([("X-Forwarded-User", "ann")], "no group"),
        ([("X-Forwarded-User", "ann"), ("X-Forwarded-Groups", "visitors")], "no group"),
        (
            [("X-Forwarded-User", "ann"), ("X-Forwarded-Groups", "staff"), ("X-Forwarded-Groups", "parley-admins")],
            "no group",
        ),
    ],
)
async def test_others_are_refused(page: Running, headers: list[tuple[str, str]], words: str) -> None:
    status, text = await _ask(page, headers)
    assert (status, words in text) == (403, True), text
    assert page.dispatcher.asked == []


async def test_the_page_explains_a_refusal_in_words(page: Running) -> None:
    async with aiohttp.ClientSession(page.address) as http:
        async with http.get("/") as response:
            assert response.status == 403
            assert "Open Parley at the address of its proxy" in await response.text()
        async with http.get("/", headers={"X-Forwarded-User": "<script>"}) as response:
            text = await response.text()
            assert ("&lt;script&gt;" in text, "<script" in text) == (True, False)
        async with http.get("/login") as response:
            assert response.status == 404


async def test_the_header_of_an_untrusted_peer_is_not_believed(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, **{**VALUES, "web_trusted_proxies": ("192.0.2.0/24",)})
    async with serving(settings) as page:
        assert (await _ask(page, HEADERS))[0] == 403
        assert (await _ask(page, {**HEADERS, "X-Forwarded-For": "192.0.2.1"}))[0] == 403


async def test_a_session_cookie_means_nothing_without_a_sign_in_page(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, **VALUES)
    with_token = build_access(settings_with(tmp_path, **VALUES, web_token=TOKEN))
    assert with_token.cookies.key != build_access(settings).cookies.key
    assert build_access(settings).cookies.key != build_access(settings).cookies.key, "the key is random"


async def test_a_token_can_be_used_beside_the_proxy(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, **{**VALUES, "web_url": None}, web_token=TOKEN)
    async with serving(settings) as page:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(page.address, cookie_jar=jar) as http:
            async with http.post("/login", data={"token": TOKEN}) as response:
                assert response.status == 200
            async with http.get("/api/state") as response:
                assert (await response.json())["user"] == {"name": "", "admin": True, "sign_out": True}
            async with http.get("/api/state", headers=HEADERS) as response:
                assert (await response.json())["user"] == {"name": "ann", "admin": True, "sign_out": False}


async def test_a_person_named_by_the_settings_is_an_admin(tmp_path: Path) -> None:
    async with serving(settings_with(tmp_path, **VALUES, admins=("proxy:ben",))) as page:
        assert (await _ask(page, {"X-Forwarded-User": "ben"}))[0] == 202
        assert page.dispatcher.asked[0].author.is_admin


# --- the client's address


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.7", "192.0.2.1", "198.51.100.7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("::ffff:10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "nonsense", "nonsense"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxy(peer: str, forwarded: str, client: str) -> None:
    scope: Scope = {"type": "http", "client": (peer, 1), "headers": [(b"x-forwarded-for", forwarded.encode())]}
    assert trusted_proxies(("10.0.0.0/24",)).client(scope) == client


async def test_wrong_tokens_are_counted_for_the_client_behind_the_proxy(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, web_token=TOKEN, web_trusted_proxies=("127.0.0.1",))
    async with serving(settings) as page, aiohttp.ClientSession(page.address) as http:
        for client, expected in [("192.0.2.1", [403] * 5 + [429]), ("192.0.2.2", [403])]:
            for status in expected:
                # The client's own first entry changes each time, and does not help.
                forwarded = f"203.0.113.{len(expected)}, {client}"
                async with http.post("/login", data={"token": "x"}, headers={"X-Forwarded-For": forwarded}) as response:
                    assert response.status == status
