"""Tests the requests that the page's server refuses: too large, not readable, invalid, or from another site."""

from __future__ import annotations

import io
from typing import Any

import aiohttp
import pytest

from tests.web.client import QUESTION, THREAD, get, post
from tests.web.conftest import CONFIG, Running


async def test_a_body_over_the_limit_is_refused_with_a_message(page: Running, http: aiohttp.ClientSession) -> None:
    too_much = b"x" * (CONFIG.upload_limit + 1)

    async def pieces() -> Any:
        yield too_much

    for path, data in (("upload", io.BytesIO(too_much)), ("upload", pieces()), ("attach", io.BytesIO(too_much))):
        async with http.post(f"/api/{path}?thread={THREAD}&file=x.txt", data=data) as response:
            assert response.status == 413
            assert "larger than 1 MB" in (await response.json())["error"]
    status, body = await post(http, "/api/ask", {**QUESTION, "text": "x" * 400_000})
    assert (status, "larger than 256 kB" in body["error"]) == (413, True)
    assert page.dispatcher.turns == {}


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/api/ask", {**QUESTION, "text": "  "}, "Write a question."),
        ("/api/ask", {**QUESTION, "thread": "../x"}, "no such conversation"),
        ("/api/ask", {**QUESTION, "text": 7}, "could not read this request"),
        ("/api/command", {"thread": THREAD, "command": "nonsense"}, "There is no command “nonsense”. Write /help"),
        ("/api/command", {"thread": THREAD, "command": "budgte"}, "Did you mean /budget?"),
        ("/api/turns/x/dance", {}, "no such button"),
        ("/api/turns/x/again", {}, "not known"),
    ],
)
async def test_an_invalid_request_gets_a_message(
    page: Running, http: aiohttp.ClientSession, path: str, body: dict[str, Any], sentence: str
) -> None:
    status, answer = await post(http, path, body)
    assert status == 400
    assert sentence in answer["error"]


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8080", "192.0.2.7", ""])
async def test_a_foreign_host_is_refused(page: Running, http: aiohttp.ClientSession, host: str) -> None:
    status, body = await get(http, "/api/threads", Host=host)
    assert (status, "127.0.0.1" in body["error"]) == (421, True)


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
async def test_a_foreign_origin_cannot_write(
    page: Running, http: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    status, body = await post(http, "/api/ask", QUESTION, **headers)
    assert (status, "did not come from the playground page" in body["error"]) == (403, True)
    assert page.dispatcher.turns == {}
    assert (await post(http, "/api/ask", QUESTION, Origin=page.address))[0] == 202


async def test_a_form_of_another_site_cannot_write(page: Running, http: aiohttp.ClientSession) -> None:
    async with http.post("/api/ask", data={"text": "x"}) as response:
        assert response.status == 415


@pytest.mark.parametrize(
    "body",
    ["[" * 90_000, '{"a":' * 40_000, '{"text":' + "[" * 100 + "]" * 100 + "}", "{", "[]", "null", '"x"', "NaN", ""],
)
async def test_a_body_that_cannot_be_read_is_the_clients_fault(
    page: Running, http: aiohttp.ClientSession, body: str
) -> None:
    for path in ("/api/ask", "/api/command", "/api/readings/stop", "/api/turns/1/stop"):
        async with http.post(path, data=body, headers={"Content-Type": "application/json"}) as response:
            assert response.status == 400, path
            assert (await response.json())["error"]
