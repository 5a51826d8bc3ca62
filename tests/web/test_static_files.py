"""Tests the static files of the page."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from bot.platforms.web.api import STATIC
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
            text += await response.text()
    addresses = [word for word in text.split('"') if word.startswith(("http://", "https://", "//"))]
    assert addresses == ["http://www.w3.org/2000/svg"]


async def test_static_files_have_the_right_type_and_are_revalidated(page: Running, http: aiohttp.ClientSession) -> None:
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    assert "/static/js/main.js" in STATIC_FILES
    for path in STATIC_FILES:
        async with http.get(path) as response:
            assert response.content_type == types[Path(path).suffix]
            assert response.headers["Cache-Control"] == "no-cache"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            etag = response.headers["ETag"]
        async with http.get(path, headers={"If-None-Match": etag}) as response:
            assert (response.status, response.headers["Cache-Control"]) == (304, "no-cache")
