"""The page in a real browser. Skipped where Debian's chromium and chromium-driver are not installed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from bot.platforms.web import app
from bot.platforms.web.hub import Hub
from tests.web.conftest import PAGE, Running
from tests.web.fakes import PIECES

CHROMIUM = Path("/usr/bin/chromium")
DRIVER = Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1200,800",
)

pytestmark = pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()),
    reason="no /usr/bin/chromium with its driver; apt install chromium-driver",
)

Chrome = webdriver.Chrome


def _open(profile: Path) -> Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))


@pytest.fixture
async def chrome(page: Running, tmp_path: Path) -> AsyncIterator[Chrome]:
    driver = await asyncio.to_thread(_open, tmp_path / "profile")
    await asyncio.to_thread(driver.get, page.address)
    yield driver
    await asyncio.to_thread(driver.quit)


async def _until(driver: Chrome, true: Callable[[Chrome], Any]) -> Any:
    """Wait in a thread, so that the server goes on."""
    return await asyncio.to_thread(WebDriverWait(driver, 20).until, true)


def _all(driver: Chrome, css: str) -> list[Any]:
    return driver.find_elements(By.CSS_SELECTOR, css)


def _texts(driver: Chrome, css: str) -> list[str]:
    """What is in the page, an element that is just fading in included."""
    return [str(found.get_property("textContent")).strip() for found in _all(driver, css)]


async def _type(driver: Chrome, *keys: str) -> None:
    await asyncio.to_thread(driver.find_element(By.ID, "question").send_keys, *keys)


def _complaints(driver: Chrome) -> list[str]:
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]  # type: ignore[no-untyped-call]


async def test_asking_from_the_first_click_to_the_quoted_passage(page: Running, chrome: Chrome) -> None:
    chips = await _until(chrome, lambda driver: _all(driver, "#chips button"))
    assert [chip.text for chip in chips] == list(PAGE.questions)
    await asyncio.to_thread(chips[0].click)
    await _until(chrome, lambda driver: _all(driver, '[data-do="stop"]'))
    assert _texts(chrome, ".msg.user") == [PAGE.questions[0]]

    page.let(1)
    await _until(chrome, lambda driver: "220 EUR" in "".join(_texts(driver, ".msg.assistant")))
    chrome.execute_script("document.querySelector('.msg.assistant .body > div').dataset.first = 'kept'")
    page.let(1)
    await _until(chrome, lambda driver: _all(driver, ".msg.assistant:not(.final) table"))
    assert len(_all(chrome, "[data-first]")) == 1, "what stands is not drawn anew"

    page.let(1)
    await _until(chrome, lambda driver: _all(driver, ".msg.assistant.final .sources li"))
    assert _texts(chrome, ".sources .n") == ["1", "2"]
    await asyncio.to_thread(_all(chrome, ".cite")[1].click)
    assert "The limit was 160 EUR per night in every city" in chrome.find_element(By.ID, "quote").text
    await asyncio.to_thread(webdriver.ActionChains(chrome).send_keys(Keys.ESCAPE).perform)
    assert not chrome.find_element(By.ID, "quote").is_displayed()

    shown = _texts(chrome, ".msg")
    await asyncio.to_thread(chrome.refresh)
    await _until(chrome, lambda driver: _all(driver, ".msg.assistant.final"))
    assert _texts(chrome, ".msg") == shown
    await _until(chrome, lambda driver: _texts(driver, "#threads a") == [PAGE.questions[0]])
    assert _complaints(chrome) == []


async def test_keys_commands_and_refusals(page: Running, chrome: Chrome) -> None:
    await _until(chrome, lambda driver: _texts(driver, "#line") == ["connected"])
    await _type(chrome, "/bud")
    assert _texts(chrome, "#commands b") == ["/budget"]
    await _type(chrome, Keys.ENTER, Keys.ENTER)
    await _until(chrome, lambda driver: _all(driver, ".msg.command table"))
    assert "You <b>" in _texts(chrome, ".msg.command td")

    await _type(chrome, "/nonsense", Keys.ENTER)
    await _until(chrome, lambda driver: "There is no command /nonsense" in driver.find_element(By.ID, "notice").text)
    box = chrome.find_element(By.ID, "question")
    assert box.get_property("value") == "/nonsense", "what was refused is not lost"

    await asyncio.to_thread(box.clear)
    await _type(chrome, "one", Keys.SHIFT, Keys.ENTER, Keys.NULL, "two")
    assert box.get_property("value") == "one\ntwo"
    await _type(chrome, Keys.ENTER)
    stop = await _until(chrome, lambda driver: _all(driver, '[data-do="stop"]'))
    await asyncio.to_thread(stop[0].click)
    await _until(chrome, lambda driver: "Stopped." in "".join(_texts(driver, ".msg.assistant.final")))
    assert [turn.question for turn in page.desk.turns.values()] == ["one\ntwo"]


async def test_an_upload_and_a_thumb(page: Running, chrome: Chrome, tmp_path: Path) -> None:
    await _until(chrome, lambda driver: _texts(driver, "#line") == ["connected"])
    note = tmp_path / "note.md"
    note.write_text("# Note")
    await asyncio.to_thread(chrome.find_element(By.ID, "file").send_keys, str(note))
    await _until(chrome, lambda driver: "Took in note.md, 6 bytes." in "".join(_texts(driver, ".msg.command")))

    page.let(len(PIECES))
    await _type(chrome, "What is the limit?", Keys.ENTER)
    down = await _until(chrome, lambda driver: _all(driver, '[data-do="down"]'))
    await asyncio.to_thread(down[0].click)
    reasons = await _until(chrome, lambda driver: _all(driver, ".reason button"))
    await asyncio.to_thread(reasons[0].click)
    await _until(chrome, lambda driver: "Thank you" in "".join(_texts(driver, ".reason")))
    assert [(value, reason) for _, value, reason in page.desk.thumbs] == [(-1, ""), (-1, "It is wrong")]
    assert _complaints(chrome) == []


async def test_the_page_comes_back_by_itself_after_a_restart(page: Running, chrome: Chrome) -> None:
    page.let(len(PIECES))
    await _until(chrome, lambda driver: _texts(driver, "#line") == ["connected"])
    await _type(chrome, "What is the limit?", Keys.ENTER)
    await _until(chrome, lambda driver: _all(driver, ".msg.assistant.final"))
    page.task.cancel()
    await asyncio.gather(page.task, return_exceptions=True)
    await _until(chrome, lambda driver: _texts(driver, "#line") == ["reconnecting"])
    await _type(chrome, "Anybody there?", Keys.ENTER)
    await _until(chrome, lambda driver: "does not answer" in driver.find_element(By.ID, "notice").text)

    page.room.hub = Hub()
    port = int(page.address.rsplit(":", 1)[1])
    again = asyncio.create_task(app.run(page.room, PAGE, host="127.0.0.1", port=port))
    try:
        await _until(chrome, lambda driver: _texts(driver, "#line") == ["connected"])
        await _until(chrome, lambda driver: "stored" in "".join(_texts(driver, ".msg.assistant .notes")))
        page.let(len(PIECES))
        await _type(chrome, Keys.ENTER)
        await _until(chrome, lambda driver: len(_all(driver, ".msg.assistant.final")) == 2)
        assert _texts(chrome, ".msg.user") == ["What is the limit?", "Anybody there?"]
    finally:
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)
