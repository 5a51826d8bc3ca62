"""Runs several ``parley web`` processes on one database, behind one address with a round-robin proxy."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from bot.config import Settings, environment_name
from tests.web.serving import TOKEN, free_port

SECONDS = 120.0
PROCESS = "X-Process"
"""Request header that names the number of the process. Without it, each request goes to the next process."""
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", PROCESS.lower()}


@dataclass
class WebProcess:
    """A ``parley web`` process. ``said`` are the lines of its stderr."""

    process: asyncio.subprocess.Process
    port: int
    said: list[str] = field(default_factory=list)
    reading: asyncio.Task[None] | None = None

    async def read(self) -> None:
        assert self.process.stderr
        async for line in self.process.stderr:
            self.said.append(line.decode().rstrip())

    async def ready(self) -> None:
        async with asyncio.timeout(SECONDS), aiohttp.ClientSession() as http:
            while True:
                try:
                    async with http.get(f"http://127.0.0.1:{self.port}/readyz") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                assert self.process.returncode is None, "\n".join(self.said)
                await asyncio.sleep(0.1)

    async def kill(self) -> None:
        """End the process at once, without a shutdown."""
        self.process.kill()
        await self.process.wait()


@dataclass
class Site:
    """The public address, and the processes behind it."""

    url: str
    processes: list[WebProcess] = field(default_factory=list)
    turn: int = 0
    served: list[int] = field(default_factory=list)
    """The process of each request, in their order."""

    def next_process(self, request: web.Request) -> int:
        if PROCESS in request.headers:
            return int(request.headers[PROCESS])
        self.turn = (self.turn + 1) % len(self.processes)
        return self.turn

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on, and its response piece by piece."""
        number = self.next_process(request)
        self.served.append(number)
        target = f"http://127.0.0.1:{self.processes[number].port}{request.rel_url}"
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as http,
            http.request(
                request.method, target, headers=headers, data=await request.read(), allow_redirects=False
            ) as upstream,
        ):
            response = web.StreamResponse(status=upstream.status)
            for name, value in upstream.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    response.headers.add(name, value)
            await response.prepare(request)
            try:
                async for piece in upstream.content.iter_any():
                    await response.write(piece)
            except aiohttp.ClientError:
                assert request.transport
                request.transport.close()
            return response

    @asynccontextmanager
    async def browser(self) -> AsyncIterator[aiohttp.ClientSession]:
        """Open a session that is signed in."""
        async with aiohttp.ClientSession(
            self.url, cookie_jar=aiohttp.CookieJar(unsafe=True), headers={"Origin": self.url}
        ) as http:
            async with http.post("/login", data={"token": TOKEN}, allow_redirects=False) as response:
                assert response.status == 303
            yield http


async def start(folder: Path, database_url: str, url: str, more: Mapping[str, str]) -> WebProcess:
    ours = {environment_name(name) for name in Settings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    given = {
        "DATABASE_URL": database_url,
        "PARLEY_DATA_DIR": str(folder),
        "PARLEY_WEB_TOKEN": TOKEN,
        "PARLEY_WEB_URL": url,
        "PARLEY_RERANKER": "none",
    }
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bot", "web", "--port", str(port)),
        env={**kept, **given, **more, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=folder,
        stderr=asyncio.subprocess.PIPE,
    )
    started = WebProcess(process, port)
    started.reading = asyncio.create_task(started.read())
    return started


@asynccontextmanager
async def behind_one_address(
    folder: Path, database_url: str, more: Mapping[str, str], *, count: int = 2
) -> AsyncIterator[Site]:
    """Run the processes and the proxy until the body ends. ``more`` are further settings."""
    port = free_port()
    site = Site(f"http://127.0.0.1:{port}")
    app = web.Application(client_max_size=100_000_000)
    app.router.add_route("*", "/{path:.*}", site.forward)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        for _ in range(count):
            site.processes.append(await start(folder, database_url, site.url, more))
        await asyncio.gather(*(process.ready() for process in site.processes))
        yield site
    finally:
        for one in site.processes:
            if one.process.returncode is None:
                one.process.terminate()
        async with asyncio.timeout(SECONDS):
            for one in site.processes:
                await one.process.wait()
                if one.reading:
                    await one.reading
        await runner.cleanup()
