"""A provider and a web server that repeat every token they get: no token reaches the log, the chat or the database."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp.web
import psycopg
import pytest
from pydantic import SecretStr

from bot.app import open_app
from bot.commands import registry as commands
from bot.commands.base import Context
from bot.config import Settings
from bot.jobs import working
from bot.types.conversation import LOCAL_TENANT, Author
from knowledge.sources.source_factory import open_source
from knowledge.text.secret_redaction import RedactingFilter
from tests.app.conftest import ask

ANTHROPIC_KEY, OPENAI_KEY = "canaryAnthropic7731xyz", "canaryOpenai7731xyz"
OTHER_TOKENS = ("xoxb-1-canary7731", "sk-canary7731plus")
PLANTED = (ANTHROPIC_KEY, OPENAI_KEY, *OTHER_TOKENS)


class EchoServer:
    """Answers each request with ``status`` and an error that repeats the request's headers and further tokens."""

    def __init__(self) -> None:
        self.status = 400
        self.requests = 0
        self.streams = False

    async def handle(self, request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        self.requests += 1
        echo = f"you sent {dict(request.headers)} and {' '.join(OTHER_TOKENS)} and {request.headers.get('x-api-key')}"
        error = {"type": "error", "error": {"type": "invalid_request_error", "code": "x", "message": echo}}
        if self.streams:
            body = f"event: error\ndata: {json.dumps(error)}\n\n"
            return aiohttp.web.Response(text=body, content_type="text/event-stream")
        return aiohttp.web.json_response(error, status=self.status)


@pytest.fixture
async def echo() -> AsyncIterator[tuple[EchoServer, str]]:
    server = EchoServer()
    app = aiohttp.web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield server, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
def log_output() -> Iterator[io.StringIO]:
    """The log at the most detailed level, written as the command line writes it."""
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.addFilter(RedactingFilter())
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield output
    root.removeHandler(handler)
    root.setLevel(level)


def dump(url: str) -> str:
    """Every row of every table as text."""
    with psycopg.connect(url) as connection:
        names = [row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        return "\n".join(
            row[0] for name in names for row in connection.execute(f'SELECT to_jsonb(t)::text FROM "{name}" t')
        )


async def test_a_token_that_a_server_repeats_reaches_nobody(
    echo: tuple[EchoServer, str], database_url: str, admin_url: str, tmp_path: Path, log_output: io.StringIO
) -> None:
    server, url = echo
    settings = Settings(
        _env_file=None,
        database_url=SecretStr(database_url),
        data_dir=tmp_path,
        anthropic_api_key=SecretStr(ANTHROPIC_KEY),
        anthropic_base_url=url,
        openai_api_key=SecretStr(OPENAI_KEY),
        openai_base_url=f"{url}/v1",
        fetch_allow=("127.0.0.1",),
        total_timeout=5,
    )
    said: list[str] = []
    (tmp_path / "dogs.md").write_text("# Dogs\n\nDogs are welcome in the office on Fridays.\n")
    async with open_app(settings) as app:
        handbook = open_source(str(tmp_path / "dogs.md"), fetch_allow=(), max_bytes=10**6, files=True)
        await app.ingestor.ingest([handbook], tenant_id=LOCAL_TENANT)
        for status in (200, 400, 401, 403, 404, 413, 422, 429, 500):
            server.status, server.streams = status, status == 200
            outcome = await asyncio.wait_for(ask(app, f"When may dogs come, {status}?", f"t{status}"), 60)
            said.append(repr(outcome))
        server.status = 500
        host = url.removeprefix("http://")
        context = Context(LOCAL_TENANT, "web", "general", None, Author("ann", "Ann", is_admin=True), app.services)
        async with working(app.services):
            for spec in (
                f"http://user:canary7731plus@{host}/page",
                f"git:https://canary7731plus@{host}/x.git",
                f"{url}/page",
            ):
                reply = await commands.run("ingest", spec, context)
                said.append(repr(reply))
                assert "could not be read" in reply.text
        rows = dump(admin_url)
    assert server.requests > 9
    assert "When may dogs come" in rows
    for place, content in (("chat", "\n".join(said)), ("database", rows), ("log", log_output.getvalue())):
        found = [token for token in (*PLANTED, "canary7731plus") if token in content]
        assert found == [], place
