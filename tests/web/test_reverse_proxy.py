"""Tests the page behind a real nginx: Host kept or rewritten, a path prefix kept or removed, and streams unbuffered.

Skipped if nginx is not installed; on Debian: apt install nginx.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from starlette.datastructures import Headers

from bot.platforms.web.public_url import normalized_origin, parse
from bot.platforms.web.request_guard import origin_allowed
from tests.web.client import Stream, following
from tests.web.conftest import Running
from tests.web.fakes import PIECES
from tests.web.serving import TOKEN, free_port, serving, settings_with

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "nginx.conf"
requires_nginx = pytest.mark.skipif(NGINX is None, reason="no nginx; apt install nginx")
QUESTION = {"thread": "thread-0001", "id": "m1", "text": "What is the limit?"}

CONFIG = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port};
        location {location} {{
            proxy_pass http://127.0.0.1:{upstream}{target};
            {options}
        }}
    }}
}}
"""


@dataclass
class Proxied:
    """A page behind nginx. ``url`` is the public address, with a slash at the end."""

    url: str
    page: Running
    http: aiohttp.ClientSession
    origin: dict[str, str]

    async def sign_in(self) -> aiohttp.ClientResponse:
        async with self.http.post(
            f"{self.url}login", data={"token": TOKEN}, headers=self.origin, allow_redirects=False
        ) as response:
            return response


@asynccontextmanager
async def _nginx(folder: Path, config: str, port: int) -> AsyncIterator[None]:
    assert NGINX
    (folder / "nginx.conf").write_text(config)
    process = subprocess.Popen([NGINX, "-e", f"{folder}/error.log", "-p", str(folder), "-c", f"{folder}/nginx.conf"])
    try:
        async with asyncio.timeout(30):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                except OSError:
                    assert process.poll() is None, (folder / "error.log").read_text()
                    await asyncio.sleep(0.05)
        yield
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


@asynccontextmanager
async def _proxied(folder: Path, *, prefix: str = "", target: str = "", options: str = "") -> AsyncIterator[Proxied]:
    port, upstream = free_port(), free_port()
    public = f"http://127.0.0.1:{port}{prefix}"
    settings = settings_with(folder, web_token=TOKEN, web_url=public)
    config = CONFIG.format(
        folder=folder, port=port, upstream=upstream, location=f"{prefix}/", target=target, options=options
    )
    async with (
        serving(settings, port=upstream) as page,
        _nginx(folder, config, port),
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
    ):
        yield Proxied(f"{public}/", page, http, {"Origin": f"http://127.0.0.1:{port}"})


HOST_KEPT = "proxy_http_version 1.1; proxy_set_header Host $http_host;"
HOST_REWRITTEN = "proxy_http_version 1.1;"
HOST_OF_UPSTREAM = "proxy_http_version 1.1; proxy_set_header Host parley-backend;"
OLD_HTTP = "proxy_http_version 1.0; proxy_set_header Host $http_host;"


@requires_nginx
@pytest.mark.parametrize("options", [HOST_KEPT, HOST_REWRITTEN, HOST_OF_UPSTREAM, OLD_HTTP])
@pytest.mark.parametrize(("prefix", "target"), [("", ""), ("/parley", ""), ("/parley", "/"), ("/a/parley-1", "/")])
async def test_the_page_works_behind_a_proxy(tmp_path: Path, options: str, prefix: str, target: str) -> None:
    async with _proxied(tmp_path, prefix=prefix, target=target, options=options) as site:
        async with site.http.get(site.url, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, f"{prefix}/login")
        response = await site.sign_in()
        assert (response.status, response.headers["Location"]) == (303, f"{prefix}/")
        assert f"Path={prefix or '/'}" in response.headers["Set-Cookie"].split("; ")
        await _assets_load(site)
        await _answer_streams(site)
        await _uploads_and_foreign_origins(site)


async def _assets_load(site: Proxied) -> None:
    async with site.http.get(site.url) as response:
        html = await response.text()
    links = re.findall(r'(?:src|href|action)="([^"#]+)"', html)
    elsewhere = {"logout", "admin"}  # A form, and pages that the scripted playground does not have.
    assert {"static/app.css", "static/js/main.js", "static/icon.svg", *elsewhere} <= set(links)
    for link in set(links) - elsewhere:
        async with site.http.get(site.url + link) as response:
            assert response.status == 200, link
    async with site.http.get(f"{site.url}api/state") as response:
        assert response.status == 200


async def _answer_streams(site: Proxied) -> None:
    """The first piece arrives before the server writes the second, so nothing is buffered on the way."""
    prefix = site.url.removesuffix("/")
    stream = Stream()
    async with _Prefixed(site.http, prefix) as session, following(session, into=stream):  # type: ignore[arg-type]
        async with site.http.post(f"{site.url}api/ask", json=QUESTION, headers=site.origin) as response:
            assert response.status == 202
        site.page.release(1)
        await stream.until(lambda seen: "220 EUR" in seen.text())
        assert not stream.of("assistant")[-1]["final"]
        site.page.release(len(PIECES) - 1)
        await stream.ended()


class _Prefixed:
    """A session whose paths are relative to a prefix."""

    def __init__(self, http: aiohttp.ClientSession, prefix: str) -> None:
        self.http = http
        self.prefix = prefix

    async def __aenter__(self) -> _Prefixed:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def get(self, path: str, headers: dict[str, str]) -> aiohttp.ClientResponse:
        response = await self.http.get(self.prefix + path, headers=headers)
        assert response.headers["Cache-Control"] == "no-store"
        return response


async def _uploads_and_foreign_origins(site: Proxied) -> None:
    async with site.http.post(f"{site.url}api/attach?file=a.md", data=b"# A" * 1000, headers=site.origin) as response:
        assert response.status == 201
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        async with site.http.post(f"{site.url}api/ask", json=QUESTION, headers={"Origin": origin}) as response:
            assert response.status == 403
            assert site.url in (await response.json())["error"]


@requires_nginx
async def test_the_address_without_its_slash_leads_to_the_page(tmp_path: Path) -> None:
    async with _proxied(tmp_path, prefix="/parley", options=HOST_KEPT) as site:
        async with site.http.get(site.url.removesuffix("/"), allow_redirects=False) as response:
            assert response.status in (301, 308)
            assert response.headers["Location"].endswith("/parley/")
        async with (
            aiohttp.ClientSession(site.page.address) as http,
            http.get("/parley", allow_redirects=False) as direct,
        ):
            assert (direct.status, direct.headers["Location"]) == (308, "/parley/")


@requires_nginx
async def test_the_example_configuration_works(tmp_path: Path) -> None:
    """The example in deploy/, with other ports and without TLS."""
    port, upstream = free_port(), free_port()
    server = EXAMPLE.read_text()
    server = re.sub(r"^\s*(ssl_\w+ .*|listen \[::\].*)\n", "", server, flags=re.M)
    server = server.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};").replace(
        "127.0.0.1:8080", f"127.0.0.1:{upstream}"
    )
    top = CONFIG.partition("    server")[0].format(folder=tmp_path)
    settings = settings_with(
        tmp_path, web_token=TOKEN, web_url=f"http://127.0.0.1:{port}", web_trusted_proxies=("127.0.0.1",)
    )
    async with serving(settings, port=upstream) as page, _nginx(tmp_path, f"{top}{server}}}", port):
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as http:
            site = Proxied(f"http://127.0.0.1:{port}/", page, http, {"Origin": f"http://127.0.0.1:{port}"})
            assert (await site.sign_in()).status == 303
            await _assets_load(site)
            await _answer_streams(site)
            await _uploads_and_foreign_origins(site)
            async with http.get(f"{site.url}metrics") as response:
                assert response.status == 404, "nginx does not pass metrics on"


# --- addresses


@pytest.mark.parametrize(
    ("url", "origin", "prefix", "page"),
    [
        ("https://parley.example", "https://parley.example", "", "https://parley.example/"),
        ("https://Parley.Example:443/", "https://parley.example", "", "https://parley.example/"),
        ("http://example.com:8080/a/b/", "http://example.com:8080", "/a/b", "http://example.com:8080/a/b/"),
        ("http://[::1]:9000", "http://[::1]:9000", "", "http://[::1]:9000/"),
    ],
)
def test_a_public_address_is_parsed(url: str, origin: str, prefix: str, page: str) -> None:
    parsed = parse(url)
    assert (parsed.origin, parsed.prefix, parsed.page()) == (origin, prefix, page)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://parley.example", True),
        ("https://parley.example:443", True),
        ("https://PARLEY.example", True),
        ("http://parley.example", False),
        ("https://parley.example:8443", False),
        ("https://parley.example.evil.example", False),
        ("https://127.0.0.1:8080", False),
        ("null", False),
        ("", False),
        ("https://", False),
        ("https://[", False),
        ("javascript:x", False),
    ],
)
def test_only_the_public_origin_may_write(origin: str, allowed: bool) -> None:
    headers = Headers({"origin": origin, "host": "127.0.0.1:8080"})
    assert origin_allowed(headers, parse("https://parley.example")) is allowed
    assert normalized_origin("https://user@parley.example:x") == ""
