"""The page in a real browser, over a scripted desk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from bot.platforms.web import app
from bot.platforms.web.event_hub import Hub
from tests.web.browser import Chrome, browsing, complaints, every, needed, texts, typed, until
from tests.web.conftest import PAGE, Running
from tests.web.fakes import PIECES

pytestmark = needed


@pytest.fixture
async def chrome(page: Running, tmp_path: Path) -> AsyncIterator[Chrome]:
    async with browsing(page.address, tmp_path / "profile") as driver:
        yield driver


async def test_asking_from_the_first_click_to_the_quoted_passage(page: Running, chrome: Chrome) -> None:
    chips = await until(chrome, lambda driver: every(driver, "#chips button"))
    assert [chip.text for chip in chips] == list(PAGE.questions)
    await asyncio.to_thread(chips[0].click)
    await until(chrome, lambda driver: every(driver, '[data-do="stop"]'))
    assert texts(chrome, ".msg.user .body") == [PAGE.questions[0]]

    page.let(1)
    await until(chrome, lambda driver: "220 EUR" in "".join(texts(driver, ".msg.assistant")))
    chrome.execute_script("document.querySelector('.msg.assistant .body > div').dataset.first = 'kept'")
    page.let(1)
    await until(chrome, lambda driver: every(driver, ".msg.assistant:not(.final) table"))
    assert len(every(chrome, "[data-first]")) == 1, "what stands is not drawn anew"

    page.let(1)
    await until(chrome, lambda driver: every(driver, ".msg.assistant.final .sources li"))
    assert texts(chrome, ".sources .n") == ["1", "2"]
    await asyncio.to_thread(every(chrome, ".cite")[1].click)
    assert "The limit was 160 EUR per night in every city" in chrome.find_element(By.ID, "quote").text
    await asyncio.to_thread(webdriver.ActionChains(chrome).send_keys(Keys.ESCAPE).perform)
    assert not chrome.find_element(By.ID, "quote").is_displayed()

    shown = texts(chrome, ".msg")
    await asyncio.to_thread(chrome.refresh)
    await until(chrome, lambda driver: every(driver, ".msg.assistant.final"))
    assert texts(chrome, ".msg") == shown
    await until(chrome, lambda driver: texts(driver, "#threads a") == [PAGE.questions[0]])
    assert complaints(chrome) == []


async def test_keys_commands_and_refusals(page: Running, chrome: Chrome) -> None:
    await until(chrome, lambda driver: texts(driver, "#line") == ["connected"])
    await typed(chrome, "/bud")
    assert texts(chrome, "#commands b") == ["/budget"]
    await typed(chrome, Keys.ENTER, Keys.ENTER)
    await until(chrome, lambda driver: every(driver, ".msg.command table"))
    assert "You <b>" in texts(chrome, ".msg.command td")

    await typed(chrome, "/nonsense", Keys.ENTER)
    await until(chrome, lambda driver: "There is no command “nonsense”" in driver.find_element(By.ID, "notice").text)
    box = chrome.find_element(By.ID, "question")
    assert box.get_property("value") == "/nonsense", "what was refused is not lost"

    await asyncio.to_thread(box.clear)
    await typed(chrome, "one", Keys.SHIFT, Keys.ENTER, Keys.NULL, "two")
    assert box.get_property("value") == "one\ntwo"
    await typed(chrome, Keys.ENTER)
    stop = await until(chrome, lambda driver: every(driver, '[data-do="stop"]'))
    await asyncio.to_thread(stop[0].click)
    await until(chrome, lambda driver: "Stopped." in "".join(texts(driver, ".msg.assistant.final")))
    assert [turn.question for turn in page.dispatcher.turns.values()] == ["one\ntwo"]


async def test_an_upload_and_a_thumb(page: Running, chrome: Chrome, tmp_path: Path) -> None:
    await until(chrome, lambda driver: texts(driver, "#line") == ["connected"])
    note = tmp_path / "note.md"
    note.write_text("# Note")
    await asyncio.to_thread(chrome.find_element(By.ID, "file").send_keys, str(note))
    await until(chrome, lambda driver: texts(driver, "#beside li") == ["note.md"])
    await asyncio.to_thread(chrome.find_element(By.ID, "keep").click)
    await until(chrome, lambda driver: "Took in note.md, 6 bytes." in "".join(texts(driver, ".msg.command")))

    page.let(len(PIECES))
    await typed(chrome, "What is the limit?", Keys.ENTER)
    down = await until(chrome, lambda driver: every(driver, '[data-do="down"]'))
    await asyncio.to_thread(down[0].click)
    reasons = await until(chrome, lambda driver: every(driver, ".reason button"))
    await asyncio.to_thread(reasons[0].click)
    await until(chrome, lambda driver: "Thank you" in "".join(texts(driver, ".reason")))
    assert [(value, reason) for _, value, reason in page.dispatcher.thumbs] == [(-1, ""), (-1, "It is wrong")]
    assert complaints(chrome) == []


async def test_files_go_with_the_question_unless_they_are_taken_away(
    page: Running, chrome: Chrome, tmp_path: Path
) -> None:
    await until(chrome, lambda driver: texts(driver, "#line") == ["connected"])
    for name in ("plan.md", "wrong.txt", "limits.csv"):
        (tmp_path / name).write_text(f"# {name}")
        await asyncio.to_thread(chrome.find_element(By.ID, "file").send_keys, str(tmp_path / name))
    await until(chrome, lambda driver: texts(driver, "#beside li") == ["plan.md", "wrong.txt", "limits.csv"])
    away = chrome.find_element(By.CSS_SELECTOR, '[aria-label="Take wrong.txt away"]')
    await asyncio.to_thread(away.click)
    page.let(len(PIECES))
    await typed(chrome, "What do they say?", Keys.ENTER)
    await until(chrome, lambda driver: every(driver, ".msg.assistant.final"))
    (asked,) = page.dispatcher.asked
    assert [file.name for file in asked.attachments] == ["plan.md", "limits.csv"]
    assert await asked.attachments[0].read() == b"# plan.md"
    assert texts(chrome, ".msg.user .with") == ["plan.md, limits.csv"]
    assert not chrome.find_element(By.ID, "beside").is_displayed(), "they went with that question alone"

    large = tmp_path / "large.txt"
    large.write_bytes(b"x" * (PAGE.upload_limit + 1))
    await asyncio.to_thread(chrome.find_element(By.ID, "file").send_keys, str(large))
    await until(chrome, lambda driver: "larger than 1 MB" in driver.find_element(By.ID, "notice").text)
    assert complaints(chrome) == []


async def test_a_question_is_changed_and_then_forgotten(page: Running, chrome: Chrome) -> None:
    await until(chrome, lambda driver: texts(driver, "#line") == ["connected"])
    page.let(len(PIECES))
    await typed(chrome, "What is the limit?", Keys.ENTER)
    await until(chrome, lambda driver: every(driver, ".msg.assistant.final"))
    change, _ = every(chrome, ".msg.user .mine button")
    chrome.execute_script("arguments[0].click()", change)
    box = chrome.find_element(By.CSS_SELECTOR, ".changing textarea")
    assert box.get_property("value") == "What is the limit?"
    await asyncio.to_thread(box.send_keys, " In Ghent, I mean.")
    page.let(len(PIECES))
    await asyncio.to_thread(box.send_keys, Keys.ENTER)
    await until(chrome, lambda driver: texts(driver, ".msg.user .body") == ["What is the limit? In Ghent, I mean."])
    await until(chrome, lambda driver: every(driver, ".msg.assistant.final"))
    assert len(every(chrome, ".msg.assistant")) == 1, "it is answered in the same place"

    def forget() -> None:
        chrome.execute_script("arguments[0].click()", every(chrome, ".msg.user .mine button")[1])

    forget()
    assert texts(chrome, ".msg.user .mine button")[1] == "Forget question and answer?"
    assert page.dispatcher.turns
    forget()
    await until(chrome, lambda driver: not every(driver, "#log > *"))
    assert page.dispatcher.turns == {}
    assert chrome.find_element(By.ID, "empty").is_displayed()
    await until(chrome, lambda driver: not every(driver, "#threads a"))
    assert complaints(chrome) == []


async def test_the_page_comes_back_by_itself_after_a_restart(page: Running, chrome: Chrome) -> None:
    page.let(len(PIECES))
    await until(chrome, lambda driver: texts(driver, "#line") == ["connected"])
    await typed(chrome, "What is the limit?", Keys.ENTER)
    await until(chrome, lambda driver: every(driver, ".msg.assistant.final"))
    page.task.cancel()
    await asyncio.gather(page.task, return_exceptions=True)
    await until(chrome, lambda driver: texts(driver, "#line") == ["reconnecting"])
    await typed(chrome, "Anybody there?", Keys.ENTER)
    await until(chrome, lambda driver: "does not answer" in driver.find_element(By.ID, "notice").text)

    page.room.hub = Hub()
    port = int(page.address.rsplit(":", 1)[1])
    again = asyncio.create_task(app.run(page.room, PAGE, host="127.0.0.1", port=port))
    try:
        await until(chrome, lambda driver: texts(driver, "#line") == ["connected"])
        await until(chrome, lambda driver: "stored" in "".join(texts(driver, ".msg.assistant .notes")))
        page.let(len(PIECES))
        await typed(chrome, Keys.ENTER)
        await until(chrome, lambda driver: len(every(driver, ".msg.assistant.final")) == 2)
        assert texts(chrome, ".msg.user .body") == ["What is the limit?", "Anybody there?"]
    finally:
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)
