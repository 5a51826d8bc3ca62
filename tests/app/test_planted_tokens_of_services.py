"""Services that repeat every token they get in their errors: no start, check or sign-in shows or logs one of them."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import aiohttp.web
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy.engine import make_url

from bot.commands.services import Services
from bot.config import Settings
from bot.engine.dispatch.dispatcher import Dispatcher
from bot.errors import ParleyError, StoreAway, for_operator
from bot.llm import diagnostics as model_diagnostics
from bot.platforms.discord import app as discord_app
from bot.platforms.discord import diagnostics as discord_diagnostics
from bot.platforms.slack import app as slack_app
from bot.platforms.slack import diagnostics as slack_diagnostics
from bot.platforms.slack.installation.installations import Installations
from bot.platforms.slack.installation.oauth import OAuthFlow
from bot.store.database import migrate
from bot.store.database.session import Database
from knowledge.embedders.openai import OpenAIEmbedder
from knowledge.errors import KnowledgeError
from knowledge.text.secret_redaction import redact
from tests.app.test_planted_tokens import log_output
from tests.doubles.models_http import closed_port

__all__ = ["log_output"]

CANARY = "canary7731"
TOKENS: dict[str, Any] = {
    "slack_bot_token": f"xoxb-{CANARY}-bot",
    "slack_app_token": f"xapp-{CANARY}-app",
    "discord_token": f"MTA{CANARY}MTA{CANARY}.G{CANARY[:5]}.{CANARY * 3}",
    "anthropic_api_key": f"{CANARY}anthropickey",
    "openai_api_key": f"{CANARY}openaikey",
}
CODE = f"{CANARY}code"
"""An OAuth code, which Slack exchanges once."""

NO_SERVICES = cast(Services, SimpleNamespace(stores=None))

Place = Callable[[Settings, str], Awaitable[object]]


async def echoed(request: aiohttp.web.Request) -> aiohttp.web.Response:
    """Answer with the status in the path and an error that holds all that was sent, in the form of every service."""
    status = int(request.match_info["status"])
    said = f"{dict(request.headers)} {(await request.read()).decode(errors='replace')} {request.query_string}"
    body: dict[str, Any] = {"ok": False, "error": said, "message": said, "code": 0, "needed": said, "provided": said}
    return aiohttp.web.Response(status=status, text=json.dumps(body), content_type="application/json")


@pytest.fixture
async def echo() -> AsyncIterator[str]:
    app = aiohttp.web.Application()
    app.router.add_route("*", "/{status:[0-9]+}/{rest:.*}", echoed)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def start_slack(settings: Settings, _: str) -> object:
    await asyncio.wait_for(slack_app.serve(cast(Dispatcher, None), NO_SERVICES, settings), 60)
    return None


async def check_slack(settings: Settings, _: str) -> object:
    return await slack_diagnostics.check(settings)


async def install_in_slack(settings: Settings, url: str) -> object:
    oauth = Settings(
        _env_file=None,
        data_dir=settings.data_dir,
        slack_api_url=settings.slack_api_url,
        slack_client_id="1.2",
        slack_client_secret=SecretStr(f"{CANARY}clientsecret"),
        slack_signing_secret=SecretStr(f"{CANARY}signing"),
        token_keys=(Fernet.generate_key().decode(),),
        slack_public_url="https://parley.example",
    )
    async with aiohttp.ClientSession() as session:
        client = AsyncWebClient(base_url=str(oauth.slack_api_url), session=session)
        flow = OAuthFlow(oauth, cast(Database, None), cast(Installations, None), client)
        return await flow._install(CODE)


async def start_discord(settings: Settings, _: str) -> object:
    await asyncio.wait_for(discord_app.serve(cast(Dispatcher, None), NO_SERVICES, settings), 60)
    return None


async def check_discord(settings: Settings, _: str) -> object:
    return await discord_diagnostics.check(settings)


async def check_models(settings: Settings, _: str) -> object:
    return await model_diagnostics.check(settings)


async def embed(settings: Settings, url: str) -> object:
    embedder = OpenAIEmbedder("text-embedding-3-small", api_key=f"{CANARY}openaikey", base_url=f"{url}/v1")
    try:
        return await embedder.encode(["words"], "query")
    finally:
        await embedder.aclose()


PLACES: dict[str, Place] = {
    "the start of Slack": start_slack,
    "the check of Slack": check_slack,
    "an installation in Slack": install_in_slack,
    "the start of Discord": start_discord,
    "the check of Discord": check_discord,
    "the check of the models": check_models,
    "the embedding model": embed,
}


async def shown_by(place: Place, settings: Settings, url: str) -> str:
    """Return what the place returns or raises, as people and scripts see it."""
    try:
        return repr(await place(settings, url))
    except (ParleyError, KnowledgeError) as error:
        detail = error.detail if isinstance(error, StoreAway) else ""
        return f"{error} {error!r} {detail} {vars(error)}"


@pytest.mark.parametrize("status", [200, 401, 403])
@pytest.mark.parametrize("place", PLACES)
async def test_what_a_service_repeats_is_neither_shown_nor_logged(
    place: str, status: int, echo: str, tmp_path: Path, log_output: io.StringIO
) -> None:
    url = f"{echo}/{status}"
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path,
        slack_api_url=f"{url}/api/",
        discord_api_url=url,
        anthropic_base_url=url,
        openai_base_url=f"{url}/v1",
        total_timeout=5,
        **TOKENS,
    )
    shown = await shown_by(PLACES[place], settings, url)
    assert shown
    assert CANARY not in shown.replace(CODE, "")
    assert CANARY not in log_output.getvalue().replace(CODE, "")


@pytest.mark.parametrize("host", ["closed", "wrong password"])
async def test_the_password_of_the_database_is_neither_shown_nor_logged(
    host: str, database_url: str, log_output: io.StringIO
) -> None:
    password = f"{CANARY}password"
    url = make_url(database_url).set(password=password)
    if host == "closed":
        url = url.set(host="127.0.0.1", port=closed_port(), query={})
    address = url.render_as_string(hide_password=False)
    assert password in address
    database = Database(address)

    async def read() -> object:
        async with database.queue():
            return "connected"

    async def migrated() -> object:
        return await asyncio.to_thread(migrate.revisions, address)

    for attempt in (read, migrated):
        shown = ""
        try:
            await attempt()
        except Exception as error:
            shown = f"{redact(repr(error))} {for_operator(error)}"
        assert CANARY not in shown
    await database.aclose()
    assert CANARY not in log_output.getvalue()
