"""Tests long conversations, waiting questions and thumbs in Chromium, and how the page notices a dead connection."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.keys import Keys

from bot.platforms.web import api
from bot.platforms.web.history import thread_key
from bot.types.conversation import Author
from bot.types.turns import Turn
from tests.web.browser import (
    Chrome,
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
    visible,
    wait_until,
)
from tests.web.conftest import Running
from tests.web.fakes import PIECES, MemoryHistory, now

pytestmark = requires_chromium

LONG = "thread-long"


class Relay:
    """Forwards connections to the page. While ``frozen``, it keeps them open and passes nothing on."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.frozen = False
        self.tasks: list[asyncio.Task[None]] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up, down = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers += [writer, down]
        self.tasks += [asyncio.create_task(self.forward(*ends)) for ends in ((reader, down), (up, writer))]

    async def forward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                if self.frozen:
                    return
                target.write(data)
                await target.drain()
            target.close()


@asynccontextmanager
async def relaying(address: str) -> AsyncIterator[tuple[Relay, str]]:
    """Yield a relay to the page, and its address."""
    relay = Relay(urlsplit(address).port or 0)
    server = await asyncio.start_server(relay.accept, "127.0.0.1", 0)
    try:
        yield relay, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in relay.tasks:
            task.cancel()
        for writer in relay.writers:
            writer.transport.abort()
        await asyncio.gather(*relay.tasks, return_exceptions=True)


async def test_a_dead_connection_is_noticed_and_replaced(page: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "HEARTBEAT_SECONDS", 0.6)
    async with relaying(page.address) as (relay, address), browsing(address) as driver:
        await wait_until(driver, lambda driver: texts(driver, "#connection") == ["connected"])
        relay.frozen = True
        await wait_until(driver, lambda driver: texts(driver, "#connection") == ["reconnecting"])
        await wait_until(driver, lambda driver: "connection to Parley is lost" in "".join(texts(driver, "#notice")))
        relay.frozen = False
        await wait_until(driver, lambda driver: texts(driver, "#connection") == ["connected"])
        await wait_until(driver, lambda driver: texts(driver, "#notice span") == [""])
        page.release(len(PIECES))
        await type_keys(driver, "What is the limit?", Keys.ENTER)
        await wait_until(driver, lambda driver: find_all(driver, ".msg.assistant.final"))


async def work_done(driver: Chrome) -> dict[str, int]:
    """Return how often the page was laid out, how many nodes it has, and how often it read the long conversation."""
    found = await look(driver, lambda driver: driver.execute_cdp_cmd("Performance.getMetrics", {}))
    counted = {one["name"]: int(one["value"]) for one in found["metrics"] if one["name"] in ("LayoutCount", "Nodes")}
    addresses = "return performance.getEntriesByType('resource').map((one) => one.name)"
    read = [name for name in await look(driver, lambda driver: driver.execute_script(addresses)) if LONG in name]
    return counted | {"requests": len(read)}


async def test_a_long_conversation_opens_at_its_end_and_shows_earlier_messages_on_demand(
    page: Running, chrome: Chrome
) -> None:
    history = page.playground.history
    assert isinstance(history, MemoryHistory)
    for number in range(1000):
        at = now() - timedelta(hours=1) + timedelta(seconds=number)
        key, asked = thread_key(LONG), f"Question {number}?"
        turn = Turn(str(uuid.uuid4()), key, str(number), Author("you", "You"), asked, None, False, at)
        page.dispatcher.turns[turn.id] = turn
        page.dispatcher.answers[turn.id] = f"Answer {number}."
    count_layouts = """
        window.scrolls = 0;
        const place = Object.getOwnPropertyDescriptor(Element.prototype, "scrollTop");
        Object.defineProperty(Element.prototype, "scrollTop", { ...place,
            set(value) { window.scrolls += 1; place.set.call(this, value); } });
        location.hash = arguments[0];
    """
    await look(chrome, lambda driver: driver.execute_cdp_cmd("Performance.enable", {}))
    before = await work_done(chrome)
    await look(chrome, lambda driver: driver.execute_script(count_layouts, LONG))
    await wait_until(chrome, lambda driver: len(find_all(driver, ".msg")) == 80)
    after = await work_done(chrome)
    done = {name: after[name] - before[name] for name in after}
    assert done["requests"] == 1
    assert done["LayoutCount"] < 80, "not one for each message that is drawn, let alone for each of 2,000"
    assert done["Nodes"] < 80 * 100, "what is not drawn has no elements"
    assert (await shown(chrome, ".msg.user .body"))[-1] == "Question 999?"
    measure = (
        "const box = document.querySelector('#scroll'); return box.scrollHeight - box.scrollTop - box.clientHeight"
    )
    assert await look(chrome, lambda driver: driver.execute_script(measure)) < 2
    assert await look(chrome, lambda driver: driver.execute_script("return window.scrolls")) == 1, "one layout"

    top = "return document.getElementById(arguments[0]).getBoundingClientRect().top"
    oldest = await look(chrome, lambda driver: find_all(driver, ".msg")[0].get_attribute("id"))
    await look(chrome, lambda driver: driver.execute_script("document.getElementById('scroll').scrollTop = 150"))
    await wait_until(chrome, lambda driver: len(find_all(driver, ".msg")) == 160)
    assert (await shown(chrome, ".msg.user .body"))[0] == "Question 920?"
    await wait_until(chrome, lambda driver: abs(driver.execute_script(top, oldest)) < 800)
    assert await look(chrome, console_errors) == []


async def test_a_second_question_says_that_it_waits(page: Running, chrome: Chrome) -> None:
    await wait_until(chrome, lambda driver: texts(driver, "#connection") == ["connected"])
    await type_keys(chrome, "What is the limit?", Keys.ENTER)
    await wait_until(chrome, lambda driver: find_all(driver, '[data-action="stop"]'))
    await type_keys(chrome, "And in Ghent?", Keys.ENTER)
    await wait_until(chrome, lambda driver: texts(driver, ".waiting") == ["Waiting for the answer above"])
    page.release(len(PIECES))
    await wait_until(chrome, lambda driver: not find_all(driver, ".waiting"))

    page.release(len(PIECES))
    await wait_until(chrome, lambda driver: len(find_all(driver, ".msg.assistant.final")) == 2)
    await click(chrome, '[data-action="down"]', 1)
    await wait_until(chrome, lambda driver: find_all(driver, ".feedback button"))
    await click_unseen(chrome, ".msg.user .question-actions button", 0)
    page.release(len(PIECES))
    await type_keys(chrome, " Where is the tent?", into=".editor textarea")
    await click(chrome, ".editor button[type=button]")
    title = "What is the limit? Where is the tent?"
    await wait_until(chrome, lambda driver: texts(driver, "#threads a") == [title])
    assert await shown(chrome, "#title") == [title]

    await asyncio.to_thread(chrome.refresh)
    pressed = '[data-action="down"][aria-pressed="true"]'
    await wait_until(chrome, lambda driver: len(find_all(driver, pressed)) == 1)
    assert await look(chrome, console_errors) == []


async def test_a_private_answer_has_citations_to_open(page: Running, chrome: Chrome) -> None:
    await wait_until(chrome, lambda driver: texts(driver, "#connection") == ["connected"])
    await type_keys(chrome, "/ask What is the limit?", Keys.ENTER)
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.command .sources li"))
    await click(chrome, ".msg.command .cite")
    assert await visible(chrome, "passage")
    assert "220 EUR" in "".join(await shown(chrome, "#passage blockquote"))
