"""Tests questions, answers and the event stream over HTTP."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import aiohttp
import pytest

from bot.engine.ports.surface import Surface
from bot.errors import LeaseLost
from bot.platforms.web.history import thread_key
from bot.types.conversation import Author
from bot.types.turns import Outcome, Turn
from tests.web.client import QUESTION, THREAD, following, get, post
from tests.web.conftest import Running
from tests.web.fakes import PIECES, ScriptedDispatcher, scripted_playground


async def test_a_question_streams_and_ends_with_its_sources(page: Running, http: aiohttp.ClientSession) -> None:
    async with following(http) as stream:
        status, body = await post(http, "/api/ask", QUESTION)
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
    first = await post(http, "/api/ask", QUESTION)
    second = await post(http, "/api/ask", QUESTION)
    assert first[1]["turn"]
    assert second == (202, {"turn": None})
    assert len(page.dispatcher.turns) == 1


async def test_a_reconnect_receives_only_the_missing_events(page: Running, http: aiohttp.ClientSession) -> None:
    async with following(http) as stream:
        await post(http, "/api/ask", QUESTION)
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

    state = await get(http, f"/api/threads/{THREAD}")
    assert [view["blocks"] for view in state[1]["messages"]] == [view["blocks"] for view in stream.shown.values()]


async def test_only_changed_blocks_are_sent_again(page: Running, http: aiohttp.ClientSession) -> None:
    async with following(http) as stream:
        page.release(len(PIECES))
        await post(http, "/api/ask", QUESTION)
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
        _, body = await post(http, "/api/ask", QUESTION)
        page.release(1)
        await stream.until(lambda seen: "220 EUR" in seen.text())
        assert (await post(http, f"/api/turns/{body['turn']}/stop", {}))[0] == 200
        await stream.ended()
        assert "Stopped." in stream.text()
        await stream.until(lambda seen: seen.of("user")[0]["final"])
    status, refusal = await post(http, f"/api/turns/{body['turn']}/stop", {})
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
        _, first = await post(http, "/api/ask", QUESTION)
        await stream.ended()
        status, second = await post(http, f"/api/turns/{first['turn']}/strong", {})
        assert status == 202
        await stream.ended(count=2)
    assert page.dispatcher.turns[second["turn"]].wish == "strong"
    await post(http, f"/api/turns/{first['turn']}/up", {})
    await post(http, f"/api/turns/{first['turn']}/down", {"reason": " It is wrong "})
    assert page.dispatcher.thumbs == [(first["turn"], 1, ""), (first["turn"], -1, "It is wrong")]


async def test_messages_are_read_from_the_store_after_a_restart(page: Running, http: aiohttp.ClientSession) -> None:
    page.release(len(PIECES))
    async with following(http) as stream:
        await post(http, "/api/ask", QUESTION)
        await stream.ended()
    page.playground.hub = type(page.playground.hub)()
    _, listed = await get(http, "/api/threads")
    assert [(thread["id"], thread["title"]) for thread in listed["threads"]] == [(THREAD, QUESTION["text"])]
    _, read = await get(http, f"/api/threads/{THREAD}")
    asked, answer = read["messages"]
    assert asked["blocks"] == ['<p class="plain">What is the &lt;limit&gt;?</p>']
    assert [source["n"] for source in answer["sources"]] == [1, 2]
    assert (answer["final"], answer["notes"], answer["actions"][0]) == (True, ["stored"], "sources")


async def test_a_refusal_is_shown_before_and_after_a_restart(page: Running, http: aiohttp.ClientSession) -> None:
    page.dispatcher.refusal = "Your budget for today is spent."
    async with following(http) as stream:
        await post(http, "/api/ask", QUESTION)
        await stream.ended()
    assert stream.of("assistant")[0]["failed"]
    assert "Your budget for today is spent." in stream.text()
    page.playground.hub = type(page.playground.hub)()
    _, read = await get(http, f"/api/threads/{THREAD}")
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


async def test_what_happens_while_a_conversation_is_read_is_after_its_event(
    page: Running, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with following(http) as stream:
        _, body = await post(http, "/api/ask", QUESTION)
        await stream.until(lambda seen: bool(seen.of("assistant")))

        async def ratings(*_: object) -> dict[str, int]:
            page.release(len(PIECES))
            await stream.ended()
            return {}

        monkeypatch.setattr(page.playground.history, "ratings", ratings)
        _, found = await get(http, f"/api/threads/{THREAD}")
        assert [view["final"] for view in found["messages"] if view["role"] == "assistant"] == [False]
        ended = next(event for event in stream.events if event.data.get("role") == "assistant" and event.data["final"])
        assert int(found["event"].partition("-")[2]) < int(ended.id.partition("-")[2]), "the page ignores it otherwise"
        assert body["turn"] == ended.data["turn"]
