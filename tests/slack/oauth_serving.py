"""Serves Parley to many Slack workspaces in a test: a browser that installs the app, and stored installations."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import psycopg
import pytest
from cryptography.fernet import Fernet
from psycopg import sql
from slack_sdk.signature import SignatureVerifier
from sqlalchemy.engine import make_url

from bot.commands.regular_notices import NOTICE_SECONDS
from bot.config import Settings
from bot.engine.display.workspace_pacing import WorkspacePacing
from bot.platforms.slack import web_client
from bot.platforms.slack.app import serve
from bot.platforms.slack.installation.installations import Installations, InstallationToken, Sleep
from bot.platforms.slack.installation.manifest import SCOPES
from bot.platforms.slack.installation.oauth import STATE_COOKIE
from bot.store.database.session import Database
from bot.store.slack_workspaces import Installed
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_oauth import CLIENT_ID, CLIENT_SECRET, SlackCloud
from tests.doubles.slack_world import BOT_USER, Message
from tests.slack.conftest import installed as app_options
from tests.slack.fake_dispatcher import ScriptedDispatcher
from tests.superuser_access import as_superuser

SIGNING = "8f742231b10e8888abcd99yyyzzz85a5"
OLD_KEY, NEW_KEY = Fernet.generate_key().decode(), Fernet.generate_key().decode()
ONE, TWO = "T0ONE", "T0TWO"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class ManualClock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def cloud(clock: ManualClock) -> AsyncIterator[SlackCloud]:
    """Two workspaces on one Slack."""
    async with AsyncExitStack() as stack:
        doubles = {team: await stack.enter_async_context(SlackDouble(**app_options())) for team in (ONE, TWO)}
        yield await stack.enter_async_context(SlackCloud(doubles, clock.seconds))


def settings_of(cloud: SlackCloud, port: int = 3000, **more: Any) -> Settings:
    options: dict[str, Any] = {
        "slack_client_id": CLIENT_ID,
        "slack_client_secret": CLIENT_SECRET,
        "slack_signing_secret": SIGNING,
        "slack_public_url": f"http://127.0.0.1:{port}",
        "slack_http_port": port,
        "slack_api_url": cloud.api_url,
        "token_keys": (OLD_KEY,),
        "data_dir": Path("unused"),
    }
    return Settings(_env_file=None, **{**options, **more})


class Browser:
    """A user's browser and Slack's own requests, at the public address."""

    def __init__(self, session: aiohttp.ClientSession, port: int, cloud: SlackCloud) -> None:
        self._session, self._cloud = session, cloud
        self.base = f"http://127.0.0.1:{port}"

    async def start(self) -> tuple[str, str]:
        """Start an installation; return the state sent to Slack and the cookie."""
        async with self._session.get(f"{self.base}/slack/install", allow_redirects=False) as response:
            assert response.status == 302
            query = parse_qs(urlsplit(response.headers["Location"]).query)
            assert query["client_id"] == [CLIENT_ID]
            assert set(query["scope"][0].split(",")) == set(SCOPES)
            assert query["redirect_uri"] == [f"{self.base}/slack/oauth_redirect"]
            return query["state"][0], response.cookies[STATE_COOKIE].value

    async def return_from_slack(self, cookie: str, **query: str) -> tuple[int, str]:
        headers = {"Cookie": f"{STATE_COOKIE}={cookie}"} if cookie else {}
        url = f"{self.base}/slack/oauth_redirect"
        async with self._session.get(url, params=query, headers=headers) as response:
            return response.status, await response.text()

    async def install(self, team: str) -> tuple[int, str]:
        state, cookie = await self.start()
        return await self.return_from_slack(cookie, state=state, code=self._cloud.consent(team))

    async def send_event(self, team: str, event: dict[str, Any], *, at: float | None = None, **more: Any) -> int:
        """Deliver a signed event of a workspace."""
        body = {
            "type": "event_callback",
            "team_id": team,
            "event": event,
            "event_id": f"Ev{time.monotonic_ns()}",
            "event_time": int(at or time.time()),
            "authorizations": [{"team_id": team, "user_id": BOT_USER, "is_bot": True}],
        }
        return await self.post(json.dumps({key: value for key, value in (body | more).items() if value is not None}))

    async def post(self, body: str, encoding: str = "json") -> int:
        """Post a signed request."""
        stamp = str(int(time.time()))
        signature = SignatureVerifier(SIGNING).generate_signature(timestamp=stamp, body=body)
        headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": str(signature)}
        headers["Content-Type"] = {"json": "application/json", "form": "application/x-www-form-urlencoded"}[encoding]
        async with self._session.post(f"{self.base}/slack/events", data=body, headers=headers) as response:
            return response.status

    async def command(self, team: str, name: str, text: str, user: str, channel: str, **more: str) -> int:
        """Run a slash command in a workspace."""
        slack = self._cloud.workspaces[more.get("enterprise_id", team)]
        author, target = slack.user_id(user), slack.channel(channel)
        form = {
            "command": name,
            "text": text,
            "team_id": team,
            "channel_id": target.id,
            "channel_name": target.name,
            "user_id": author,
            "user_name": user,
            "response_url": slack.temporary.response_url(target.id, author),
            "trigger_id": slack.temporary.trigger(),
        }
        return await self.post(urlencode(form | more), "form")

    async def interact(self, payload: dict[str, Any]) -> int:
        """Deliver an interaction."""
        return await self.post(urlencode({"payload": json.dumps(payload)}), "form")

    async def ask(self, team: str, text: str, **more: Any) -> Message:
        """Mention the bot as alice in the general channel of a workspace."""
        slack = self._cloud.workspaces[more.get("enterprise_id", team)]
        message = slack.add_past("general", "alice", f"{slack.bot} {text}", time.time() - 60)
        event = {**message.payload(), "type": "app_mention", "channel": message.channel, "event_ts": message.ts}
        assert await self.send_event(team, event, **more) == 200
        return message


@asynccontextmanager
async def serving(
    cloud: SlackCloud, dispatcher: Any, services: Any, settings: Settings, *, notice_seconds: float = NOTICE_SECONDS
) -> AsyncIterator[Browser]:
    ready = asyncio.Event()
    platform = serve(
        dispatcher, services, settings, ready=ready, maintenance_seconds=0.1, notice_seconds=notice_seconds
    )
    task = asyncio.create_task(platform)
    ready_task = asyncio.create_task(ready.wait())
    await asyncio.wait({task, ready_task}, return_when=asyncio.FIRST_COMPLETED)
    ready_task.cancel()
    if task.done():
        task.result()
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            yield Browser(session, settings.slack_http_port, cloud)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def served(cloud: SlackCloud, database: Database) -> AsyncIterator[tuple[Browser, ScriptedDispatcher]]:
    dispatcher = ScriptedDispatcher()
    services = SimpleNamespace(database=database, workspace_pacing=WorkspacePacing(), stores=None)
    async with serving(cloud, dispatcher, services, settings_of(cloud, free_port())) as browser:
        yield browser, dispatcher
    await dispatcher.close()


def rows(database_url: str, table: str = "slack_installations") -> list[str]:
    """Return the stored rows of a table, of every tenant."""
    with psycopg.connect(as_superuser(database_url)) as connection:
        return [row[0] for row in connection.execute(f"SELECT t::text FROM {table} t").fetchall()]


@asynccontextmanager
async def installations_of(
    cloud: SlackCloud, url: str, clock: ManualClock, *, sleep: Sleep = asyncio.sleep, **more: Any
) -> AsyncIterator[Installations]:
    """Yield the installations as one process sees them."""
    database, settings = Database(url), settings_of(cloud, **more)
    async with web_client.http_session() as session:
        yield Installations(
            database, settings, web_client.tokenless_client(settings, session), clock=clock, sleep=sleep
        )
    await database.aclose()


async def install_directly(
    cloud: SlackCloud, installations: Installations, clock: ManualClock, team: str = ONE
) -> InstallationToken:
    """Store an installation of the team without the OAuth flow."""
    tokens = cloud.issue(team)
    installation = Installed(
        tenant_id=f"slack:{team}",
        team_id=team,
        enterprise_id="",
        name=team,
        app_id="",
        bot_id="B0BOT",
        bot_user_id=BOT_USER,
        scopes="",
        installed_by="U0ADA",
        installed_at=clock.now,
        sealed=None,
        expires_at=clock.now + timedelta(seconds=cloud.token_seconds),
        refreshed_at=clock.now,
    )
    await installations.save(installation, tokens["access_token"], tokens["refresh_token"])
    return InstallationToken(installations, f"slack:{team}")


def allow_connections(url: str, allowed: bool) -> None:
    """End all connections of the application to the database and refuse others, or accept them again."""
    name = str(make_url(url).database)
    with psycopg.connect(as_superuser(url), autocommit=True) as connection:
        limit = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(sql.Identifier(name), -1 if allowed else 0)
        connection.execute(limit)
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            (name,),
        )


def is_answered(slack: SlackDouble, question: Message) -> bool:
    """Return whether the answer is complete."""
    return any("parley_up" in reply.now.buttons for reply in slack.replies(question))
