"""The bot's token goes to Slack and nowhere else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from bot.errors import UsageError
from bot.platforms.slack.files import Downloads
from bot.platforms.slack.tokens import Fixed


class Files:
    """A file host on loopback; ``seen`` are the Authorization headers it got."""

    def __init__(self) -> None:
        self.seen: list[str | None] = []
        self.base = ""
        self.elsewhere = ""

    async def serve(self, request: web.Request) -> web.Response:
        self.seen.append(request.headers.get("Authorization"))
        match request.match_info["name"]:
            case "moved":
                return web.Response(status=302, headers={"Location": "/good"})
            case "stolen":
                return web.Response(status=302, headers={"Location": f"{self.elsewhere}/good"})
            case "loop":
                return web.Response(status=302, headers={"Location": "/loop"})
            case "login":
                return web.Response(text="<html>", content_type="text/html")
            case "gone":
                return web.Response(status=404)
            case "huge":
                return web.Response(body=b"x" * 5000)
        return web.Response(body=b"bytes", content_type="application/pdf")


@pytest.fixture
async def hosts() -> AsyncIterator[tuple[Files, Files]]:
    made = []
    runners = []
    for _ in range(2):
        files = Files()
        app = web.Application()
        app.router.add_get("/{name}", files.serve)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        files.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        made.append(files)
        runners.append(runner)
    slack, foreign = made
    slack.elsewhere = foreign.base
    yield slack, foreign
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def downloads(hosts: tuple[Files, Files]) -> AsyncIterator[Downloads]:
    async with aiohttp.ClientSession() as session:
        yield Downloads(session, Fixed("xoxb-secret"), f"{hosts[0].base}/api/", max_bytes=1000)


async def test_files_are_read_with_the_token(hosts: tuple[Files, Files], downloads: Downloads) -> None:
    file = {"name": "a.pdf", "mimetype": "application/pdf", "size": 5, "url_private": f"{hosts[0].base}/moved"}
    assert await downloads.attachment(file).read() == b"bytes"
    assert hosts[0].seen == ["Bearer xoxb-secret"] * 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("stolen", "not stored in Slack"),
        ("loop", "could not be downloaded"),
        ("login", "files:read"),
        ("gone", "Slack said 404"),
        ("huge", "larger than"),
    ],
)
async def test_what_goes_wrong_is_told(hosts: tuple[Files, Files], downloads: Downloads, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        await downloads.read(f"{hosts[0].base}/{name}", "a.pdf", "application/pdf")
    assert hosts[1].seen == []


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/slack.com",
        "https://slack.com.evil.example/x",
        "https://evilslack.com/x",
        "http://files.slack.com/x",
        "https://files.slack.com:8443/x",
        "https://files.slack.com@evil.example/x",
        "file:///etc/passwd",
        "https://[bad/x",
        "",
    ],
)
async def test_foreign_addresses_never_get_the_token(downloads: Downloads, url: str) -> None:
    assert not downloads.trusts(url)


async def test_slacks_own_hosts_do(downloads: Downloads) -> None:
    assert downloads.trusts("https://files.slack.com/files-pri/T1-F1/a.pdf")
    assert downloads.trusts("https://parley.enterprise.slack.com/x")
