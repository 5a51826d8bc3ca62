"""Tests how a conversation is read back: page by page, with its title, its buttons and the thumbs of the reader."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from sqlalchemy import insert

from bot.errors import UsageError
from bot.platforms.web.event_hub import EventHub
from bot.platforms.web.history import StoredPage, StoreHistory, live_on_page, message_views, thread_key
from bot.platforms.web.json_views import MessageView, iso_timestamp
from bot.store.browser_page.page_conversations import MessageRow
from bot.store.database.session import Database
from bot.store.schema import feedback, messages, threads, turns
from bot.store.threads import thread_uid
from bot.types.conversation import LOCAL_TENANT
from tests.web.client import QUESTION, THREAD, following, get, post
from tests.web.conftest import Running
from tests.web.fakes import PIECES, VERIFIED, MemoryHistory

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


async def store_turns(database: Database, thread_id: str, count: int, *, deleted: tuple[int, ...] = ()) -> list[str]:
    """Store answered questions, a minute apart, and return the IDs of their turns. Deleted ones have no messages."""
    key, uid = thread_key(thread_id), thread_uid(thread_key(thread_id))
    ids = [uuid.UUID(int=number + 1) for number in range(count)]
    at = [START + timedelta(minutes=number) for number in range(count)]
    place = {"tenant_id": LOCAL_TENANT, "platform": "web", "channel_id": key.channel_id, "thread_id": thread_id}
    asked = {"user_id": "you", "user_name": "You", "fresh": False, "state": "done"}
    traces = [{"route": {"model": "small" if number % 2 else "large"}} for number in range(count)]
    said = [
        {"turn_id": ids[number], "role": role, "text": f"{role} {number}", "created_at": at[number]}
        for number in range(count)
        for role in ("user", "assistant")
        if number not in deleted
    ]
    async with database.tenant(LOCAL_TENANT) as session:
        await session.execute(insert(threads).values(**place, thread_uid=uid, title="question 0", updated_at=at[-1]))
        await session.execute(
            insert(turns),
            [
                {**place, **asked, "thread_uid": uid, "turn_id": ids[n], "message_id": str(n), "question": f"user {n}"}
                | {"trace": traces[n], "created_at": at[n]}
                for n in range(count)
            ],
        )
        await session.execute(
            insert(messages),
            [
                {"tenant_id": LOCAL_TENANT, "thread_uid": uid, "author_id": "you", "author": "You", "tokens": 1} | one
                for one in said
            ],
        )
    return [str(one) for one in ids]


async def test_stored_pages_hold_every_message_once(database: Database) -> None:
    ids = await store_turns(database, THREAD, 8, deleted=(3,))
    history = StoreHistory(database, page_turns=3)
    latest = await history.page(THREAD)
    middle = await history.page(THREAD, latest.earlier)
    first = await history.page(THREAD, middle.earlier)
    assert [page.turn_ids for page in (first, middle, latest)] == [[ids[0]], [ids[1], ids[2], ids[4]], ids[5:]]
    assert (first.earlier, middle.earlier, latest.earlier) == ("", ids[1], ids[5])
    assert middle.until == START + timedelta(minutes=5)
    rows = [*first.rows, *middle.rows, *latest.rows]
    assert [(row.role, row.text) for row in rows] == [(row.role, row.text) for row in await history.messages(THREAD)]
    with pytest.raises(UsageError):
        await history.page(THREAD, "no turn")


async def test_stored_answers_have_the_buttons_and_thumbs_of_their_time(database: Database) -> None:
    ids = await store_turns(database, THREAD, 2)
    async with database.tenant(LOCAL_TENANT) as session:
        for user, value in (("you", -1), ("ben", 1)):
            rating = {"tenant_id": LOCAL_TENANT, "turn_id": uuid.UUID(ids[0]), "user_id": user, "value": value}
            await session.execute(insert(feedback).values(**rating))
    history = StoreHistory(database, strong_model="large")
    page = await history.page(THREAD)
    views = message_views(THREAD, page.rows, [], strong_model=history.strong_model)
    assert ["strong" in view.actions for view in views if view.role == "assistant"] == [False, True]
    views = message_views(THREAD, page.rows, [], strong_model=None)
    assert not any("strong" in view.actions for view in views)
    assert await history.ratings(ids, "you") == {ids[0]: -1}
    assert (await history.title(THREAD), await history.title("thread-none")) == ("question 0", "")


def test_live_messages_are_on_the_page_of_their_time() -> None:
    rows = [MessageRow(f"t{n}", "user", "You", "?", START + timedelta(minutes=n)) for n in range(6)]
    latest, first = StoredPage(rows[3:], "t3"), StoredPage(rows[:3], "", rows[3].created_at)

    def live(name: str, minutes: float, turn: str = "") -> MessageView:
        at = iso_timestamp(START + timedelta(minutes=minutes))
        return MessageView(name, THREAD, "command", "Parley", at, turn=turn)

    views = [live("early", 1.5), live("late", 4.5), live("answer", 9, "t1"), live("running", 5.5, "t9")]
    assert [view.id for view in live_on_page(latest, views)] == ["late", "answer", "running"]
    assert [view.id for view in live_on_page(first, views)] == ["early", "answer"]


async def test_earlier_messages_are_read_on_demand(page: Running, http: aiohttp.ClientSession) -> None:
    history = page.playground.history
    assert isinstance(history, MemoryHistory)
    history.page_turns = 2
    page.release(3 * len(PIECES))
    async with following(http) as stream:
        for number in range(3):
            await post(http, "/api/ask", {**QUESTION, "id": f"m{number}", "text": f"Question {number}?"})
            await stream.ended(count=number + 1)
    page.playground.hub = page.playground.poller.hub = EventHub()
    _, latest = await get(http, f"/api/threads/{THREAD}")
    _, earlier = await get(http, f"/api/threads/{THREAD}?before={latest['earlier']}")
    asked = [[view["blocks"][0] for view in found["messages"] if view["role"] == "user"] for found in (earlier, latest)]
    assert [len(one) for one in asked] == [1, 2]
    assert "Question 0?" in asked[0][0]
    assert earlier["earlier"] == ""


async def test_an_edited_first_question_changes_the_title_everywhere(
    page: Running, http: aiohttp.ClientSession
) -> None:
    page.release(3 * len(PIECES))
    async with following(http) as stream:
        _, first = await post(http, "/api/ask", QUESTION)
        await stream.ended()
        _, second = await post(http, "/api/ask", {**QUESTION, "id": "m2", "text": "And in Ghent?"})
        await stream.ended(count=2)
        await post(http, f"/api/turns/{first['turn']}/change", {"text": "Where is the tent?"})
        await stream.until(lambda seen: any(event.kind == "title" for event in seen.events))
        await post(http, f"/api/turns/{first['turn']}/forget", {})
        await stream.until(lambda seen: sum(event.kind == "title" for event in seen.events) == 2)
        await post(http, f"/api/turns/{second['turn']}/forget", {})
        await stream.until(lambda seen: sum(event.kind == "title" for event in seen.events) == 3)
        titles = [event.data["title"] for event in stream.events if event.kind == "title"]
        moved = {event.data["title"] for event in stream.events if event.kind == "thread"}
    assert titles == ["Where is the tent?", "And in Ghent?", ""]
    assert moved == {"What is the <limit>?"}


async def test_a_title_changed_by_another_process_is_shown_here(page: Running, http: aiohttp.ClientSession) -> None:
    page.release(len(PIECES))
    async with following(http) as stream:
        _, asked = await post(http, "/api/ask", QUESTION)
        await stream.ended()
        await page.playground.poller.poll()
        turn = page.dispatcher.turns[asked["turn"]]
        page.dispatcher.turns[turn.id] = replace(turn, question="Where is the tent?")
        await stream.until(lambda seen: any(event.kind == "title" for event in seen.events))
    assert [thread.title for thread in page.playground.hub.threads("you")] == ["Where is the tent?"]


async def test_thumbs_are_read_back(page: Running, http: aiohttp.ClientSession) -> None:
    page.release(len(PIECES))
    async with following(http) as stream:
        _, asked = await post(http, "/api/ask", QUESTION)
        await stream.ended()
    await post(http, f"/api/turns/{asked['turn']}/down", {})
    _, found = await get(http, f"/api/threads/{THREAD}")
    assert found["ratings"] == {asked["turn"]: -1}


async def test_a_private_answer_has_sources_to_open(page: Running, http: aiohttp.ClientSession) -> None:
    async with following(http) as stream:
        await post(http, "/api/command", {"thread": THREAD, "command": "ask", "args": "What is the limit?"})
        await stream.ended("command")
    (reply,) = stream.of("command")
    assert [source["n"] for source in reply["sources"]] == [1, 2]
    assert 'class="cite" data-n="1"' in stream.text("command")
    assert "[2]" not in stream.text("command"), "the sources are not listed in the text as well"
    assert reply["notes"] == [VERIFIED]
