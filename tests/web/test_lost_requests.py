"""Tests in Chromium that nothing is lost or asked twice when requests fail, come late or are sent again."""

from __future__ import annotations

import json

from selenium.webdriver.common.keys import Keys

from bot.platforms.web.json_views import MessageView, iso_timestamp
from tests.web.browser import (
    Chrome,
    click_unseen,
    find_all,
    look,
    requires_chromium,
    shown,
    texts,
    type_keys,
    value_of,
    wait_until,
)
from tests.web.conftest import Running
from tests.web.fakes import PIECES, now

pytestmark = requires_chromium

QUESTION = "What is the limit?"
EDITOR = ".editor textarea"
WRAP_FETCH = """
    const real = window.fetch;
    window.sent = [];
    window.bodies = [];
    window.failing = arguments[0];
    window.fetch = async (path, options) => {
        window.sent.push(path);
        window.bodies.push(options?.body || "");
        if (!window.failing || !path.includes(window.failing)) return real(path, options);
        if (arguments[1] === "after") await real(path, options);
        throw new TypeError("Failed to fetch");
    };
"""


async def fail(driver: Chrome, path: str, when: str) -> None:
    """Let the page's requests to a path fail ``before`` or ``after`` they reach the server, until ``work_again``."""
    await look(driver, lambda driver: driver.execute_script(WRAP_FETCH, path, when))


async def work_again(driver: Chrome) -> None:
    await look(driver, lambda driver: driver.execute_script("window.failing = null"))


async def sent(driver: Chrome, path: str) -> int:
    """Return how many requests to the path were sent since ``fail``."""
    paths = await look(driver, lambda driver: driver.execute_script("return window.sent"))
    return sum(path in one for one in paths)


async def bodies(driver: Chrome, path: str) -> list[str]:
    """Return the bodies of the requests to the path since ``fail``."""
    paths, sent_bodies = await look(driver, lambda driver: driver.execute_script("return [window.sent, window.bodies]"))
    return [body for one, body in zip(paths, sent_bodies, strict=True) if path in one]


async def test_a_question_whose_response_is_lost_is_asked_once(page: Running, chrome: Chrome) -> None:
    await fail(chrome, "api/ask", "after")
    await type_keys(chrome, QUESTION, Keys.ENTER)
    await wait_until(chrome, lambda driver: find_all(driver, "#question")[0].get_property("value") == QUESTION)
    await work_again(chrome)
    await type_keys(chrome, Keys.ENTER)
    await wait_until(chrome, lambda driver: not find_all(driver, ".msg.sending"))
    await wait_until(chrome, lambda driver: texts(driver, ".msg.user .body") == [QUESTION])
    assert len(page.dispatcher.asked) == 2
    assert len(page.dispatcher.turns) == 1
    await type_keys(chrome, QUESTION, Keys.ENTER)
    await wait_until(chrome, lambda driver: texts(driver, ".msg.user .body") == [QUESTION, QUESTION])
    assert len(page.dispatcher.turns) == 2, "a question that is asked again on purpose is another one"


async def test_a_refused_question_stays_beside_what_was_written_meanwhile(page: Running, chrome: Chrome) -> None:
    await fail(chrome, "api/ask", "before")
    script = """
        const box = document.getElementById("question");
        box.value = "First question";
        document.getElementById("form").requestSubmit();
        box.value = "Second question";
    """
    await look(chrome, lambda driver: driver.execute_script(script))
    await wait_until(chrome, lambda driver: driver.find_element("id", "notice").text)
    assert await value_of(chrome, "#question") == "First question\nSecond question"


async def test_an_open_editor_stays_when_the_answer_ends_and_sends_once(page: Running, chrome: Chrome) -> None:
    await type_keys(chrome, QUESTION, Keys.ENTER)
    await wait_until(chrome, lambda driver: find_all(driver, '[data-action="stop"]'))
    await click_unseen(chrome, ".msg.user .question-actions button", 0)
    await type_keys(chrome, " In Ghent, I mean.", into=EDITOR)
    page.release(len(PIECES))
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.assistant.final"))
    await wait_until(chrome, lambda driver: not find_all(driver, "#threads a.running"))
    assert await value_of(chrome, EDITOR) == f"{QUESTION} In Ghent, I mean."
    await fail(chrome, "", "before")
    twice = "const form = document.querySelector('.editor'); form.requestSubmit(); form.requestSubmit()"
    await look(chrome, lambda driver: driver.execute_script(twice))
    assert await sent(chrome, "/branch") == 1
    await wait_until(chrome, lambda driver: driver.find_element("id", "notice").text)
    await type_keys(chrome, Keys.ESCAPE, into=EDITOR)
    assert await shown(chrome, ".msg.user .body") == [QUESTION]


async def test_a_branch_whose_response_is_lost_is_asked_for_again_under_its_first_id(
    page: Running, chrome: Chrome
) -> None:
    page.release(len(PIECES))
    await type_keys(chrome, QUESTION, Keys.ENTER)
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.assistant.final"))
    await click_unseen(chrome, ".msg.user .question-actions button", 0)
    await type_keys(chrome, " In Ghent?", into=EDITOR)
    await fail(chrome, "/branch", "before")
    for text in ("", "", " Or Bruges?"):
        await type_keys(chrome, text, Keys.ENTER, into=EDITOR)
        await wait_until(chrome, lambda driver: not find_all(driver, ".editor")[0].get_property("inert"))
    threads = [json.loads(body)["thread"] for body in await bodies(chrome, "/branch")]
    assert threads[0] == threads[1] != threads[2], "another text is another branch"


async def test_a_conversation_that_could_not_be_loaded_is_loaded_later(page: Running, chrome: Chrome) -> None:
    at = iso_timestamp(now())
    page.playground.hub.put_message(MessageView("q-1", "thread-0002", "user", "Ada", at, ("<p>Said before</p>",)))
    await fail(chrome, "api/threads/", "before")
    await look(chrome, lambda driver: driver.execute_script("location.hash = 'thread-0002'"))
    await wait_until(chrome, lambda driver: driver.find_element("id", "notice").text)
    assert await shown(chrome, ".msg") == []
    await work_again(chrome)
    await wait_until(chrome, lambda driver: texts(driver, ".msg.user .body") == ["Said before"])
