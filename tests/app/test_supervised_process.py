"""``parley up`` as a process: it outlives an unreachable platform, reports it, and ends at once on a refused token."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psycopg
import pytest
from aiohttp import web

from bot.config import Settings, environment_name
from bot.store.diagnostics import check
from tests.web.serving import free_port

SECONDS = 120.0
SLACK = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}


@dataclass
class Process:
    """A running command. ``said`` are the lines of its stderr."""

    process: asyncio.subprocess.Process
    port: int
    said: list[str] = field(default_factory=list)

    async def probe(self, path: str) -> tuple[int, str]:
        """Return status and body, or status 0 while the port is closed."""
        try:
            async with (
                aiohttp.ClientSession() as http,
                http.get(f"http://127.0.0.1:{self.port}{path}") as response,
            ):
                return response.status, await response.text()
        except aiohttp.ClientError:
            return 0, ""

    async def until(self, path: str, status: int, part: str = "") -> str:
        async with asyncio.timeout(SECONDS):
            while True:
                found, body = await self.probe(path)
                if found == status and part in body:
                    return body
                assert self.process.returncode is None, "\n".join(self.said)
                await asyncio.sleep(0.05)


@asynccontextmanager
async def up(folder: Path, database_url: str, *options: str, **more: str) -> AsyncIterator[Process]:
    ours = {environment_name(name) for name in Settings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    given = {"DATABASE_URL": database_url, "PARLEY_DATA_DIR": str(folder), **more}
    port = free_port()
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bot", "up", "--port", str(port), *options),
        env={**kept, **given, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=folder,
        stderr=asyncio.subprocess.PIPE,
    )
    running = Process(started, port)

    async def read() -> None:
        assert started.stderr
        async for line in started.stderr:
            running.said.append(line.decode().rstrip())

    reading = asyncio.create_task(read())
    try:
        yield running
    finally:
        if started.returncode is None:
            started.terminate()
        async with asyncio.timeout(SECONDS):
            await started.wait()
        await reading


@asynccontextmanager
async def refusing_slack(error: str) -> AsyncIterator[str]:
    """A Slack that refuses every call with this error."""

    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"ok": False, "error": error})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port := free_port())
    await site.start()
    yield f"http://127.0.0.1:{port}/api/"
    await runner.cleanup()


async def test_it_is_ready_once_it_is_warm_and_says_so_then(database_url: str, tmp_path: Path) -> None:
    async with up(tmp_path, database_url) as process:
        await process.until("/healthz", 200)
        status, body = await process.probe("/readyz")
        warm = any("Parley is ready" in line for line in process.said)
        assert status == 200 or "models: is starting" in body
        assert warm <= (status == 200), "it says that it is ready only when it is"
        await process.until("/readyz", 200)
        async with asyncio.timeout(SECONDS):
            while not any("Parley is ready" in line for line in process.said):
                await asyncio.sleep(0.05)


async def test_the_port_is_open_while_the_sample_is_added(database_url: str, admin_url: str, tmp_path: Path) -> None:
    with psycopg.connect(admin_url) as blocking:
        blocking.execute("LOCK TABLE documents IN EXCLUSIVE MODE")
        async with up(tmp_path, database_url, "--sample") as process:
            await process.until("/healthz", 200)
            status, body = await process.probe("/readyz")
            assert status == 503
            assert "sample: adding the sample documents" in body
            assert json.loads((await process.probe("/api/welcome"))[1])["adding_sample"] is True
            assert not any("Parley is ready" in line for line in process.said)
            blocking.rollback()
            await process.until("/readyz", 200)
            assert json.loads((await process.probe("/api/welcome"))[1])["adding_sample"] is False
            async with asyncio.timeout(SECONDS):
                while not any("Parley is ready" in line for line in process.said):
                    await asyncio.sleep(0.05)


async def test_an_unreachable_platform_costs_that_platform_only(database_url: str, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}/api/"
    async with up(tmp_path, database_url, SLACK_API_URL=address, **SLACK) as process:
        body = await process.until("/readyz", 503, "slack: Slack cannot be reached")
        assert "\n" not in body or "models" in body
        assert (await process.probe("/"))[0] == 200
        async with asyncio.timeout(SECONDS):
            while not (found := [one for one in await check(database_url, database_url, "DATABASE_URL") if not one.ok]):
                await asyncio.sleep(0.2)
        (fault,) = found
        assert fault.name.startswith(f"process {process.process.pid} on ")
        assert "slack: Slack cannot be reached" in fault.detail
    assert any("slack failed and starts again in 1 s" in line for line in process.said)


@pytest.mark.parametrize(("error", "final"), [("invalid_auth", True), ("internal_error", False)])
async def test_only_a_refused_token_ends_the_process(
    error: str, final: bool, database_url: str, tmp_path: Path
) -> None:
    async with refusing_slack(error) as address, up(tmp_path, database_url, SLACK_API_URL=address, **SLACK) as process:
        if final:
            async with asyncio.timeout(SECONDS):
                await process.process.wait()
            assert process.process.returncode == 1
            assert any("slack cannot run: Slack does not accept SLACK_BOT_TOKEN" in line for line in process.said)
            assert (await process.probe("/healthz"))[0] == 0
        else:
            await process.until("/readyz", 503, "slack: Slack cannot be reached")


async def test_a_database_cut_off_costs_no_part(database_url: str, postgres: str, tmp_path: Path) -> None:
    async with up(tmp_path, database_url) as process:
        await process.until("/readyz", 200)
        with psycopg.connect(postgres, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test_%'")
        await process.until("/readyz", 200)
        assert process.process.returncode is None
        assert json.dumps(process.said).count("cannot run") == 0
