"""Tests that axe finds no fault in any state of the pages, and that the keyboard reaches everything in a good order."""

from __future__ import annotations

import asyncio
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from bot.platforms.web.welcome import Step, Welcome
from tests.web.accessibility import faults
from tests.web.browser import (
    Chrome,
    browsing,
    click,
    click_unseen,
    find_all,
    look,
    requires_chromium,
    shown,
    texts,
    type_keys,
    wait_until,
)
from tests.web.conftest import Running
from tests.web.fake_documents import ScriptedWelcome
from tests.web.fakes import PIECES
from tests.web.serving import TOKEN, serving, settings_with

pytestmark = requires_chromium

STEPS = (
    Step("documents", True, "12 documents can be searched."),
    Step("model", False, "Set ANTHROPIC_API_KEY or OPENAI_API_KEY in .env and start Parley again."),
    Step("chat", False, "Set the tokens of Slack or Discord in .env and start Parley again."),
)
CODE = (
    "- [x] booked\n- [ ] paid\n\n"
    "```python\ndef limit(city):\n    return 220  # EUR, in a comment that is wider than the screen of a phone\n```\n\n"
)


async def test_axe_finds_no_fault_on_an_empty_page(page: Running) -> None:
    offers = page.playground.welcome
    assert isinstance(offers, ScriptedWelcome)
    offers.offered = Welcome((), 0, True, STEPS)
    async with browsing(page.address) as driver:
        await wait_until(driver, lambda driver: texts(driver, "#steps li b"))
        found = await faults(driver, name="empty-adding")
        offers.offered = Welcome((), 0, False, ())
        await wait_until(driver, lambda driver: driver.find_element("id", "add-documents").is_displayed())
        found += await faults(driver, name="empty-no-documents")
        await click(driver, "#user")
        offers.offered = Welcome(("What is the limit?", "Who is on call?"), 2, False, ())
        await click(driver, "#new")
        await wait_until(driver, lambda driver: texts(driver, "#chips button"))
        await type_keys(driver, "/")
        await wait_until(driver, lambda driver: find_all(driver, "#commands li"))
        found += await faults(driver, name="empty-commands")
    assert "\n".join(found) == ""


async def test_axe_finds_no_fault_in_a_conversation(page: Running) -> None:
    page.dispatcher.pieces = (PIECES[0], PIECES[1], CODE, PIECES[2])
    async with browsing(page.address) as driver:
        await wait_until(driver, lambda driver: texts(driver, "#connection") == ["connected"])
        page.release(4)
        await type_keys(driver, "What is the limit?", Keys.ENTER)
        await wait_until(driver, lambda driver: find_all(driver, ".msg.assistant.final"))
        found = await faults(driver, name="answer")
        for command in ("/budget", "/costs", "/broken"):
            await type_keys(driver, command, Keys.ESCAPE, Keys.ENTER)
        await wait_until(driver, lambda driver: len(find_all(driver, ".msg.command .body")) == 3)
        await click(driver, ".msg.assistant .cite")
        found += await faults(driver, name="passage")
        await click(driver, ".open-document")
        await wait_until(driver, lambda driver: find_all(driver, "#viewer mark"))
        found += await faults(driver, name="viewer")
        await click(driver, "#viewer-close")
        await click_unseen(driver, '[data-action="down"]', 0)
        await wait_until(driver, lambda driver: find_all(driver, ".feedback button"))
        await click_unseen(driver, '[data-question="edit"]', 0)
        page.release(1)
        await type_keys(driver, "And in Ghent?", Keys.ENTER)
        await type_keys(driver, "And in Oslo?", Keys.ENTER)
        await wait_until(driver, lambda driver: find_all(driver, ".waiting"))
        await type_keys(driver, "/nonsense", Keys.ENTER)
        await wait_until(driver, lambda driver: texts(driver, "#notice span") != [""])
        found += await faults(driver, name="writing")
    assert "\n".join(found) == ""


async def test_axe_finds_no_fault_on_the_sign_in_page(tmp_path: Path) -> None:
    async with (
        serving(settings_with(tmp_path, web_token=TOKEN)) as page,
        browsing(f"{page.address}/login") as driver,
    ):
        found = await faults(driver, name="sign-in")
        await type_keys(driver, "wrong", Keys.ENTER, into="input[name=token]")
        await wait_until(driver, lambda driver: find_all(driver, ".sign-in-error"))
        found += await faults(driver, name="sign-in-refused")
    assert "\n".join(found) == ""


def _focused(driver: Chrome) -> str:
    script = "const one = document.activeElement; return one.id || one.className || one.tagName"
    return str(driver.execute_script(script))


async def test_the_keyboard_reaches_the_question_before_the_conversations(page: Running) -> None:
    page.dispatcher.pieces = (PIECES[1],)
    async with browsing(page.address) as driver:
        await wait_until(driver, lambda driver: texts(driver, "#connection") == ["connected"])
        for number in range(3):
            page.release(1)
            await type_keys(driver, f"Question {number}?", Keys.ENTER)
            await wait_until(driver, lambda driver: find_all(driver, ".msg.assistant.final"))
            await click(driver, "#new")
            await wait_until(driver, lambda driver: texts(driver, "#chips button"))
        assert len(await shown(driver, "#threads a")) == 3
        await look(driver, lambda driver: driver.execute_script("document.querySelector('.skip').focus()"))
        order = []
        for _ in range(14):
            await asyncio.to_thread(webdriver.ActionChains(driver).send_keys(Keys.TAB).perform)
            order.append(await look(driver, _focused))
        assert order.index("question") < order.index("thread-link")
        await click(driver, "#threads a")
        await wait_until(driver, lambda driver: find_all(driver, ".msg.assistant .scroll"))
        scrolls = "return document.querySelector('.msg.assistant .scroll').tabIndex"
        assert await look(driver, lambda driver: driver.execute_script(scrolls)) == 0
