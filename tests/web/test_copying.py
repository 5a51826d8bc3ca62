"""Tests the buttons that copy answers and code, by what is on the clipboard afterwards."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from tests.web.browser import (
    Chrome,
    allow_clipboard,
    click,
    console_errors,
    find_all,
    look,
    requires_chromium,
    run_async,
    shown,
    texts,
    type_keys,
    wait_until,
)
from tests.web.conftest import Running

pytestmark = [requires_chromium, pytest.mark.usefixtures("answered")]

CODE = "def limit(city):\n    return 220 if city == 'London' else 140\n"
PIECES = (
    "The limit in London is **220 EUR** per night [1].\n\n",
    "| City | Limit |\n|---|---:|\n| London | 220 EUR |\n| Ghent | 140 EUR |\n\n",
    f"```python\n{CODE}```\n",
)


@pytest.fixture
async def answered(page: Running, chrome: Chrome) -> None:
    """The page with one answer."""
    page.dispatcher.pieces = PIECES
    page.release(len(PIECES))
    await type_keys(chrome, "What is the limit?", Keys.ENTER)
    await wait_until(chrome, lambda driver: find_all(driver, '.msg.assistant.final [data-action="copy"]'))


async def clipboard(driver: Chrome) -> str:
    return str(await run_async(driver, "navigator.clipboard.readText()"))


async def test_an_answer_is_copied_as_text(chrome: Chrome) -> None:
    await allow_clipboard(chrome)
    await click(chrome, '[data-action="copy"]')
    await wait_until(chrome, lambda driver: texts(driver, '[data-action="copy"] .label') == ["Copied"])
    copied = await clipboard(chrome)
    assert copied.startswith("The limit in London is 220 EUR per night.")
    assert "City\tLimit\nLondon\t220 EUR\nGhent\t140 EUR" in copied
    assert CODE.strip() in copied
    assert "Copy" not in copied
    await wait_until(chrome, lambda driver: texts(driver, '[data-action="copy"] .label') == ["Copy"])
    assert await look(chrome, console_errors) == []


async def test_code_is_copied_as_it_was_written(chrome: Chrome) -> None:
    await allow_clipboard(chrome)
    await click(chrome, "[data-copy]")
    await wait_until(chrome, lambda driver: texts(driver, "[data-copy]") == ["Copied"])
    assert await clipboard(chrome) == CODE


async def test_a_browser_that_refuses_to_copy_says_what_to_do(chrome: Chrome) -> None:
    await allow_clipboard(chrome, setting="denied")
    await click(chrome, "[data-copy]")
    await wait_until(
        chrome, lambda driver: "Select the text and copy it yourself." in "".join(texts(driver, "#notice"))
    )
    assert await shown(chrome, "[data-copy]") == ["Copy"]
