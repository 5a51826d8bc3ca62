"""Downloads of attached files: the bot's token is sent to Slack only."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from bot.errors import UsageError
from bot.platforms.slack.bot_tokens import StaticToken
from bot.platforms.slack.file_downloads import FileDownloads


class FileHost:
    """A file host on loopback; ``authorizations`` are the Authorization headers that it received."""

    def __init__(self) -> None:
        self.authorizations: list[str | None] = []
        self.base = ""
        self.redirect_host = ""

    async def serve(self, request: web.Request) -> web.Response:
        self.authorizations.append(request.headers.get("Authorization"))
        match request.match_info["name"]:
            case "moved":
                return web.Response(status=302, headers={"Location": "/good"})
            case "stolen":
                return web.Response(status=302, headers={"Location": f"{self.redirect_host}/good"})
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
async def hosts() -> AsyncIterator[tuple[FileHost, FileHost]]:
    hosts = []
    runners = []
    for _ in range(2):
        host = FileHost()
        app = web.Application()
        app.router.add_get("/{name}", host.serve)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        hosts.append(host)
        runners.append(runner)
    slack, foreign = hosts
    slack.redirect_host = foreign.base
    yield slack, foreign
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def downloads(hosts: tuple[FileHost, FileHost]) -> AsyncIterator[FileDownloads]:
    async with aiohttp.ClientSession() as session:
        yield FileDownloads(session, StaticToken("xoxb-secret"), f"{hosts[0].base}/api/", max_bytes=1000)


async def test_files_are_read_with_the_token(hosts: tuple[FileHost, FileHost], downloads: FileDownloads) -> None:
    file = {"name": "a.pdf", "mimetype": "application/pdf", "size": 5, "url_private": f"{hosts[0].base}/moved"}
    assert await downloads.attachment(file).read() == b"bytes"
    assert hosts[0].authorizations == ["Bearer xoxb-secret"] * 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stolen", "not stored in Slack"),
        ("loop", "could not download"),
        ("login", "files:read"),
        ("gone", "Slack returned 404"),
        ("huge", "larger than"),
    ],
)
async def test_download_errors_say_what_went_wrong(
    hosts: tuple[FileHost, FileHost], downloads: FileDownloads, name: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        await downloads.read(f"{hosts[0].base}/{name}", "a.pdf", "application/pdf")
    assert hosts[1].authorizations == []


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
async def test_foreign_addresses_never_get_the_token(downloads: FileDownloads, url: str) -> None:
    assert not downloads.is_trusted(url)


async def test_slacks_own_hosts_get_the_token(downloads: FileDownloads) -> None:
    assert downloads.is_trusted("https://files.slack.com/files-pri/T1-F1/a.pdf")
    assert downloads.is_trusted("https://parley.enterprise.slack.com/x")
