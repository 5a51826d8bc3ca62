"""Tests that conversations are searched, renamed, pinned, exported and deleted."""

from __future__ import annotations

import aiohttp
import pytest
from selenium.webdriver.common.keys import Keys

from bot.platforms.web.command_cards import CommandCard, StoredCommandCards
from bot.platforms.web.conversations import Conversations
from bot.platforms.web.event_hub import EventHub
from bot.platforms.web.history import StoreHistory
from bot.platforms.web.json_views import MessageView, ThreadView
from bot.store.database.pipelined_transactions import send
from bot.store.database.session import Database
from bot.store.threads import thread_uid
from bot.store.turns import question_changes
from bot.types.audience import MEMBERS
from bot.types.conversation import LOCAL_TENANT, Author
from tests.web.browser import (
    Chrome,
    browsing,
    click,
    console_errors,
    look,
    requires_chromium,
    shown,
    texts,
    type_keys,
    value_of,
    wait_until,
)
from tests.web.client import QUESTION, THREAD, following, get, post
from tests.web.conftest import Running
from tests.web.fakes import PIECES
from tests.web.test_conversation_pages import store_turns

ANN, BEN = Author("you", "Ann", is_admin=True), Author("ben", "Ben")
OTHER = "thread-0002"


async def test_stored_conversations_are_found_pinned_and_renamed(database: Database) -> None:
    history = StoreHistory(database)
    await store_turns(database, THREAD, 2)
    assert [row.key.thread_id for row in await history.listed(10, "ASSISTANT 1")] == [THREAD]
    assert await history.listed(10, "100%") == []
    assert [row.pinned for row in await history.listed(10)] == [False]
    assert await history.pin(THREAD, True)
    assert await history.rename(THREAD, "Journeys")
    assert [(row.title, row.pinned) for row in await history.listed(10, "journeys")] == [("Journeys", True)]
    assert not await history.rename("thread-none", "x")
    assert not await history.pin("thread-none", True)


async def test_a_chosen_title_stays_until_the_last_question_is_deleted(database: Database) -> None:
    history = StoreHistory(database)
    first, second = await store_turns(database, THREAD, 2)
    await history.rename(THREAD, "Journeys")

    async def delete(turn: str) -> None:
        key = thread_uid((await history.listed(1))[0].key)
        async with database.tenant(LOCAL_TENANT) as session:
            statements = question_changes.following_a_deletion(tenant_id=LOCAL_TENANT, turn_id=turn, thread_uid=key)
            await send(session, *statements)

    async with database.tenant(LOCAL_TENANT) as session:
        uid = thread_uid((await history.listed(1))[0].key)
        question = "Where is the tent?"
        anew = question_changes.beginning_anew(
            tenant_id=LOCAL_TENANT, turn_id=first, question=question, audience=MEMBERS, holder=None
        )
        await send(session, anew)
        following = question_changes.following_an_edit(
            tenant_id=LOCAL_TENANT, turn_id=first, thread_uid=uid, question=question, tokens=1
        )
        await send(session, *following)
    assert await history.title(THREAD) == "Journeys"
    await delete(first)
    assert await history.title(THREAD) == "Journeys"
    await delete(second)
    assert await history.title(THREAD) == ""


async def test_deleting_a_conversation_deletes_the_commands_that_its_user_sees(database: Database) -> None:
    cards, hub = StoredCommandCards(database), EventHub()
    for name, author, public, thread in (
        ("own", ANN, False, THREAD),
        ("public", BEN, True, THREAD),
        ("private", BEN, False, THREAD),
        ("elsewhere", ANN, False, OTHER),
    ):
        view = MessageView(f"c-{name}", thread, "command", "Parley", "2026-03-02T09:00:00")
        await cards.write(CommandCard(author.id, ThreadView(thread, name, view.at), view, view, public))

    async def delete_turn(turn_id: str, author: Author) -> None:
        raise AssertionError("there is no question")

    await Conversations(StoreHistory(database), hub, cards, delete_turn).delete(THREAD, ANN)
    left, _ = await cards.changes(0)
    assert {card.id for card in left} == {"c-private", "c-elsewhere"}


async def test_a_conversation_is_renamed_pinned_and_exported_over_http(
    page: Running, http: aiohttp.ClientSession
) -> None:
    page.release(2 * len(PIECES))
    async with following(http) as stream:
        await post(http, "/api/ask", QUESTION)
        await post(http, "/api/ask", {**QUESTION, "thread": OTHER, "id": "m2", "text": "Where is the tent?"})
        await stream.ended(count=2)
        assert (await post(http, f"/api/threads/{THREAD}/rename", {"title": "  My\n journey "}))[0] == 200
        assert (await post(http, f"/api/threads/{THREAD}/pin", {}))[0] == 200
        await stream.until(lambda seen: {"title", "pin"} <= {event.kind for event in seen.events})
    _, found = await get(http, "/api/threads")
    assert [(one["title"], one["pinned"]) for one in found["threads"] if one["pinned"]] == [("My journey", True)]
    _, found = await get(http, "/api/threads?search=tent")
    assert [one["id"] for one in found["threads"]] == [OTHER]
    async with http.get(f"/api/threads/{THREAD}/export") as response:
        text = await response.text()
        assert response.headers["Content-Disposition"] == "attachment; filename*=UTF-8''My%20journey.md"
    assert text.startswith("# My journey\n\n## Ada, ")
    assert "1. Expenses and travel › Hotels (handbook/expenses-and-travel.md): “| London" in text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"/api/threads/{THREAD}/rename", {"title": " "}),
        (f"/api/threads/{THREAD}/rename", {"title": "A conversation without a question"}),
        (f"/api/threads/{THREAD}/pin", {}),
        (f"/api/threads/{THREAD}/nonsense", {}),
    ],
)
async def test_what_is_not_there_is_refused(http: aiohttp.ClientSession, path: str, body: dict[str, str]) -> None:
    status, found = await post(http, path, body)
    assert (status, bool(found["error"])) == (400, True)
    assert (await get(http, f"/api/threads/{THREAD}/export"))[0] == 400


@requires_chromium
async def test_conversations_are_kept_in_order_in_the_browser(page: Running) -> None:
    async def ask(driver: Chrome, question: str) -> None:
        page.release(len(PIECES))
        await type_keys(driver, question, Keys.ENTER)
        await wait_until(driver, lambda driver: len(texts(driver, ".msg.assistant.final")) == 1)

    tent, nights = "Where is the tent?", "Who is on call?"
    async with browsing(page.address) as driver:
        await wait_until(driver, lambda driver: texts(driver, "#connection") == ["connected"])
        await ask(driver, tent)
        await click(driver, "#pin")
        await wait_until(driver, lambda driver: texts(driver, "#threads h2") == ["Pinned"])
        await click(driver, "#new")
        await ask(driver, nights)
        await wait_until(driver, lambda driver: texts(driver, "#threads a") == [tent, nights])
        await click(driver, "#rename")
        assert await value_of(driver, ".title-input") == nights
        await type_keys(driver, Keys.CONTROL, "a", Keys.NULL, "Nights", Keys.ENTER, into=".title-input")
        await wait_until(driver, lambda driver: texts(driver, "#title") == ["Nights"])
        await type_keys(driver, "tent", into="#search")
        await wait_until(driver, lambda driver: texts(driver, "#threads a") == [tent])
        await type_keys(driver, *(Keys.BACKSPACE for _ in "tent"), into="#search")
        await wait_until(driver, lambda driver: texts(driver, "#threads a") == [tent, "Nights"])
        link = "return document.getElementById('export').href"
        assert str(await look(driver, lambda driver: driver.execute_script(link))).endswith("/export")
        await click(driver, "#delete")
        assert await shown(driver, "#delete") == ["Delete?"]
        assert len(page.dispatcher.turns) == 2
        await click(driver, "#delete")
        await wait_until(driver, lambda driver: texts(driver, "#threads a") == [tent])
        await wait_until(driver, lambda driver: texts(driver, "#log > *") == [])
        assert [turn.question for turn in page.dispatcher.turns.values()] == [tent]
        assert await look(driver, console_errors) == []
