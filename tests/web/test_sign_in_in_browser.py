"""Tests the sign-in in Chromium: with a token behind a path prefix, with OpenID Connect, and without JavaScript."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.web.browser import (
    Chrome,
    browsing,
    click,
    console_errors,
    find_all,
    look,
    requires_chromium,
    shown,
    texts,
    type_keys,
    wait_until,
)
from tests.web.fake_documents import QUESTIONS
from tests.web.fakes import PIECES
from tests.web.openid_provider import CLIENT_ID, CLIENT_SECRET, providing
from tests.web.serving import TOKEN, free_port, serving, settings_with

pytestmark = requires_chromium


async def test_sign_in_with_a_token_ask_and_sign_out(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/parley"
    settings = settings_with(tmp_path, web_token=TOKEN, web_url=url)
    async with serving(settings, port=port) as page, browsing(f"{url}/") as chrome:
        await wait_until(chrome, lambda driver: find_all(driver, "#token"))
        assert (await look(chrome, lambda driver: driver.current_url)) == f"{url}/login"
        await type_keys(chrome, "wrong", Keys.ENTER, into="#token")
        await wait_until(chrome, lambda driver: find_all(driver, ".sign-in-error"))
        assert await shown(chrome, ".sign-in-error") == ["This token is not correct. Check it and try again."]
        await type_keys(chrome, TOKEN, Keys.ENTER, into="#token")
        await wait_until(chrome, lambda driver: find_all(driver, "#chips button"))
        assert (await look(chrome, lambda driver: driver.current_url)) == f"{url}/"

        assert await shown(chrome, "#admin-page") == ["Admin page"]
        style = """
            const [link, button] = ["admin-page", "new"].map((id) => getComputedStyle(document.getElementById(id)));
            return [link.fontFamily === button.fontFamily, link.textDecorationLine];
        """
        assert await look(chrome, lambda driver: driver.execute_script(style)) == [True, "none"]
        page.release(len(PIECES))
        await click(chrome, "#chips button")
        await wait_until(chrome, lambda driver: find_all(driver, ".msg.assistant.final .sources li"))
        assert await shown(chrome, ".msg.user .body") == [QUESTIONS[0]]
        await type_keys(chrome, "/budget", Keys.ENTER)
        await wait_until(chrome, lambda driver: "only you" in "".join(texts(driver, ".msg.command .byline")))
        errors = [error for error in await look(chrome, console_errors) if "403" not in error]
        assert errors == []

        await click(chrome, "#sign-out button")
        await wait_until(chrome, lambda driver: find_all(driver, ".sign-in-note"))
        assert await shown(chrome, ".sign-in-note") == ["You are signed out."]


async def test_an_ended_session_is_shown_and_not_retried(tmp_path: Path) -> None:
    async with (
        serving(settings_with(tmp_path, web_token=TOKEN)) as page,
        browsing(f"{page.address}/login") as chrome,
    ):
        await type_keys(chrome, TOKEN, Keys.ENTER, into="#token")
        await wait_until(chrome, lambda driver: texts(driver, "#connection") == ["connected"])
        await asyncio.to_thread(chrome.delete_all_cookies)
        page.playground.hub.close()
        await wait_until(chrome, lambda driver: texts(driver, "#connection") == ["signed out"])
        assert "Reload the page to sign in again." in (
            await look(chrome, lambda driver: driver.find_element(By.ID, "notice").text)
        )


async def test_sign_in_with_openid_connect(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with providing(f"{url}/oidc-callback") as provider:
        settings = settings_with(
            tmp_path,
            web_url=url,
            web_token=TOKEN,
            oidc_issuer=provider.issuer,
            oidc_client_id=CLIENT_ID,
            oidc_client_secret=CLIENT_SECRET,
            web_admin_groups=("parley-admins",),
            web_member_groups=("staff",),
        )
        async with serving(settings, port=port), browsing(url) as chrome:
            await _sign_in_at_provider(chrome, "cat")
            await wait_until(chrome, lambda driver: find_all(driver, ".sign-in-error"))
            assert "you are in no group" in (await shown(chrome, ".sign-in-error"))[0]
            await click(chrome, "a.sign-in-button")
            await _sign_in_at_provider(chrome, "ben")
            await wait_until(chrome, lambda driver: texts(driver, ".user-name") == ["Ben <b>Example</b>"])
            assert not (await look(chrome, lambda driver: driver.find_element(By.ID, "user").is_enabled())), (
                "the name comes from the provider"
            )


async def _sign_in_at_provider(chrome: Chrome, person: str) -> None:
    await wait_until(chrome, lambda driver: find_all(driver, 'a[href="oidc-login"]'))
    await click(chrome, 'a[href="oidc-login"]')
    await wait_until(chrome, lambda driver: find_all(driver, f"#{person}"))
    await click(chrome, f"#{person}")


async def test_the_sign_in_page_needs_no_script(tmp_path: Path) -> None:
    async with (
        serving(settings_with(tmp_path, web_token=TOKEN)) as page,
        aiohttp.ClientSession(page.address) as http,
        http.get("/login") as response,
    ):
        assert "script" not in (await response.text()).lower()
        assert "form-action 'self'" in response.headers["Content-Security-Policy"]
