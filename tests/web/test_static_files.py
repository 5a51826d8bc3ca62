"""Tests the static files of the page."""

from __future__ import annotations

import io
import json
from pathlib import Path

import aiohttp
from PIL import Image

from bot.platforms.web.api import STATIC
from tests.web.browser import (
    browsing,
    console_errors,
    look,
    requires_chromium,
    texts,
    wait_until,
)
from tests.web.conftest import Running

STATIC_FILES = sorted(
    f"/static/{file.relative_to(STATIC).as_posix()}"
    for file in STATIC.rglob("*")
    if file.is_file() and file.name != "index.html"
)


async def test_the_page_loads_nothing_from_other_sites(page: Running, http: aiohttp.ClientSession) -> None:
    async with http.get("/") as response:
        text = await response.text()
        policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for path in STATIC_FILES:
        async with http.get(path) as response:
            assert response.status == 200
            text += (await response.read()).decode(errors="replace")
    addresses = [word for word in text.split('"') if word.startswith(("http://", "https://", "//"))]
    assert set(addresses) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1998/Math/MathML"}, "names, never loaded"


async def test_static_files_have_the_right_type_and_are_revalidated(page: Running, http: aiohttp.ClientSession) -> None:
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png"}
    types |= {".webmanifest": "application/manifest+json", ".txt": "text/plain"}
    assert "/static/js/main.js" in STATIC_FILES
    for path in STATIC_FILES:
        async with http.get(path) as response:
            assert response.content_type == types[Path(path).suffix]
            assert response.headers["Cache-Control"] == "no-cache"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            etag = response.headers["ETag"]
        async with http.get(path, headers={"If-None-Match": etag}) as response:
            assert (response.status, response.headers["Cache-Control"]) == (304, "no-cache")


async def test_the_page_can_be_installed(page: Running, http: aiohttp.ClientSession) -> None:
    async with http.get("/static/manifest.webmanifest") as response:
        assert response.headers["Content-Type"] == "application/manifest+json"
        manifest = json.loads(await response.text())
    assert (manifest["display"], manifest["start_url"], manifest["scope"]) == ("standalone", "..", "..")
    pictures = [icon for icon in manifest["icons"] if icon["type"] == "image/png"]
    assert {icon["sizes"] for icon in pictures} == {"192x192", "512x512"}
    for icon in pictures:
        async with http.get(f"/static/{icon['src']}") as response:
            picture = Image.open(io.BytesIO(await response.read()))
        assert f"{picture.width}x{picture.height}" == icon["sizes"]


@requires_chromium
async def test_chromium_finds_no_obstacle_to_install_the_page(page: Running) -> None:
    async with browsing(page.address) as driver:
        await wait_until(driver, lambda driver: texts(driver, "#connection") == ["connected"])
        found = await look(driver, lambda driver: driver.execute_cdp_cmd("Page.getAppManifest", {}))
        assert (found["errors"], found["url"]) == ([], f"{page.address}/static/manifest.webmanifest")
        found = await look(driver, lambda driver: driver.execute_cdp_cmd("Page.getInstallabilityErrors", {}))
        assert found["installabilityErrors"] == []
        assert await look(driver, console_errors) == []
