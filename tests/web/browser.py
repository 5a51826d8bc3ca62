"""Drives Chromium in tests. The tests are skipped if Debian's chromium and chromium-driver are not installed."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psutil
import pytest
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait
from urllib3.exceptions import HTTPError

CHROMIUM = Path("/usr/bin/chromium")
DRIVER = Path("/usr/bin/chromedriver")
WINDOW = (1200, 800)
"""Pixels of a window."""
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
)

requires_chromium = pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()),
    reason="no /usr/bin/chromium with its driver; apt install chromium-driver",
)


T = TypeVar("T")


class Chrome(webdriver.Chrome):
    """A browser that refuses commands from the thread of an event loop.

    The server of the page runs in that loop. A command that waits for the page would wait for itself.
    """

    profile: str

    def execute(self, *args: Any, **options: Any) -> Any:
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            raise AssertionError(f"{args[0]}: call the browser in a thread, with asyncio.to_thread")
        return super().execute(*args, **options)


def _open(address: str) -> Chrome:
    """Return an idle browser, or another one, with a window on the page."""
    driver = _idle.pop() if _idle else _start()
    try:
        _forget_everything(driver, address)
        driver.get(address)
        driver.execute_script("return document.readyState")
    except BaseException:
        _kill(driver)
        raise
    return driver


def _start() -> Chrome:
    profile = tempfile.mkdtemp(prefix="parley-chromium-")
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    driver.profile = profile
    return driver


def _forget_everything(driver: Chrome, address: str) -> None:
    """Replace all windows by another one, and delete what earlier pages left: files, cookies, permissions and logs."""
    earlier = driver.window_handles
    driver.switch_to.new_window("window")
    latest = driver.current_window_handle
    for handle in earlier:
        driver.switch_to.window(handle)
        driver.close()
    driver.switch_to.window(latest)
    driver.set_window_size(*WINDOW)
    url = urlsplit(address)
    driver.execute_cdp_cmd(
        "Storage.clearDataForOrigin", {"origin": f"{url.scheme}://{url.netloc}", "storageTypes": "all"}
    )
    for command in ("Network.clearBrowserCookies", "Network.clearBrowserCache", "Browser.resetPermissions"):
        driver.execute_cdp_cmd(command, {})
    driver.get_log("browser")  # type: ignore[no-untyped-call]


def _kill(driver: Chrome) -> None:
    """Kill the driver and its browser, which may not answer."""
    process = psutil.Process(driver.service.process.pid)
    for one in (*process.children(recursive=True), process):
        with suppress(psutil.NoSuchProcess):
            one.kill()
    driver.service.process.wait()
    shutil.rmtree(driver.profile, ignore_errors=True)


_idle: list[Chrome] = []
"""Browsers that a later test of this process uses: starting one takes seconds."""


@asynccontextmanager
async def browsing(address: str) -> AsyncIterator[Chrome]:
    """Open a window on the page, in a browser that remembers nothing. A browser that hangs is replaced once."""
    try:
        driver = await asyncio.to_thread(_open, address)
    except (HTTPError, WebDriverException):
        driver = await asyncio.to_thread(_open, address)
    try:
        yield driver
    finally:
        _idle.append(driver)


def close_idle() -> None:
    """End the browsers that no test uses any more."""
    while _idle:
        _kill(_idle.pop())


async def wait_until(driver: Chrome, condition: Callable[[Chrome], Any]) -> Any:
    """Wait for a condition in a thread, so that the server keeps running. Retries if the page replaces an element."""
    waiting = WebDriverWait(driver, 60, ignored_exceptions=(StaleElementReferenceException, NoSuchElementException))
    return await asyncio.to_thread(waiting.until, condition)


def find_all(driver: Chrome, css: str) -> list[Any]:
    return driver.find_elements(By.CSS_SELECTOR, css)


def texts(driver: Chrome, css: str) -> list[str]:
    """Return the texts of all matching elements, including those that are still fading in."""
    read = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent.trim())"
    return [str(found) for found in driver.execute_script(read, css)]


async def look(driver: Chrome, read: Callable[[Chrome], T]) -> T:
    """Read from the page in a thread, once."""
    return await asyncio.to_thread(read, driver)


async def shown(driver: Chrome, css: str) -> list[str]:
    """Return the texts of all elements that match now."""
    return await asyncio.to_thread(texts, driver, css)


async def visible(driver: Chrome, element_id: str) -> bool:
    return await look(driver, lambda driver: driver.find_element(By.ID, element_id).is_displayed())


async def value_of(driver: Chrome, css: str) -> str:
    """Return what is in the first matching input field."""
    return await look(driver, lambda driver: str(find_all(driver, css)[0].get_property("value")))


async def click_unseen(driver: Chrome, css: str, number: int) -> None:
    """Click the matching element with this number by script: one that only a mouse over it or the focus shows."""
    script = "document.querySelectorAll(arguments[0])[arguments[1]].click()"
    await asyncio.to_thread(driver.execute_script, script, css, number)


async def click(driver: Chrome, css: str, number: int = 0) -> None:
    """Click the matching element with this number, counted from 0, as soon as there is one that the page keeps."""

    def clicked(driver: Chrome) -> bool:
        found = find_all(driver, css)[number:]
        for element in found[:1]:
            element.click()
        return bool(found)

    await wait_until(driver, clicked)


async def type_keys(driver: Chrome, *keys: str, into: str = "#question") -> None:
    """Type into the first matching element."""
    await look(driver, lambda driver: find_all(driver, into)[0].send_keys(*keys))


async def run_async(driver: Chrome, promise: str) -> Any:
    """Return what a promise of the page, written in JavaScript, resolves to. Fails if it is rejected."""
    script = f"""
        const done = arguments[arguments.length - 1];
        ({promise}).then((value) => done({{ value }}), (error) => done({{ error: String(error) }}));
    """
    found = await look(driver, lambda driver: driver.execute_async_script(script))
    assert "error" not in found, found["error"]
    return found.get("value")


async def allow_clipboard(driver: Chrome, *, setting: str = "granted") -> None:
    """Answer, in place of the user, whether pages may read and write the clipboard: ``granted`` or ``denied``."""
    await asyncio.to_thread(driver.execute_cdp_cmd, "Page.bringToFront", {})
    for name in ("clipboard-read", "clipboard-write"):
        given = {"permission": {"name": name}, "setting": setting}
        await asyncio.to_thread(driver.execute_cdp_cmd, "Browser.setPermission", given)


def console_errors(driver: Chrome) -> list[str]:
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]  # type: ignore[no-untyped-call]
