"""Tests commands, uploaded and attached files, and the panels under an answer, over HTTP."""

from __future__ import annotations

import aiohttp
import pytest

from bot.commands.base import File
from bot.errors import StoreAway
from bot.platforms.web import user_messages
from tests.web.client import QUESTION, THREAD, following, get, post
from tests.web.conftest import Running


async def test_why_returns_the_trace_without_a_message_in_the_conversation(
    page: Running, http: aiohttp.ClientSession
) -> None:
    status, body = await post(http, "/api/turns/abc/why", {"thread": THREAD})
    assert status == 200
    assert "Trace of abc" in body["message"]["blocks"][0]
    assert page.playground.hub.messages_of_thread(THREAD, "you") == []


async def test_sources_returns_the_quotes_of_an_answer(page: Running, http: aiohttp.ClientSession) -> None:
    status, body = await post(http, "/api/turns/abc/sources", {"thread": THREAD})
    assert status == 200
    assert "Quotes of abc" in body["message"]["blocks"][0]


async def test_a_command_shows_its_table(page: Running, http: aiohttp.ClientSession) -> None:
    async with following(http) as stream:
        status, body = await post(http, "/api/command", {"thread": THREAD, "command": "budget", "args": ""})
        assert status == 202
        await stream.ended("command")
    assert stream.shown[body["message"]]["blocks"][0] == "<p><strong>12%</strong> of today's tokens are used.</p>"
    assert '<td class="short">You &lt;b&gt;</td><td class="right short">1,234</td>' in stream.text("command")
    assert "/budget" in stream.text("user")


async def test_a_command_returns_a_file_to_download(page: Running, http: aiohttp.ClientSession) -> None:
    async with following(http) as stream:
        await post(http, "/api/command", {"thread": THREAD, "command": "costs", "args": "30d"})
        await stream.ended("command")
    file = stream.of("command")[0]["file"]
    async with http.get(file["url"]) as response:
        assert await response.read() == b"model,cost\nx,1\n"
        assert response.headers["Content-Disposition"] == "attachment; filename*=UTF-8''costs.csv"
    status, body = await get(http, "/api/files/unknown")
    assert (status, "no longer available" in body["error"]) == (404, True)


async def test_a_reply_is_shown_although_its_file_cannot_be_stored(
    page: Running, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(file: File, made_for: str) -> str:
        raise StoreAway("the database is full")

    monkeypatch.setattr(page.playground.files, "keep_reply", away)
    async with following(http) as stream:
        await post(http, "/api/command", {"thread": THREAD, "command": "costs", "args": "30d"})
        await stream.ended("command")
    (shown,) = stream.of("command")
    assert (shown["failed"], shown["file"], shown["notes"]) == (False, None, [user_messages.FILE_NOT_STORED])
    assert shown["blocks"]


async def test_a_crashed_command_shows_a_trace_id_and_no_details(page: Running, http: aiohttp.ClientSession) -> None:
    async with following(http) as stream:
        await post(http, "/api/command", {"thread": THREAD, "command": "broken", "args": ""})
        await stream.ended("command")
    assert stream.of("command")[0]["failed"]
    assert "The log has the details under trace ID" in stream.text("command")
    assert "secret" not in stream.text("command")


async def test_an_upload_is_ingested_and_shows_its_progress(page: Running, http: aiohttp.ClientSession) -> None:
    async with following(http) as stream:
        path = f"/api/upload?thread={THREAD}&file=..%2Fnotes.md&args=--here"
        async with http.post(path, data=b"# Notes", headers={"Content-Type": "text/markdown"}) as response:
            assert response.status == 202
        await stream.ended("command")
    notes = [event.data["notes"] for event in stream.events if event.data.get("role") == "command"]
    assert ["handbook: 0 of 1 documents"] in notes
    assert "Added notes.md, 7 bytes. --here" in stream.text("command")


async def test_an_upload_whose_query_holds_characters_that_cannot_be_stored_is_ingested(
    page: Running, http: aiohttp.ClientSession
) -> None:
    async with following(http) as stream:
        path = f"/api/upload?thread={THREAD}&file=notes%00.md&args=--here%00&name=Ada%00"
        async with http.post(path, data=b"# Notes", headers={"Content-Type": "text/markdown"}) as response:
            assert response.status == 202
        await stream.ended("command")
    assert "7 bytes. --here" in stream.text("command")
    assert "\0" not in stream.text("command")


async def test_a_file_is_attached_to_one_question(page: Running, http: aiohttp.ClientSession) -> None:
    async with http.post("/api/attach?file=..%2Fplan.md", data=b"# Plan") as response:
        assert response.status == 201
        key = (await response.json())["file"]
    status, _ = await post(http, "/api/ask", {**QUESTION, "files": [key]})
    assert status == 202
    (file,) = page.dispatcher.asked[0].attachments
    assert (file.name, file.size, file.ref, await file.read()) == ("plan.md", 6, key, b"# Plan")
    status, body = await post(http, "/api/ask", {**QUESTION, "id": "other", "files": ["unknown"]})
    assert (status, "no longer available" in body["error"]) == (400, True)
    status, body = await post(http, "/api/ask", {**QUESTION, "id": "other", "files": [key] * 9})
    assert (status, "at most 8 files" in body["error"]) == (400, True)
    status, body = await post(http, "/api/ask", {**QUESTION, "id": "other", "files": key})
    assert status == 400
    assert len(page.dispatcher.asked) == 1
