"""Tests what an empty page offers: questions about the documents that are there, and the steps that are left."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from selenium.webdriver.common.keys import Keys
from sqlalchemy import insert

from bot.config import load
from bot.health import SAMPLE
from bot.llm.model_check_cache import ModelChecks
from bot.platforms.web.welcome import Step, StoredWelcome, Welcome, questions_about
from bot.store.database.session import Database
from bot.store.schema import threads, turns
from bot.types.checks import Check
from bot.types.conversation import LOCAL_TENANT
from knowledge import sample
from knowledge.store.document_topics import Topic
from knowledge.store.schema import chunks, documents, sources
from tests.web.browser import browsing, click, requires_chromium, shown, texts, type_keys, visible, wait_until
from tests.web.client import get
from tests.web.conftest import Running
from tests.web.fake_documents import ScriptedWelcome

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


async def store_document(
    database: Database, title: str, *headings: str, audience: str = "tenant", uri: str = "", age: int = 0
) -> None:
    """Store a document of one chunk for each heading."""
    source, document = uuid.uuid4(), uuid.uuid4()
    at = NOW - timedelta(days=age)
    named = {"tenant_id": LOCAL_TENANT, "audience": audience}
    async with database.tenant(LOCAL_TENANT) as session:
        await session.execute(
            insert(sources).values(**named, id=source, uri=uri or f"/docs/{title}", kind="file", fetched_at=at)
        )
        await session.execute(
            insert(documents).values(
                **named, id=document, source_id=source, uri=f"{uri}/{title}.md", title=title, text="Text.", blocks=[],
                metadata={}, content_hash="x", recipe="x", state="ready", fetched_at=at, dated_at=at,
            )
        )  # fmt: skip
        for position, heading in enumerate(headings):
            await session.execute(
                insert(chunks).values(
                    **named, chunk_id=uuid.uuid4().int % 2**40, document_id=document, position=position, header="",
                    text="Text.", start_char=0, end_char=5, heading=[title, heading], digest="x", terms=1,
                )
            )  # fmt: skip


async def store_question(database: Database, question: str, *, private: bool = False, age: int = 0) -> None:
    """Store a question that begins a conversation and is answered with a citation."""
    thread = f"{'ask:' if private else ''}{uuid.uuid4().hex}"
    place = {"tenant_id": LOCAL_TENANT, "thread_uid": uuid.uuid4(), "platform": "web", "channel_id": "playground"}
    at = NOW - timedelta(days=age)
    asked = {"turn_id": uuid.uuid4(), "message_id": thread, "user_id": "you", "user_name": "You", "fresh": False}
    async with database.tenant(LOCAL_TENANT) as session:
        await session.execute(insert(threads).values(**place, thread_id=thread, title=question))
        await session.execute(
            insert(turns).values(
                **place, **asked, thread_id=thread, question=question, state="done", citations=[{"n": 1}], created_at=at
            )
        )


def welcome(
    database: Database, folder: Path, unready: Mapping[str, str] | None = None, **settings: object
) -> StoredWelcome:
    made = load(data_dir=folder, **settings)
    return StoredWelcome(
        database.tenant, made, lambda: unready or {}, lambda: NOW, ModelChecks(all_is_well, lambda: NOW)
    )


async def all_is_well() -> list[Check]:
    return [Check("model m", True, "answers")]


async def test_suggestions_are_about_the_documents_that_are_there(database: Database, tmp_path: Path) -> None:
    empty = await welcome(database, tmp_path).read(admin=True)
    assert (empty.questions, empty.documents) == ((), 0)
    await store_document(database, "Travel", "Hotels", "Trains", age=1)
    await store_document(database, "Plans of the board", audience="C-board")
    await store_document(database, "deep/path/of_a_file.md", "Heading")
    found = await welcome(database, tmp_path).read(admin=False)
    assert found == Welcome(("What does “Travel” say about “Hotels”?",), 2, False)
    assert "board" not in "".join(found.questions)


async def test_suggestions_begin_with_what_was_asked_most_this_week(database: Database, tmp_path: Path) -> None:
    await store_document(database, "Travel")
    for question, count, private, age in (
        ("Where is the tent?", 3, False, 1),
        ("Who is on call?", 2, False, 0),
        ("Asked once?", 1, False, 0),
        ("Asked long ago?", 3, False, 9),
        ("What do I earn?", 3, True, 0),
    ):
        for _ in range(count):
            await store_question(database, question, private=private, age=age)
    found = await welcome(database, tmp_path).read(admin=False)
    assert found.questions == ("Where is the tent?", "Who is on call?", "What does “Travel” say?")


async def test_the_sample_has_its_own_questions(database: Database, tmp_path: Path) -> None:
    adding = await welcome(database, tmp_path, {SAMPLE: "is starting"}).read(admin=False)
    assert (adding.questions, adding.adding_sample) == (sample.questions(), True)
    await store_document(database, "Travel", "Hotels", uri=str(sample.path()))
    assert (await welcome(database, tmp_path).read(admin=False)).questions == sample.questions()


@pytest.mark.parametrize(
    ("settings", "unready", "done", "words"),
    [
        ({}, {}, [False, False, False], "Set the tokens of Slack or Discord"),
        ({"discord_token": "t"}, {}, [False, False, True], "Discord is connected."),
        ({"discord_token": "t"}, {"discord": "the token is wrong"}, [False, False, False], "the token is wrong"),
    ],
)
async def test_the_steps_say_what_is_left(
    database: Database, tmp_path: Path, settings: dict[str, str], unready: dict[str, str], done: list[bool], words: str
) -> None:
    found = await welcome(database, tmp_path, unready, **settings).read(admin=True)
    assert [step.name for step in found.steps] == ["documents", "model", "chat"]
    assert [step.done for step in found.steps] == done
    assert words in found.steps[2].detail


def test_questions_name_documents_as_people_do() -> None:
    topics = [Topic("a/b", ""), Topic("x" * 60, ""), Topic("Travel", "y" * 60), Topic("On-call", "**Pager**")]
    assert questions_about(topics) == ("What does “Travel” say?", "What does “On-call” say about “Pager”?")


async def test_the_page_asks_what_to_offer(page: Running, http: aiohttp.ClientSession) -> None:
    status, found = await get(http, "/api/welcome")
    assert (status, found["documents"], found["adding_sample"]) == (200, 3, False)
    assert isinstance(page.playground.welcome, ScriptedWelcome)
    assert page.playground.welcome.admins == [True]


@requires_chromium
async def test_the_first_page_leads_through_the_steps(page: Running, tmp_path: Path) -> None:
    offers = page.playground.welcome
    assert isinstance(offers, ScriptedWelcome)
    steps = (
        Step("documents", False, "Drop files on this page."),
        Step("model", False, "Set a key."),
        Step("chat", True, "Slack is connected."),
    )
    offers.offered = Welcome((), 0, False, steps)
    async with browsing(page.address) as driver:
        await wait_until(driver, lambda driver: texts(driver, "#steps li b"))
        assert await shown(driver, "#steps li.done b") == ["Connect Slack or Discord"]
        assert await visible(driver, "add-documents")
        assert not await visible(driver, "suggestions")
        assert await shown(driver, "#chips button") == [], "no question without a document that answers it"
        offers.offered = Welcome(
            ("What does “Note” say?",), 1, False, (Step("documents", True, "1 document."), *steps[1:])
        )
        note = tmp_path / "note.md"
        note.write_text("# Note")
        await type_keys(driver, str(note), into="#documents")
        await wait_until(driver, lambda driver: "Added note.md, 6 bytes." in "".join(texts(driver, ".msg.command")))
        await click(driver, "#new")
        await wait_until(driver, lambda driver: texts(driver, "#chips button") == ["What does “Note” say?"])
        assert len(await shown(driver, "#steps li.done b")) == 2
        assert not await visible(driver, "add-documents")
        await click(driver, "#dismiss-steps")
        await wait_until(driver, lambda driver: not driver.find_element("id", "steps").is_displayed())

        offers.offered = Welcome((), 0, False)
        await asyncio.to_thread(driver.refresh)
        await wait_until(driver, lambda driver: driver.find_element("id", "add-documents").is_displayed())
        await type_keys(driver, "https://handbook.example/travel", Keys.ENTER, into="#address")
        await wait_until(
            driver, lambda driver: "/ingest https://handbook.example/travel" in texts(driver, ".msg.user .body")
        )
        assert await shown(driver, "#steps li") == []
