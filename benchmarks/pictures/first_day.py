"""Takes screenshots of a newcomer's path through the browser page, and checks the accessibility of each step.

    python -m benchmarks.pictures.first_day FOLDER

Starts the real application without documents, without a key and without a model double, adds the sample handbook, asks
the first suggested question and opens its first citation. Each state is drawn wide in light mode, and on a phone in
dark mode; axe checks it in all four combinations. Prints the number of faults of each state. Needs Chromium with its
driver.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from PIL import Image
from selenium.webdriver.common.by import By

from benchmarks.pictures.playground import WIDTH, page, save
from tests.web import accessibility
from tests.web.browser import Chrome, click, find_all, texts, wait_until
from tests.web.serving import settings_with

DRAWN = ("wide-light", "phone-dark")


async def draw(folder: Path) -> dict[str, list[str]]:
    """Draw every state into the folder. Return the faults of each."""
    with tempfile.TemporaryDirectory() as name:
        accessibility.PICTURES = Path(name)
        found = await _walk(Path(name) / "data")
        for state in found:
            for view in DRAWN:
                picture = Image.open(Path(name) / f"{state}-{view}.png").convert("RGB")
                save(picture, folder / f"{state}-{view}.png")
    return found


async def _walk(data: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    async with page(settings_with(data, reranker="none"), WIDTH) as driver:
        await wait_until(driver, lambda driver: find_all(driver, "#steps li"))
        found["first-day-steps"] = await accessibility.faults(driver, name="first-day-steps")
    async with page(settings_with(data, reranker="none"), WIDTH, sample_documents=True) as driver:
        await wait_until(driver, lambda driver: texts(driver, "#steps li.done b") == ["Add documents"])
        await wait_until(driver, lambda driver: find_all(driver, "#chips button"))
        found["first-day-documents"] = await accessibility.faults(driver, name="first-day-documents")
        await click(driver, "#chips button")
        await wait_until(driver, lambda driver: find_all(driver, ".msg.assistant.final .cite"))
        found["first-day-answer"] = await accessibility.faults(driver, name="first-day-answer")
        await click(driver, ".sources button")
        await wait_until(driver, _shows_the_quote)
        found["first-day-document"] = await accessibility.faults(driver, name="first-day-document")
    return found


def _shows_the_quote(driver: Chrome) -> bool:
    return driver.find_element(By.ID, "viewer").is_displayed() and bool(find_all(driver, "#viewer mark"))


def main() -> None:
    """Draw the pictures, and print the report of axe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for state, faults in asyncio.run(draw(parser.parse_args().folder)).items():
        print(f"{state}: {len(faults)} faults", *faults, sep="\n  ")


if __name__ == "__main__":
    main()
