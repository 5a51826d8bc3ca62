"""Tests in Chromium that a text in the question box stays until the server has accepted it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from bot.errors import NotAllowed
from tests.web.browser import (
    Chrome,
    browsing,
    click,
    find_all,
    look,
    requires_chromium,
    texts,
    type_keys,
    value_of,
    wait_until,
)
from tests.web.conftest import CONFIG, Running
from tests.web.fakes import PIECES
from tests.web.serving import TOKEN, serving, settings_with

pytestmark = requires_chromium

QUESTION = "What may a hotel in London cost?"
LONG = "word " * (CONFIG.question_limit // 5) + "end"
Fault = Callable[[Running, Chrome, pytest.MonkeyPatch], Awaitable[None]]


async def over_the_limit(page: Running, chrome: Chrome, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change nothing: the question itself is too long."""


async def budget_used_up(page: Running, chrome: Chrome, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(incoming: object) -> None:
        raise NotAllowed("You have reached today's token limit.")

    monkeypatch.setattr(page.dispatcher, "accept", refuse)


async def server_unreachable(page: Running, chrome: Chrome, monkeypatch: pytest.MonkeyPatch) -> None:
    await look(chrome, lambda driver: driver.execute_cdp_cmd("Network.enable", {}))
    blocked = {"urls": ["*/api/ask", "*/api/command", "*/api/upload*"]}
    await look(chrome, lambda driver: driver.execute_cdp_cmd("Network.setBlockedURLs", blocked))


async def sign_in_expired(page: Running, chrome: Chrome, monkeypatch: pytest.MonkeyPatch) -> None:
    await look(chrome, lambda driver: driver.delete_all_cookies())


async def sign_in(chrome: Chrome) -> None:
    await wait_until(chrome, lambda driver: find_all(driver, "#token"))
    await type_keys(chrome, TOKEN, Keys.ENTER, into="#token")
    await wait_until(chrome, lambda driver: texts(driver, "#connection") == ["connected"])


async def insert(chrome: Chrome, text: str) -> None:
    """Put a text into the question box at once, as a paste does."""
    await click(chrome, "#question")
    await look(chrome, lambda driver: driver.execute_cdp_cmd("Input.insertText", {"text": text}))


async def box_has(chrome: Chrome, text: str) -> None:
    await wait_until(chrome, lambda driver: find_all(driver, "#question")[0].get_property("value") == text)


@pytest.mark.parametrize(
    ("fault", "text", "attached"),
    [
        (over_the_limit, LONG, False),
        (budget_used_up, QUESTION, False),
        (server_unreachable, QUESTION, False),
        (server_unreachable, "/budget of mine", False),
        (server_unreachable, "/ingest everybody", True),
        (sign_in_expired, QUESTION, False),
        (sign_in_expired, "/ingest everybody", True),
    ],
)
async def test_a_text_that_is_not_accepted_stays_in_the_box(
    fault: Fault, text: str, attached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_with(tmp_path, web_token=TOKEN)
    async with serving(settings) as page, browsing(f"{page.address}/login") as chrome:
        await sign_in(chrome)
        if attached:
            (tmp_path / "note.md").write_text("# Note")
            await type_keys(chrome, str(tmp_path / "note.md"), into="#file")
            await wait_until(chrome, lambda driver: texts(driver, "#attachments li") == ["note.md"])
        await fault(page, chrome, monkeypatch)
        await insert(chrome, text)
        await type_keys(chrome, Keys.ENTER)
        await wait_until(chrome, lambda driver: texts(driver, "#notice span") != [""])
        assert await value_of(chrome, "#question") == text
        if attached:
            await wait_until(chrome, lambda driver: texts(driver, "#attachments li") == ["note.md"])

        # The start page opens the new conversation again, also after a sign-in.
        for address in (await look(chrome, lambda driver: driver.current_url), page.address):
            await look(chrome, partial(Chrome.get, url="about:blank"))
            await look(chrome, partial(Chrome.get, url=address))
            if await look(chrome, lambda driver: find_all(driver, "#token")):
                await sign_in(chrome)
            await box_has(chrome, text)


async def test_each_conversation_keeps_its_draft(page: Running, chrome: Chrome) -> None:
    page.release(len(PIECES))
    await type_keys(chrome, QUESTION, Keys.ENTER)
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.assistant.final"))
    await type_keys(chrome, "And in")
    await click(chrome, "#new")
    await box_has(chrome, "")
    await type_keys(chrome, "Who is")

    await click(chrome, "#threads a")
    await box_has(chrome, "And in")
    await look(chrome, lambda driver: driver.back())
    await box_has(chrome, "Who is")
    await click(chrome, "#threads a")
    await box_has(chrome, "And in")
    await click(chrome, "#new")
    await box_has(chrome, "Who is")
    await look(chrome, lambda driver: driver.refresh())
    await wait_until(chrome, lambda driver: texts(driver, "#connection") == ["connected"])
    await box_has(chrome, "Who is")

    page.release(len(PIECES))
    await type_keys(chrome, " on call?", Keys.ENTER)
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.assistant.final"))
    assert [asked.text for asked in page.dispatcher.asked] == [QUESTION, "Who is on call?"]
    assert len({asked.thread for asked in page.dispatcher.asked}) == 2
    await look(chrome, lambda driver: driver.refresh())
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.assistant.final"))
    await box_has(chrome, "")
    await click(chrome, "#new")
    await wait_until(chrome, lambda driver: not find_all(driver, ".msg"))
    await box_has(chrome, "")


async def test_drafts_are_forgotten_at_sign_out(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, web_token=TOKEN)
    async with serving(settings) as page, browsing(f"{page.address}/login") as chrome:
        await sign_in(chrome)
        await type_keys(chrome, "My secret question")
        await click(chrome, "#sign-out button")
        await wait_until(chrome, lambda driver: find_all(driver, ".sign-in-note"))
        await look(chrome, lambda driver: driver.get(f"{page.address}/login"))
        await sign_in(chrome)
        await box_has(chrome, "")


async def test_a_dropped_address_stands_below_what_is_written(chrome: Chrome) -> None:
    await type_keys(chrome, "What does this say?")
    drop = """
        const dragged = new DataTransfer();
        dragged.setData("text/uri-list", "https://handbook.example/travel");
        for (const kind of ["dragenter", "dragover", "drop"]) {
          const event = { dataTransfer: dragged, bubbles: true, cancelable: true };
          document.body.dispatchEvent(new DragEvent(kind, event));
        }
    """
    await look(chrome, lambda driver: driver.execute_script(drop))
    assert await value_of(chrome, "#question") == "What does this say?\nhttps://handbook.example/travel"
