"""Drives Chromium in tests. The tests are skipped if Debian's chromium and chromium-driver are not installed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

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

requires_chromium = pytest.mark.skipif(
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


@asynccontextmanager
async def browsing(address: str, profile: Path) -> AsyncIterator[Chrome]:
    """Open a browser on the page."""
    driver = await asyncio.to_thread(_open, profile)
    try:
        await asyncio.to_thread(driver.get, address)
        yield driver
    finally:
        await asyncio.to_thread(driver.quit)


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


async def type_keys(driver: Chrome, *keys: str) -> None:
    await asyncio.to_thread(driver.find_element(By.ID, "question").send_keys, *keys)


def console_errors(driver: Chrome) -> list[str]:
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]  # type: ignore[no-untyped-call]
