"""Looks for faults of accessibility with axe-core: in light and dark colors, on a wide and on a narrow window."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from tests.web.browser import Chrome, look

AXE = Path(__file__).parent / "axe" / "axe.min.js"
WIDE, PHONE = (1200, 800), (390, 844)

_RUN = """
const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: ["violations"] }).then(
  ({ violations }) => done(violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, any }) => `${id}: ${target.join(" ")} ${any[0]?.message ?? ""}`))),
  (error) => done([String(error)]),
);
"""
# The colors that fade in would be measured in between.
_STILL = """
const still = new CSSStyleSheet();
still.replaceSync("*, ::before, ::after { animation: none !important; transition: none !important; }");
document.adoptedStyleSheets = [still];
"""


def _scan(driver: Chrome) -> list[str]:
    if not driver.execute_script("return 'axe' in window"):
        driver.execute_script(AXE.read_text(encoding="utf-8"))
    driver.execute_script(_STILL)
    return [str(found) for found in driver.execute_async_script(_RUN)]


def _set_size(driver: Chrome, size: tuple[int, int]) -> None:
    metrics: dict[str, Any] = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def _set_scheme(driver: Chrome, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


PICTURES = Path(folder) if (folder := os.environ.get("PARLEY_TEST_PICTURES")) else None
"""A folder for screenshots of every state, to look at; none are saved without it."""


async def faults(driver: Chrome, *, name: str = "") -> list[str]:
    """Return the faults of the page as it is now, a line each. Save screenshots under a name, if they are wanted."""
    found: list[str] = []
    for label, size in (("wide", WIDE), ("phone", PHONE)):
        await asyncio.to_thread(_set_size, driver, size)
        for scheme in ("light", "dark"):
            await asyncio.to_thread(_set_scheme, driver, scheme)
            found += [f"{label}, {scheme}: {fault}" for fault in await look(driver, _scan)]
            if PICTURES is not None and name:
                target = str(PICTURES / f"{name}-{label}-{scheme}.png")
                await asyncio.to_thread(driver.get_screenshot_as_file, target)
    await asyncio.to_thread(_set_size, driver, WIDE)
    await asyncio.to_thread(_set_scheme, driver, "light")
    return found
