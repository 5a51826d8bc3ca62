"""Tests the page in Chromium with a scripted dispatcher."""

from __future__ import annotations

import asyncio
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from bot.platforms.web import app
from bot.platforms.web.event_hub import EventHub
from tests.web.browser import (
    Chrome,
    click,
    click_unseen,
    console_errors,
    find_all,
    look,
    requires_chromium,
    shown,
    texts,
    type_keys,
    value_of,
    visible,
    wait_until,
)
from tests.web.conftest import CONFIG, Running
from tests.web.fake_documents import QUESTIONS
from tests.web.fakes import PIECES

pytestmark = requires_chromium

QUESTION_ACTIONS = ".msg.user .question-actions button"
EDITOR = ".editor textarea"


async def test_ask_a_sample_question_and_open_a_citation(page: Running, chrome: Chrome) -> None:
    await wait_until(chrome, lambda driver: texts(driver, "#chips button") == list(QUESTIONS))
    await click(chrome, "#chips button")
    await wait_until(chrome, lambda driver: find_all(driver, '[data-action="stop"]'))
    assert await shown(chrome, ".msg.user .body") == [QUESTIONS[0]]

    page.release(1)
    await wait_until(chrome, lambda driver: "220 EUR" in "".join(texts(driver, ".msg.assistant")))
    mark = "document.querySelector('.msg.assistant .body > div').dataset.first = 'kept'"
    await asyncio.to_thread(chrome.execute_script, mark)
    page.release(1)
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.assistant:not(.final) table"))
    assert len(await shown(chrome, "[data-first]")) == 1, "existing blocks are not replaced"

    page.release(1)
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.assistant.final .sources li"))
    assert await shown(chrome, ".sources .source-number") == ["1", "2"]
    await click(chrome, ".cite", 1)
    assert "The limit was 160 EUR per night in every city" in (
        await look(chrome, lambda driver: driver.find_element(By.ID, "passage").text)
    )
    await asyncio.to_thread(webdriver.ActionChains(chrome).send_keys(Keys.ESCAPE).perform)
    assert not await visible(chrome, "passage")

    messages = await shown(chrome, ".msg")
    await asyncio.to_thread(chrome.refresh)
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.assistant.final"))
    assert await shown(chrome, ".msg") == messages
    await wait_until(chrome, lambda driver: texts(driver, "#threads a") == [QUESTIONS[0]])
    assert await look(chrome, console_errors) == []


async def test_keyboard_commands_and_refused_input(page: Running, chrome: Chrome) -> None:
    await wait_until(chrome, lambda driver: texts(driver, "#connection") == ["connected"])
    await type_keys(chrome, "/bud")
    assert await shown(chrome, "#commands b") == ["/budget"]
    await type_keys(chrome, Keys.ENTER, Keys.ENTER)
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.command table"))
    assert "You <b>" in await shown(chrome, ".msg.command td")

    await type_keys(chrome, "/nonsense", Keys.ENTER)
    await wait_until(
        chrome, lambda driver: "There is no command “nonsense”" in driver.find_element(By.ID, "notice").text
    )
    assert await value_of(chrome, "#question") == "/nonsense", "refused input stays in the box"

    await look(chrome, lambda driver: driver.find_element(By.ID, "question").clear())
    await type_keys(chrome, "one", Keys.SHIFT, Keys.ENTER, Keys.NULL, "two")
    assert await value_of(chrome, "#question") == "one\ntwo"
    await type_keys(chrome, Keys.ENTER)
    await click(chrome, '[data-action="stop"]')
    await wait_until(chrome, lambda driver: "Stopped." in "".join(texts(driver, ".msg.assistant.final")))
    await asyncio.to_thread(chrome.refresh)
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.assistant.final"))
    assert "Stopped." in "".join(await shown(chrome, ".msg.assistant.final .body")), (
        "half an answer does not look whole"
    )
    assert [turn.question for turn in page.dispatcher.turns.values()] == ["one\ntwo"]


async def test_an_upload_and_a_thumb(page: Running, chrome: Chrome, tmp_path: Path) -> None:
    await wait_until(chrome, lambda driver: texts(driver, "#connection") == ["connected"])
    note = tmp_path / "note.md"
    note.write_text("# Note")
    await type_keys(chrome, str(note), into="#file")
    await wait_until(chrome, lambda driver: texts(driver, "#attachments li") == ["note.md"])
    await click(chrome, "#ingest")
    await wait_until(chrome, lambda driver: "Added note.md, 6 bytes." in "".join(texts(driver, ".msg.command")))

    page.release(len(PIECES))
    await type_keys(chrome, "What is the limit?", Keys.ENTER)
    await click(chrome, '[data-action="down"]')
    await click(chrome, ".feedback button")
    await wait_until(chrome, lambda driver: "Thank you" in "".join(texts(driver, ".feedback")))
    assert [(value, reason) for _, value, reason in page.dispatcher.thumbs] == [(-1, ""), (-1, "It is wrong")]
    assert await look(chrome, console_errors) == []


async def test_attached_files_are_sent_unless_they_are_removed(page: Running, chrome: Chrome, tmp_path: Path) -> None:
    await wait_until(chrome, lambda driver: texts(driver, "#connection") == ["connected"])
    for name in ("plan.md", "wrong.txt", "limits.csv"):
        (tmp_path / name).write_text(f"# {name}")
        await type_keys(chrome, str(tmp_path / name), into="#file")
    await wait_until(chrome, lambda driver: texts(driver, "#attachments li") == ["plan.md", "wrong.txt", "limits.csv"])
    await click(chrome, '[aria-label="Remove wrong.txt"]')
    page.release(len(PIECES))
    await type_keys(chrome, "What do they say?", Keys.ENTER)
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.assistant.final"))
    (asked,) = page.dispatcher.asked
    assert [file.name for file in asked.attachments] == ["plan.md", "limits.csv"]
    assert await asked.attachments[0].read() == b"# plan.md"
    assert await shown(chrome, ".msg.user .attached") == ["plan.md, limits.csv"]
    assert not await visible(chrome, "attachments"), "the files were attached to that question only"

    large = tmp_path / "large.txt"
    large.write_bytes(b"x" * (CONFIG.upload_limit + 1))
    await type_keys(chrome, str(large), into="#file")
    await wait_until(chrome, lambda driver: "larger than 1 MB" in driver.find_element(By.ID, "notice").text)
    assert await look(chrome, console_errors) == []


async def test_a_question_is_edited_and_then_deleted(page: Running, chrome: Chrome) -> None:
    await wait_until(chrome, lambda driver: texts(driver, "#connection") == ["connected"])
    page.release(len(PIECES))
    await type_keys(chrome, "What is the limit?", Keys.ENTER)
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.assistant.final"))
    assert len(await shown(chrome, QUESTION_ACTIONS)) == 2
    await click_unseen(chrome, QUESTION_ACTIONS, 0)
    assert await value_of(chrome, EDITOR) == "What is the limit?"
    await type_keys(chrome, " In Ghent, I mean.", into=EDITOR)
    page.release(len(PIECES))
    await click(chrome, ".editor button[type=button]")
    await wait_until(
        chrome, lambda driver: texts(driver, ".msg.user .body") == ["What is the limit? In Ghent, I mean."]
    )
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.assistant.final"))
    assert len(await shown(chrome, ".msg.assistant")) == 1, "the new answer replaces the old one"

    await click_unseen(chrome, QUESTION_ACTIONS, 1)
    assert (await shown(chrome, QUESTION_ACTIONS))[1] == "Delete question and answer?"
    assert page.dispatcher.turns
    await click_unseen(chrome, QUESTION_ACTIONS, 1)
    await wait_until(chrome, lambda driver: not find_all(driver, "#log > *"))
    assert page.dispatcher.turns == {}
    assert await visible(chrome, "empty")
    await wait_until(chrome, lambda driver: not find_all(driver, "#threads a"))
    assert await look(chrome, console_errors) == []


async def test_a_question_is_deleted_while_it_is_answered(page: Running, chrome: Chrome) -> None:
    await wait_until(chrome, lambda driver: texts(driver, "#connection") == ["connected"])
    page.release(len(PIECES))
    await type_keys(chrome, "What is the limit?", Keys.ENTER)
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.assistant.final"))
    await type_keys(chrome, "And in Ghent?", Keys.ENTER)
    await wait_until(chrome, lambda driver: find_all(driver, '[data-action="stop"]'))
    assert await shown(chrome, "#threads a.running")
    for _ in range(2):
        await click_unseen(chrome, QUESTION_ACTIONS, 3)
    await wait_until(chrome, lambda driver: texts(driver, ".msg.user .body") == ["What is the limit?"])
    await wait_until(chrome, lambda driver: not find_all(driver, "#threads a.running"))
    assert await look(chrome, console_errors) == []


async def test_a_conversation_that_cannot_be_read_does_not_show_another_one(page: Running, chrome: Chrome) -> None:
    await wait_until(chrome, lambda driver: texts(driver, "#connection") == ["connected"])
    await type_keys(chrome, "What may a hotel cost?", Keys.ENTER)
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.user"))
    page.release(len(PIECES))
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.assistant.final"))
    await look(chrome, lambda driver: driver.execute_cdp_cmd("Network.enable", {}))
    blocked = {"urls": ["*/api/threads/*"]}
    await look(chrome, lambda driver: driver.execute_cdp_cmd("Network.setBlockedURLs", blocked))
    await click(chrome, "#new")
    await wait_until(chrome, lambda driver: driver.find_element(By.ID, "notice").text)
    assert await shown(chrome, ".msg") == []


async def test_the_page_reconnects_after_a_restart(page: Running, chrome: Chrome) -> None:
    page.release(len(PIECES))
    await wait_until(chrome, lambda driver: texts(driver, "#connection") == ["connected"])
    await type_keys(chrome, "What is the limit?", Keys.ENTER)
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.assistant.final"))
    page.task.cancel()
    await asyncio.gather(page.task, return_exceptions=True)
    await wait_until(chrome, lambda driver: texts(driver, "#connection") == ["reconnecting"])
    await type_keys(chrome, "Anybody there?", Keys.ENTER)
    await wait_until(chrome, lambda driver: "not reachable" in driver.find_element(By.ID, "notice").text)

    page.playground.hub = EventHub()
    port = int(page.address.rsplit(":", 1)[1])
    again = asyncio.create_task(app.run(page.playground, CONFIG, host="127.0.0.1", port=port))
    try:
        await wait_until(chrome, lambda driver: texts(driver, "#connection") == ["connected"])
        await wait_until(chrome, lambda driver: "stored" in "".join(texts(driver, ".msg.assistant .notes")))
        page.release(len(PIECES))
        await type_keys(chrome, Keys.ENTER)
        await wait_until(chrome, lambda driver: len(find_all(driver, ".msg.assistant.final")) == 2)
        assert await shown(chrome, ".msg.user .body") == ["What is the limit?", "Anybody there?"]
    finally:
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)
