"""Pages that need JavaScript: drawn by Chromium, which reaches checked addresses only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from aiohttp import web

from knowledge.parsing.html import html_document
from knowledge.sources.page_rendering import PageRenderer, _CheckedProxy, find_chromium, needs_rendering
from knowledge.sources.web_page import UrlSource
from knowledge.types.source_items import Fetched

requires_chromium = pytest.mark.skipif(find_chromium() is None, reason="no Chromium; apt install chromium")

SHELL = """<!doctype html><html><head><title>Lots</title></head><body><noscript>Enable JavaScript.</noscript>
<div id=root></div><script>
const write = (text) => {{ document.getElementById("root").innerHTML += `<p>${{text}}</p>`; }};
write("Lot B has forty places & a blue gate.");
fetch("/data").then((r) => r.text()).then(write);
fetch("{private}").then(() => write("private address reached"), () => write("private address refused"));
</script></body></html>"""


class Pages:
    """A server that counts the requests for each path."""

    def __init__(self, page: str) -> None:
        self.page = page
        self.requests: list[str] = []
        self.agents: set[str] = set()

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request.path)
        self.agents.add(request.headers["User-Agent"])
        if request.path == "/data":
            return web.Response(text="The fee is 12 euros.")
        return web.Response(text=self.page, content_type="text/html", headers={"ETag": '"1"', "X-Kept": "yes"})


@asynccontextmanager
async def serving(pages: Pages, host: str = "127.0.0.1") -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{tail:.*}", pages.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    try:
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def fetch(url: str, renderer: PageRenderer | None) -> Fetched:
    source = UrlSource(url, fetch_allow=("127.0.0.1",), max_bytes=100_000, seconds=60, renderer=renderer)
    return next(item for item in [item async for item in source.fetch()] if isinstance(item, Fetched))


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """Yield a folder that every user may enter. Each start of pytest closes the parent of ``tmp_path`` to others."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def program(folder: Path, script: str) -> PageRenderer:
    """Return a renderer with a shell script in place of Chromium."""
    path = folder / "chromium"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return PageRenderer(str(path), fetch_allow=("127.0.0.1",), max_bytes=1000)


@requires_chromium
async def test_a_page_that_scripts_write_is_read_and_its_scripts_reach_no_private_address() -> None:
    private = Pages("secret")
    async with serving(private, "127.0.0.2") as hidden:
        pages = Pages(SHELL.format(private=hidden))
        async with serving(pages) as address:
            found = find_chromium()
            assert found is not None
            renderer = PageRenderer(found, fetch_allow=("127.0.0.1",), max_bytes=100_000)
            fetched = await fetch(address, renderer)
    text = html_document.parse(fetched.data, "utf-8").text
    assert "Lot B has forty places & a blue gate." in text
    assert "The fee is 12 euros." in text
    assert "private address refused" in text
    assert private.requests == []
    assert len(pages.agents) == 1, "Chromium names itself as Parley does"
    assert "etag" not in fetched.metadata, "the text may change though the page stays the same"


async def test_only_pages_without_text_are_drawn(public_folder: Path) -> None:
    renderer = program(public_folder, "echo '<p>Drawn page</p><script>1</script>'")
    long = "<script>1</script><p>" + "Lot B has forty places. " * 20
    async with serving(Pages(long)) as address:
        assert (await fetch(address, renderer)).data == long.encode()
    async with serving(Pages(SHELL)) as address:
        assert (await fetch(address, renderer)).data.strip() == b"<p>Drawn page</p>"
        assert (await fetch(address, None)).data == SHELL.encode()


@pytest.mark.parametrize("script", ["exit 1", "head -c 5000 /dev/zero"], ids=["fails", "too much"])
async def test_a_page_that_cannot_be_drawn_stays_as_it_is(public_folder: Path, script: str) -> None:
    async with serving(Pages(SHELL)) as address:
        assert (await fetch(address, program(public_folder, script))).data == SHELL.encode()


async def test_chromium_gets_nothing_of_parleys_environment(
    public_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-7f3a")
    drawn = await program(public_folder, "env; echo; ls -A; id -u").render("http://127.0.0.1/", "Parley")
    assert drawn is not None
    assert b"canary" not in drawn
    assert b"HOME=" in drawn
    assert drawn.split()[-1] != b"0"


@pytest.mark.parametrize(
    ("host", "answer"),
    [(b"127.0.0.1", 0), (b"127.0.0.2", 2), (b"169.254.169.254", 2), (b"10.0.0.1", 2), (b"no.such.host.invalid", 4)],
)
async def test_the_proxy_connects_to_checked_addresses_only(host: bytes, answer: int) -> None:
    async with serving(Pages("hello")) as address, _CheckedProxy(("127.0.0.1",)) as proxy:
        port = int(address.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"\5\1\0" + b"\5\1\0\3" + bytes((len(host),)) + host + port.to_bytes(2))
        async with asyncio.timeout(60):
            assert await reader.readexactly(2) == b"\5\0"
            assert (await reader.readexactly(10))[1] == answer
        writer.close()


async def test_the_proxy_refuses_other_protocols() -> None:
    async with _CheckedProxy(()) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"GET / HTTP/1.1\r\n" + b"x" * 99)
        async with asyncio.timeout(60):
            assert (await reader.read())[:2] in (b"", b"\5\xff")
        writer.close()


@pytest.mark.parametrize(
    ("page", "needed"),
    [
        (b"<body><div id=root></div><script src=a.js></script>", True),
        (
            b"<head><title>Words in the head " + b"word " * 50 + b"</title></head><script>" + b"x " * 99 + b"</script>",
            True,
        ),
        (b"<script>1</script>" + b"word " * 31, False),
        (b"<p>Short page.</p>", False),
        (b"<script>1</script>" + b"<!--" * 400_000, True),
        (b"<script>1</script>" + b"<" * 400_000, True),
        (b"<script>1</script>" + b" " * 5_000_000, False),
    ],
)
def test_pages_that_need_drawing_are_told_by_their_words(page: bytes, needed: bool) -> None:
    assert needs_rendering(page) is needed
