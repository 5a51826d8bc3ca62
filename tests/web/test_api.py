"""Tests the HTTP routes and the event stream over a real socket."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.engine.ports.surface import Surface
from bot.errors import ConfigError, LeaseLost
from bot.platforms.web import app
from bot.platforms.web.api import STATIC
from bot.platforms.web.history import thread_key
from bot.types.conversation import Author
from bot.types.turns import Outcome, Turn
from tests.web.client import Stream, following
from tests.web.conftest import CONFIG, Running
from tests.web.fakes import PIECES, ScriptedDispatcher, scripted_playground

THREAD = "thread-0001"
STATIC_FILES = sorted(
    f"/static/{file.relative_to(STATIC).as_posix()}"
    for file in STATIC.rglob("*")
    if file.is_file() and file.name != "index.html"
)
QUESTION = {"thread": THREAD, "id": "m1", "text": "What is the <limit>?", "name": "Ada"}


async def _post(http: aiohttp.ClientSession, path: str, body: dict[str, Any], **headers: str) -> tuple[int, Any]:
    async with http.post(path, json=body, headers=headers) as response:
        return response.status, await response.json()


async def _get(http: aiohttp.ClientSession, path: str, **headers: str) -> tuple[int, Any]:
    async with http.get(path, headers=headers) as response:
        return response.status, await response.json()


async def test_a_question_streams_and_ends_with_its_sources(page: Running, http: aiohttp.ClientSession) -> None:
    async with following(http) as stream:
        status, body = await _post(http, "/api/ask", QUESTION)
        assert status == 202
        await stream.until(lambda seen: bool(seen.of("assistant")))
        asked = stream.of("user")[0]
        assert (asked["author"], asked["final"], asked["turn"]) == ("Ada", False, body["turn"])
        assert "What is the &lt;limit&gt;?" in asked["blocks"][0]

        page.release(1)
        await stream.until(lambda seen: "220 EUR" in seen.text())
        assert stream.of("assistant")[0]["actions"] == ["stop"]
        assert 'data-n="1"' not in stream.text()

        page.release(2)
        await stream.ended()
    answer = stream.of("assistant")[0]
    assert [source["n"] for source in answer["sources"]] == [1, 2]
    assert answer["sources"][0]["heading"] == ["Expenses and travel", "Hotels"]
    assert [source["url"] for source in answer["sources"]] == ["", "https://handbook.example/travel-2024#page=1"]
    assert answer["notes"] == ["quoted, not written", "extractive", "$0.00"]
    assert 'class="cite" data-n="1"' in stream.text()
    assert '<td class="right">220 EUR</td>' in stream.text()


async def test_a_repeated_message_id_is_asked_once(page: Running, http: aiohttp.ClientSession) -> None:
    page.release(len(PIECES))
    first = await _post(http, "/api/ask", QUESTION)
    second = await _post(http, "/api/ask", QUESTION)
    assert first[1]["turn"]
    assert second == (202, {"turn": None})
    assert len(page.dispatcher.turns) == 1


async def test_a_reconnect_receives_only_the_missing_events(page: Running, http: aiohttp.ClientSession) -> None:
    async with following(http) as stream:
        await _post(http, "/api/ask", QUESTION)
        page.release(1)
        await stream.until(lambda seen: "220 EUR" in seen.text())
    before = len(stream.events)
    page.release(1)
    async with following(http, last_id=stream.last_id, into=stream):
        page.release(1)
        await stream.ended()
    numbers = [int(event.id.split("-")[1]) for event in stream.events[1:]]
    assert len(stream.events) > before
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert [event.kind for event in stream.events].count("snapshot") == 1

    state = await _get(http, f"/api/threads/{THREAD}")
    assert [view["blocks"] for view in state[1]["messages"]] == [view["blocks"] for view in stream.shown.values()]


async def test_only_changed_blocks_are_sent_again(page: Running, http: aiohttp.ClientSession) -> None:
    async with following(http) as stream:
        page.release(len(PIECES))
        await _post(http, "/api/ask", QUESTION)
        await stream.ended()
    patches = [event.data for event in stream.events if event.kind == "patch"]
    assert [patch["keep"] for patch in patches] == [0, 1, 2]
    assert [len(patch["blocks"]) for patch in patches] == [1, 1, 1]


@pytest.mark.parametrize("last_id", ["0badcafe-3", "nonsense", "{epoch}-999999"])
async def test_an_unknown_event_id_gets_a_snapshot(page: Running, http: aiohttp.ClientSession, last_id: str) -> None:
    last_id = last_id.format(epoch=page.playground.hub.epoch)
    async with following(http, last_id=last_id) as stream:
        await stream.until(lambda seen: bool(seen.events))
    assert stream.events[0].kind == "snapshot"
    assert stream.events[0].id == page.playground.hub.event_id


async def test_stop_ends_the_answer(page: Running, http: aiohttp.ClientSession) -> None:
    async with following(http) as stream:
        _, body = await _post(http, "/api/ask", QUESTION)
        page.release(1)
        await stream.until(lambda seen: "220 EUR" in seen.text())
        assert (await _post(http, f"/api/turns/{body['turn']}/stop", {}))[0] == 200
        await stream.ended()
        assert "Stopped." in stream.text()
        await stream.until(lambda seen: seen.of("user")[0]["final"])
    status, refusal = await _post(http, f"/api/turns/{body['turn']}/stop", {})
    assert (status, refusal["error"]) == (400, "This answer has already ended.")


async def test_a_deleted_question_leaves_no_message_when_its_answer_ends() -> None:
    forgotten = asyncio.Event()

    class Losing(ScriptedDispatcher):
        """Its turns end as those of the real dispatcher: the deletion takes away their lease."""

        def start(self, turn: Turn, surface: Surface) -> asyncio.Task[Outcome]:
            return asyncio.create_task(self._lose())

        async def _lose(self) -> Outcome:
            await forgotten.wait()
            raise LeaseLost("the question was deleted")

    playground = scripted_playground(Losing(forgotten.wait))
    ada = Author("ada", "Ada")
    turn = await playground.ask(thread_id=THREAD, message_id="m1", text="What is the limit?", author=ada)
    assert turn is not None
    await playground.delete(turn.id, ada)
    forgotten.set()
    await asyncio.gather(*playground._tasks)
    assert playground.hub.messages_of_turn(turn.id) == []


async def test_ask_again_and_thumbs(page: Running, http: aiohttp.ClientSession) -> None:
    page.release(2 * len(PIECES))
    async with following(http) as stream:
        _, first = await _post(http, "/api/ask", QUESTION)
        await stream.ended()
        status, second = await _post(http, f"/api/turns/{first['turn']}/strong", {})
        assert status == 202
        await stream.ended(count=2)
    assert page.dispatcher.turns[second["turn"]].wish == "strong"
    await _post(http, f"/api/turns/{first['turn']}/up", {})
    await _post(http, f"/api/turns/{first['turn']}/down", {"reason": " It is wrong "})
    assert page.dispatcher.thumbs == [(first["turn"], 1, ""), (first["turn"], -1, "It is wrong")]


async def test_why_returns_the_trace_without_a_message_in_the_conversation(
    page: Running, http: aiohttp.ClientSession
) -> None:
    status, body = await _post(http, "/api/turns/abc/why", {"thread": THREAD})
    assert status == 200
    assert "Trace of abc" in body["message"]["blocks"][0]
    assert page.playground.hub.messages_of_thread(THREAD, "you") == []


async def test_sources_returns_the_quotes_of_an_answer(page: Running, http: aiohttp.ClientSession) -> None:
    status, body = await _post(http, "/api/turns/abc/sources", {"thread": THREAD})
    assert status == 200
    assert "Quotes of abc" in body["message"]["blocks"][0]


async def test_a_command_shows_its_table(page: Running, http: aiohttp.ClientSession) -> None:
    async with following(http) as stream:
        status, body = await _post(http, "/api/command", {"thread": THREAD, "command": "budget", "args": ""})
        assert status == 202
        await stream.ended("command")
    assert stream.shown[body["message"]]["blocks"][0] == "<p><strong>12%</strong> of today's tokens are used.</p>"
    assert '<td class="short">You &lt;b&gt;</td><td class="right short">1,234</td>' in stream.text("command")
    assert "/budget" in stream.text("user")


async def test_a_command_returns_a_file_to_download(page: Running, http: aiohttp.ClientSession) -> None:
    async with following(http) as stream:
        await _post(http, "/api/command", {"thread": THREAD, "command": "costs", "args": "30d"})
        await stream.ended("command")
    file = stream.of("command")[0]["file"]
    async with http.get(file["url"]) as response:
        assert await response.read() == b"model,cost\nx,1\n"
        assert response.headers["Content-Disposition"] == "attachment; filename*=UTF-8''costs.csv"
    status, body = await _get(http, "/api/files/unknown")
    assert (status, "no longer available" in body["error"]) == (404, True)


async def test_a_crashed_command_shows_a_trace_id_and_no_details(page: Running, http: aiohttp.ClientSession) -> None:
    async with following(http) as stream:
        await _post(http, "/api/command", {"thread": THREAD, "command": "broken", "args": ""})
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


async def test_a_file_is_attached_to_one_question(page: Running, http: aiohttp.ClientSession) -> None:
    async with http.post("/api/attach?file=..%2Fplan.md", data=b"# Plan") as response:
        assert response.status == 201
        key = (await response.json())["file"]
    status, _ = await _post(http, "/api/ask", {**QUESTION, "files": [key]})
    assert status == 202
    (file,) = page.dispatcher.asked[0].attachments
    assert (file.name, file.size, file.ref, await file.read()) == ("plan.md", 6, key, b"# Plan")
    status, body = await _post(http, "/api/ask", {**QUESTION, "id": "other", "files": ["unknown"]})
    assert (status, "no longer available" in body["error"]) == (400, True)
    status, body = await _post(http, "/api/ask", {**QUESTION, "id": "other", "files": [key] * 9})
    assert (status, "at most 8 files" in body["error"]) == (400, True)
    status, body = await _post(http, "/api/ask", {**QUESTION, "id": "other", "files": key})
    assert status == 400
    assert len(page.dispatcher.asked) == 1


async def test_a_body_over_the_limit_is_refused_with_a_message(page: Running, http: aiohttp.ClientSession) -> None:
    too_much = b"x" * (CONFIG.upload_limit + 1)

    async def pieces() -> Any:
        yield too_much

    for path, data in (("upload", io.BytesIO(too_much)), ("upload", pieces()), ("attach", io.BytesIO(too_much))):
        async with http.post(f"/api/{path}?thread={THREAD}&file=x.txt", data=data) as response:
            assert response.status == 413
            assert "larger than 1 MB" in (await response.json())["error"]
    status, body = await _post(http, "/api/ask", {**QUESTION, "text": "x" * 400_000})
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
    status, answer = await _post(http, path, body)
    assert status == 400
    assert sentence in answer["error"]


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8080", "192.0.2.7", ""])
async def test_a_foreign_host_is_refused(page: Running, http: aiohttp.ClientSession, host: str) -> None:
    status, body = await _get(http, "/api/threads", Host=host)
    assert (status, "127.0.0.1" in body["error"]) == (421, True)


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
async def test_a_foreign_origin_cannot_write(
    page: Running, http: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    status, body = await _post(http, "/api/ask", QUESTION, **headers)
    assert (status, "did not come from the playground page" in body["error"]) == (403, True)
    assert page.dispatcher.turns == {}
    assert (await _post(http, "/api/ask", QUESTION, Origin=page.address))[0] == 202


async def test_a_form_of_another_site_cannot_write(page: Running, http: aiohttp.ClientSession) -> None:
    async with http.post("/api/ask", data={"text": "x"}) as response:
        assert response.status == 415


async def test_the_page_loads_nothing_from_other_sites(page: Running, http: aiohttp.ClientSession) -> None:
    async with http.get("/") as response:
        text = await response.text()
        policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for path in STATIC_FILES:
        async with http.get(path) as response:
            assert response.status == 200
            text += await response.text()
    addresses = [word for word in text.split('"') if word.startswith(("http://", "https://", "//"))]
    assert addresses == ["http://www.w3.org/2000/svg"]


async def test_static_files_have_the_right_type_and_are_revalidated(page: Running, http: aiohttp.ClientSession) -> None:
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    assert "/static/js/main.js" in STATIC_FILES
    for path in STATIC_FILES:
        async with http.get(path) as response:
            assert response.content_type == types[Path(path).suffix]
            assert response.headers["Cache-Control"] == "no-cache"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            etag = response.headers["ETag"]
        async with http.get(path, headers={"If-None-Match": etag}) as response:
            assert (response.status, response.headers["Cache-Control"]) == (304, "no-cache")


async def test_messages_are_read_from_the_store_after_a_restart(page: Running, http: aiohttp.ClientSession) -> None:
    page.release(len(PIECES))
    async with following(http) as stream:
        await _post(http, "/api/ask", QUESTION)
        await stream.ended()
    page.playground.hub = type(page.playground.hub)()
    _, listed = await _get(http, "/api/threads")
    assert [(thread["id"], thread["title"]) for thread in listed["threads"]] == [(THREAD, QUESTION["text"])]
    _, read = await _get(http, f"/api/threads/{THREAD}")
    asked, answer = read["messages"]
    assert asked["blocks"] == ['<p class="plain">What is the &lt;limit&gt;?</p>']
    assert [source["n"] for source in answer["sources"]] == [1, 2]
    assert (answer["final"], answer["notes"], answer["actions"][0]) == (True, ["stored"], "sources")


async def test_a_refusal_is_shown_before_and_after_a_restart(page: Running, http: aiohttp.ClientSession) -> None:
    page.dispatcher.refusal = "Your budget for today is spent."
    async with following(http) as stream:
        await _post(http, "/api/ask", QUESTION)
        await stream.ended()
    assert stream.of("assistant")[0]["failed"]
    assert "Your budget for today is spent." in stream.text()
    page.playground.hub = type(page.playground.hub)()
    _, read = await _get(http, f"/api/threads/{THREAD}")
    assert [(view["role"], view["failed"]) for view in read["messages"]] == [("user", False), ("assistant", True)]
    assert read["messages"][1]["blocks"] == ["<p>Your budget for today is spent.</p>"]


async def test_an_orphaned_turn_is_resumed(page: Running, http: aiohttp.ClientSession) -> None:
    page.release(len(PIECES))
    left = Turn(
        "t-left",
        thread_key(THREAD),
        "m0",
        Author("you", "You"),
        "Left?",
        None,
        False,
        datetime.now(UTC),
        ("a-t-left-1",),
    )
    async with following(http) as stream:
        page.dispatcher.unfinished.append(left)
        await stream.ended()
    assert "220 EUR" in stream.text()


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
