"""Tests that each text runs in the direction of its own script, in Chromium."""

from __future__ import annotations

from selenium.webdriver.common.keys import Keys

from tests.web.browser import (
    Chrome,
    browsing,
    click_unseen,
    find_all,
    look,
    requires_chromium,
    texts,
    type_keys,
    wait_until,
)
from tests.web.conftest import Running

pytestmark = requires_chromium

QUESTION = "ما هو الحد الأقصى للفندق؟"
PIECES = ("الحد الأقصى للفندق هو 220 يورو.\n\n", "The limit in Ghent is 140 EUR.\n\n", "- أولاً\n- ثانيًا\n")


async def directions(driver: Chrome, css: str) -> list[str]:
    """Return the direction in which the text of each matching element runs."""
    read = "return [...document.querySelectorAll(arguments[0])].map((one) => getComputedStyle(one).direction)"
    return await look(driver, lambda driver: [str(found) for found in driver.execute_script(read, css)])


async def test_an_arabic_conversation_runs_from_right_to_left(page: Running) -> None:
    page.dispatcher.pieces = PIECES
    async with browsing(page.address) as driver:
        await wait_until(driver, lambda driver: texts(driver, "#connection") == ["connected"])
        assert await directions(driver, "html, #question") == ["ltr", "ltr"]
        await type_keys(driver, QUESTION)
        assert await directions(driver, "#question") == ["rtl"]
        page.release(len(PIECES))
        await type_keys(driver, Keys.ENTER)
        await wait_until(driver, lambda driver: find_all(driver, ".msg.assistant.final"))
        assert await directions(driver, ".msg.user .body") == ["rtl"]
        assert await directions(driver, ".msg.assistant .body > div") == ["rtl", "ltr", "rtl"]
        assert await directions(driver, "#title, #threads a span") == ["rtl", "rtl"]
        assert await directions(driver, "html, #sidebar, .actions") == ["ltr", "ltr", "ltr"]
        await click_unseen(driver, ".msg.user .question-actions button", 0)
        assert await directions(driver, ".editor textarea") == ["rtl"]
