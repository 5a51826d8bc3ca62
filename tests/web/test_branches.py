"""Tests that an edited question begins a branch: a conversation of its own that has what came before it."""

from __future__ import annotations

import uuid

import aiohttp
import pytest
from selenium.webdriver.common.keys import Keys
from sqlalchemy import text

from bot.app import App
from bot.engine.dispatch.dispatcher import Dispatcher
from bot.errors import StoreAway
from bot.platforms.web.history import StoreHistory, thread_key
from bot.platforms.web.question_branches import StoredBranches
from bot.store import threads
from bot.store.browser_page.conversation_branches import BranchLink
from bot.store.database.session import Database
from bot.types.conversation import LOCAL_TENANT, Incoming
from bot.types.turns import Turn
from tests.web.accessibility import faults
from tests.web.browser import (
    browsing,
    click,
    click_unseen,
    console_errors,
    find_all,
    look,
    requires_chromium,
    shown,
    texts,
    type_keys,
    wait_until,
)
from tests.web.client import THREAD, Stream, following, get, post
from tests.web.serving import served
from tests.web.test_conversation_pages import store_turns

BRANCH, SECOND = "branch-0001", "branch-0002"


async def said(database: Database, thread: str) -> list[str]:
    return [row.text for row in await StoreHistory(database).messages(thread)]


async def test_a_branch_has_what_came_before_and_the_original_keeps_what_follows(database: Database) -> None:
    ids = await store_turns(database, THREAD, 4)
    before = await said(database, THREAD)
    branches = StoredBranches(database)
    assert await branches.begin(ids[2], BRANCH, "Another  question?")
    assert await said(database, BRANCH) == ["user 0", "assistant 0", "user 1", "assistant 1"]
    assert await said(database, THREAD) == before
    original = (await StoreHistory(database).messages(THREAD))[:4]
    copied = await StoreHistory(database).messages(BRANCH)
    assert [(row.created_at, row.model, row.citations) for row in copied] == [
        (row.created_at, row.model, row.citations) for row in original
    ]
    assert not {row.turn_id for row in copied} & set(ids)
    assert (await branches.links(BRANCH)).origin == BranchLink(ids[2], THREAD, "question 0")
    assert (await branches.links(THREAD)).branches == [BranchLink(ids[2], BRANCH, "Another question?")]
    assert await branches.begin(copied[2].turn_id, SECOND, "Yet another?"), "a branch of a branch"
    assert await said(database, SECOND) == ["user 0", "assistant 0"]


async def test_a_branch_begins_only_at_a_question_of_the_page(database: Database) -> None:
    ids = await store_turns(database, THREAD, 2)
    branches = StoredBranches(database)
    assert not await branches.begin(str(uuid.uuid4()), BRANCH, "x")
    assert not await branches.begin(ids[1], THREAD, "x"), "the conversation exists"
    async with database.tenant(LOCAL_TENANT) as session:
        await session.execute(text("UPDATE turns SET question = '' WHERE turn_id = :id"), {"id": uuid.UUID(ids[1])})
        await session.execute(text("UPDATE turns SET channel_id = 'D1' WHERE turn_id = :id"), {"id": uuid.UUID(ids[0])})
    for turn in ids:
        assert not await branches.begin(turn, BRANCH, "x"), "a deleted question, and one of another channel"
    assert await said(database, BRANCH) == []


async def test_a_branch_without_a_question_is_deleted_and_one_with_a_question_stays(database: Database) -> None:
    ids = await store_turns(database, THREAD, 2)
    branches = StoredBranches(database)
    for _ in range(2):
        assert await branches.begin(ids[1], BRANCH, "x")
        await branches.remove_empty(BRANCH)
        assert await said(database, BRANCH) == []
    async with database.tenant(LOCAL_TENANT) as session:
        assert await session.scalar(text("SELECT count(*) FROM inbox")) == 0
    await branches.remove_empty(THREAD)
    assert len(await said(database, THREAD)) == 4


async def ask(http: aiohttp.ClientSession, stream: Stream, question: str) -> str:
    _, found = await post(http, "/api/ask", {"thread": THREAD, "id": uuid.uuid4().hex, "text": question})
    return await answered(stream, found["turn"])


async def answered(stream: Stream, turn: str) -> str:
    await stream.until(lambda seen: any(view["turn"] == turn and view["final"] for view in seen.of("assistant")))
    return turn


async def history_of(database: Database, thread: str, turn: str) -> list[str]:
    """Return the questions that the answer to a turn took into account."""
    async with database.tenant(LOCAL_TENANT) as session:
        found = await threads.history(session, key=thread_key(thread), before_turn=turn)
    return [message.text for message in found.messages if message.role == "user"]


FIRST, OLD, AFTER = "What is a SEV-1?", "How fast must I react at night?", "What is a week on call paid?"
EDITED, NEXT = "How fast must I react by day?", "Who is called next?"


async def test_both_conversations_go_on_with_their_own_history(handbook_app: App, database: Database) -> None:
    async with served(handbook_app) as address, aiohttp.ClientSession(address) as http, following(http) as stream:
        await ask(http, stream, FIRST)
        old = await ask(http, stream, OLD)
        after = await ask(http, stream, AFTER)
        status, found = await post(http, f"/api/turns/{old}/branch", {"thread": BRANCH, "text": f" {EDITED} "})
        assert status == 202
        edited = await answered(stream, found["turn"])
        assert await history_of(database, BRANCH, edited) == [FIRST]
        assert await history_of(database, THREAD, after) == [FIRST, OLD]
        _, page = await get(http, f"/api/threads/{BRANCH}")
        assert page["origin"] == {"turn_id": old, "thread_id": THREAD, "title": FIRST}
        _, page = await get(http, f"/api/threads/{THREAD}")
        assert page["branches"] == [{"turn_id": old, "thread_id": BRANCH, "title": EDITED}]
        _, listed = await get(http, "/api/threads")
        assert {one["id"]: one["title"] for one in listed["threads"]} == {THREAD: FIRST, BRANCH: EDITED}

        first = (await StoreHistory(database).messages(THREAD))[0].turn_id
        await post(http, f"/api/turns/{first}/forget", {})
        for thread, left in ((THREAD, [OLD, AFTER]), (BRANCH, [EDITED])):
            rows = await StoreHistory(database).messages(thread)
            assert [row.text for row in rows if row.role == "user"] == left, "the copy is deleted with its original"


@pytest.mark.parametrize("wrong", [{"text": "  "}, {"text": "x", "thread": "?"}, {"text": "x" * 100_000}])
async def test_a_wrong_branch_leaves_nothing_behind(
    handbook_app: App, database: Database, wrong: dict[str, str]
) -> None:
    async with served(handbook_app) as address, aiohttp.ClientSession(address) as http, following(http) as stream:
        turn = await ask(http, stream, FIRST)
        status, found = await post(http, f"/api/turns/{turn}/branch", {"thread": BRANCH, **wrong})
        assert (status, bool(found["error"])) == (400, True)
        for unknown in (uuid.uuid4(), "x"):
            status, _ = await post(http, f"/api/turns/{unknown}/branch", {"thread": BRANCH, "text": "x"})
            assert status == 400
            assert (await post(http, f"/api/turns/{unknown}/forget", {}))[0] == 400
    assert await said(database, BRANCH) == []
    async with database.tenant(LOCAL_TENANT) as session:
        assert await session.scalar(text("SELECT count(*) FROM threads")) == 1


async def attached(database: Database, turn: str) -> list[str]:
    async with database.tenant(LOCAL_TENANT) as session:
        names = text("SELECT name FROM attachments WHERE turn_id = :turn ORDER BY position")
        return list(await session.scalars(names, {"turn": uuid.UUID(turn)}))


async def test_the_attachments_of_an_edited_question_are_stored_with_its_branch(
    handbook_app: App, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(handbook_app) as address, aiohttp.ClientSession(address) as http, following(http) as stream:
        async with http.post("/api/attach?file=limits.txt", data=b"The limit is 7.") as response:
            key = (await response.json())["file"]
        asked = {"thread": THREAD, "id": "m1", "text": "What is the limit?", "files": [key]}
        _, found = await post(http, "/api/ask", asked)
        old = await answered(stream, found["turn"])
        accept = Dispatcher.accept

        async def accept_and_die(self: Dispatcher, incoming: Incoming) -> Turn | None:
            await accept(self, incoming)
            raise StoreAway("the process is cut off")

        monkeypatch.setattr(Dispatcher, "accept", accept_and_die)
        status, _ = await post(http, f"/api/turns/{old}/branch", {"thread": BRANCH, "text": EDITED})
        assert status == 503
        async with database.tenant(LOCAL_TENANT) as session:
            branched = await session.scalar(text("SELECT turn_id FROM turns WHERE thread_id = :id"), {"id": BRANCH})
        assert await attached(database, str(branched)) == ["limits.txt"]


async def test_a_branch_that_is_asked_for_again_after_a_lost_response_has_its_question_once(
    handbook_app: App, database: Database
) -> None:
    async with served(handbook_app) as address, aiohttp.ClientSession(address) as http, following(http) as stream:
        await ask(http, stream, FIRST)
        old = await ask(http, stream, OLD)
        begun = await StoredBranches(database).begin(old, BRANCH, EDITED)
        assert begun, "a process died after this"
        status, found = await post(http, f"/api/turns/{old}/branch", {"thread": BRANCH, "text": EDITED})
        assert status == 202
        await answered(stream, found["turn"])
        status, again = await post(http, f"/api/turns/{old}/branch", {"thread": BRANCH, "text": EDITED})
        assert (status, again) == (202, {"turn": None})
        rows = await StoreHistory(database).messages(BRANCH)
        assert [row.text for row in rows if row.role == "user"] == [FIRST, EDITED]
        first = (await StoreHistory(database).messages(THREAD))[0].turn_id
        status, _ = await post(http, f"/api/turns/{first}/branch", {"thread": BRANCH, "text": EDITED})
        assert status == 400, "a branch of another question has this ID"


async def test_an_edited_question_leaves_no_copy_of_its_earlier_text_in_branches(
    handbook_app: App, database: Database
) -> None:
    async with served(handbook_app) as address, aiohttp.ClientSession(address) as http, following(http) as stream:
        first, old = await ask(http, stream, FIRST), await ask(http, stream, OLD)
        _, found = await post(http, f"/api/turns/{old}/branch", {"thread": BRANCH, "text": EDITED})
        await answered(stream, found["turn"])
        status, _ = await post(http, f"/api/turns/{first}/change", {"text": FIRST})
        assert status == 200
        assert len(await said(database, BRANCH)) == 4, "the text is unchanged"
        status, _ = await post(http, f"/api/turns/{first}/change", {"text": NEXT})
        assert status == 200
        rows = await StoreHistory(database).messages(BRANCH)
        assert [row.text for row in rows if row.role == "user"] == [EDITED]


@requires_chromium
async def test_an_edited_question_opens_its_branch_and_both_are_reachable(handbook_app: App) -> None:
    async with served(handbook_app) as address, browsing(address) as driver:
        await wait_until(driver, lambda driver: texts(driver, "#connection") == ["connected"])
        await type_keys(driver, FIRST, Keys.ENTER)
        await wait_until(driver, lambda driver: len(find_all(driver, ".msg.assistant.final")) == 1)
        await type_keys(driver, OLD, Keys.ENTER)
        await wait_until(driver, lambda driver: len(find_all(driver, ".msg.assistant.final")) == 2)
        await click_unseen(driver, ".msg.user .question-actions button", 2)
        await wait_until(driver, lambda driver: find_all(driver, ".editor textarea"))
        await type_keys(driver, Keys.CONTROL + "a", into=".editor textarea")
        await type_keys(driver, EDITED, Keys.ENTER, into=".editor textarea")
        await wait_until(driver, lambda driver: texts(driver, "#title") == [EDITED])
        await wait_until(driver, lambda driver: texts(driver, ".msg.user .body") == [FIRST, EDITED])
        await wait_until(driver, lambda driver: len(find_all(driver, ".msg.assistant.final")) == 2)
        assert await shown(driver, "#origin a") == [f"Branch of “{FIRST}”"]
        assert await shown(driver, "#threads a") == [EDITED, FIRST]
        assert await faults(driver, name="branch") == []

        await click(driver, "#origin a")
        await wait_until(driver, lambda driver: texts(driver, ".msg.user .body") == [FIRST, OLD])
        await wait_until(driver, lambda driver: texts(driver, "#title") == [FIRST])
        assert await shown(driver, ".msg.user .branches a") == [f"Branch: {EDITED}"]
        assert not await look(driver, lambda driver: driver.find_element("id", "origin").is_displayed())
        assert await faults(driver, name="branched") == []
        await click(driver, ".branches a")
        await wait_until(driver, lambda driver: texts(driver, ".msg.user .body") == [FIRST, EDITED])
        assert await look(driver, console_errors) == []
