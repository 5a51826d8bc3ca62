"""Tests the page with the real engine, store and documents, but without a model."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from bot.app import App, open_app
from bot.config import load
from bot.jobs import working
from knowledge import sample
from knowledge.sources.source_factory import open_source
from tests.parity.test_attachments import BROKEN, FILES
from tests.web.client import Stream, following
from tests.web.serving import served

THREAD = "thread-0001"
MOST = 50_000_000


@asynccontextmanager
async def _served(app: App) -> AsyncIterator[aiohttp.ClientSession]:
    async with served(app) as address, aiohttp.ClientSession(address) as session:
        yield session


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncIterator[App]:
    settings = load(database_url=database_url, data_dir=tmp_path, reranker="none")
    async with open_app(settings) as opened, working(opened.services):
        files = [sample.path() / "expenses-and-travel.md", sample.path() / "archive"]
        sources = [open_source(str(file), fetch_allow=(), max_bytes=MOST, files=True) for file in files]
        report = await opened.ingestor.ingest(sources, tenant_id="local")
        assert (report.documents, report.failed) == (2, ())
        yield opened


async def _ask(http: aiohttp.ClientSession, stream: Stream, text: str, files: Sequence[str] = ()) -> str:
    asked = {"thread": THREAD, "id": uuid.uuid4().hex, "text": text, "files": list(files)}
    async with http.post("/api/ask", json=asked) as response:
        assert response.status == 202
        turn = str((await response.json())["turn"])
    await stream.until(lambda seen: any(view["turn"] == turn and view["final"] for view in seen.of("assistant")))
    return turn


async def test_an_answer_with_its_quotes_survives_a_restart(app: App) -> None:
    document = (sample.path() / "expenses-and-travel.md").read_text(encoding="utf-8")
    async with _served(app) as http, following(http) as stream:
        turn = await _ask(http, stream, sample.questions()[0])
        answer = stream.of("assistant")[-1]
        assert "220 EUR" in stream.text()
        quotes = [source["quote"] for source in answer["sources"] if source["title"] == "Expenses and travel"]
        assert quotes
        assert all(quote in document for quote in quotes)
        assert {"again", "up", "down", "why", "sources"} <= set(answer["actions"])

        await _ask(http, stream, "And in Ghent?")
        async with http.post(f"/api/turns/{turn}/why", json={"thread": THREAD}) as response:
            assert turn[:8] in (await response.json())["message"]["blocks"][0]
        async with http.post(f"/api/turns/{turn}/sources", json={"thread": THREAD}) as response:
            assert "<strong>" in (await response.json())["message"]["blocks"][1]
        async with http.post(f"/api/turns/{turn}/up", json={}) as response:
            assert response.status == 200
        async with http.post(f"/api/turns/{turn}/stop", json={}) as response:
            assert (response.status, "already finished" in (await response.json())["error"]) == (400, True)

    async with _served(app) as http:
        async with http.get("/api/threads") as response:
            assert [thread["id"] for thread in (await response.json())["threads"]] == [THREAD]
        async with http.get(f"/api/threads/{THREAD}") as response:
            messages = (await response.json())["messages"]
        async with http.get("/readyz") as response:
            assert response.status == 200
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant"]
    assert messages[1]["blocks"] == answer["blocks"]
    assert messages[1]["sources"] == answer["sources"]


async def test_commands_run_and_an_upload_is_searchable(app: App) -> None:
    async with _served(app) as http, following(http) as stream:
        note = b"# Bicycles\n\nThe company bicycle is called Gustav and lives in the cellar of the Ghent office.\n"
        async with http.post(f"/api/upload?thread={THREAD}&file=bicycles.md", data=note) as response:
            assert response.status == 202
        await stream.ended("command")
        assert "Added 1 document" in stream.text("command")
        await _ask(http, stream, "What is the company bicycle called?")
        assert "Gustav" in stream.text()
        for count, name in enumerate(("docs", "budget", "costs", "help"), 2):
            async with http.post("/api/command", json={"thread": THREAD, "command": name, "args": ""}) as response:
                assert response.status == 202
            await stream.ended("command", count)
        assert not any(view["failed"] for view in stream.of("command"))
        assert "bicycles.md" in stream.text("command")
        async with http.post("/api/ask", json={"thread": THREAD, "id": "x", "text": "y" * 20_001}) as response:
            assert (response.status, "20,000 characters" in (await response.json())["error"]) == (400, True)


async def test_attached_files_are_quoted_under_their_names(app: App) -> None:
    async with _served(app) as http, following(http) as stream:
        for question, (name, kind, data), words in FILES:
            keys = [await _attach(http, name, kind, data)]
            await _ask(http, stream, question, keys)
            answer = stream.of("assistant")[-1]
            assert words in "".join(answer["blocks"]), (answer["notes"], answer["sources"])
            assert name in {source["title"] for source in answer["sources"]}
        assert stream.of("user")[0]["notes"] == [FILES[0][1][0]]

        broken, plan = await _attach(http, *BROKEN), await _attach(http, *FILES[0][1])
        await _ask(http, stream, "Ada signs for what, again?", [broken, plan])
        answer = stream.of("assistant")[-1]
        assert "Ada signs" in "".join(answer["blocks"])
        assert any(note.startswith("broken.pdf could not be read: it is damaged") for note in answer["notes"])
        await _ask(http, stream, "", [plan])
        assert "What is in plan.md" in "".join(stream.of("user")[-1]["blocks"])
        assert "Ada signs" in "".join(stream.of("assistant")[-1]["blocks"])
        async with http.post("/api/command", json={"thread": THREAD, "command": "docs", "args": ""}) as response:
            assert response.status == 202
        await stream.ended("command")
        assert "plan.md" not in stream.text("command"), "attached files are not added to the documents"


async def test_a_question_is_edited_in_place_and_deleted_with_its_answer(app: App) -> None:
    async with _served(app) as http, following(http) as stream:
        turn = await _ask(http, stream, "What is the limit for a hotel in London?")
        assert "220 EUR" in stream.text()
        changed = {"text": "What is the limit for a hotel in Ghent?"}
        async with http.post(f"/api/turns/{turn}/change", json=changed) as response:
            assert response.status == 200
        await stream.until(lambda seen: "140 EUR" in seen.text() and seen.of("assistant")[-1]["final"])
        (question,), (answer,) = stream.of("user"), stream.of("assistant")
        assert (question["turn"], answer["turn"]) == (turn, turn)
        assert "Ghent" in question["blocks"][0]
        assert "220 EUR" not in stream.text().partition("140 EUR")[0], "the old answer is gone"
        async with http.get("/api/threads") as response:
            assert "Ghent" in (await response.json())["threads"][0]["title"]
        async with http.post(f"/api/turns/{turn}/forget", json={}) as response:
            assert response.status == 200
        await stream.until(lambda seen: not seen.of("user") and not seen.of("assistant"))
        async with http.get(f"/api/threads/{THREAD}") as response:
            assert (await response.json())["messages"] == []
        async with http.get("/api/threads") as response:
            assert (await response.json())["threads"] == []
        async with http.post(f"/api/turns/{turn}/change", json=changed) as response:
            assert (response.status, "no longer have that answer" in (await response.json())["error"]) == (400, True)

        kept = await _ask(http, stream, "What is the limit for a hotel in London?")
    async with _served(app) as http, following(http) as stream:
        async with http.post(f"/api/turns/{kept}/forget", json={}) as response:
            assert response.status == 200
        stored = {f"q-{kept}", f"h-{kept}"}
        await stream.until(lambda seen: stored <= {one.data["id"] for one in seen.events if one.kind == "gone"})
        async with http.get(f"/api/threads/{THREAD}") as response:
            assert (await response.json())["messages"] == []


async def _attach(http: aiohttp.ClientSession, name: str, kind: str, data: bytes) -> str:
    headers = {"Content-Type": kind or "application/octet-stream"}
    async with http.post("/api/attach", params={"file": name}, data=data, headers=headers) as response:
        assert response.status == 201
        return str((await response.json())["file"])


async def test_a_page_shows_what_another_process_answers(app: App) -> None:
    question = sample.questions()[0]
    async with (
        open_app(app.settings) as other,
        _served(app) as here,
        _served(other) as there,
        following(here) as stream,
    ):
        async with there.post("/api/ask", json={"thread": THREAD, "id": "m1", "text": question}) as response:
            turn = str((await response.json())["turn"])
        await stream.until(lambda seen: any(view["turn"] == turn and view["final"] for view in seen.of("assistant")))
        shown = stream.of("assistant")
        assert [view["turn"] for view in shown] == [turn], "the placeholder is gone"
        assert {"again", "why"} <= set(shown[0]["actions"])
        assert [view["turn"] for view in stream.of("user")] == [turn]
        assert "220 EUR" in stream.text()
