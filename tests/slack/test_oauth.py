"""Several workspaces install the app with OAuth: each has its own tenant and its own rotating token."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
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

from bot.app import open_app
from bot.config import Settings
from bot.engine.display.workspace_pacing import WorkspacePacing
from bot.errors import ConfigError, MessageGone, ParleyError
from bot.platforms.slack import oauth_state, web_client
from bot.platforms.slack.app import serve
from bot.platforms.slack.diagnostics import check
from bot.platforms.slack.installations import Installations, InstallationToken, Sleep
from bot.platforms.slack.manifest import SCOPES, manifest
from bot.platforms.slack.oauth import STATE_COOKIE
from bot.store import event_log, slack_workspaces
from bot.store.advisory_locks import only_one
from bot.store.session import Database
from bot.store.slack_workspaces import Installed
from bot.types.checks import Check
from knowledge.sources import UploadSource
from tests.databases import as_superuser
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_oauth import CLIENT_ID, CLIENT_SECRET, SlackCloud
from tests.doubles.slack_world import BOT_USER, Message
from tests.slack.conftest import installed as app_options
from tests.slack.fake_dispatcher import ScriptedDispatcher

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
    cloud: SlackCloud, dispatcher: object, services: object, settings: Settings
) -> AsyncIterator[Browser]:
    ready = asyncio.Event()
    task = asyncio.create_task(serve(dispatcher, services, settings, ready=ready, maintenance_seconds=0.1))  # type: ignore[arg-type]
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
    services = SimpleNamespace(database=database, workspace_pacing=WorkspacePacing())
    async with serving(cloud, dispatcher, services, settings_of(cloud, free_port())) as browser:
        yield browser, dispatcher
    await dispatcher.close()


def rows(database_url: str, table: str = "slack_installations") -> list[str]:
    """Return the stored rows of a table, of every tenant."""
    with psycopg.connect(as_superuser(database_url)) as connection:
        return [row[0] for row in connection.execute(f"SELECT t::text FROM {table} t").fetchall()]


async def test_an_installation_stores_its_tokens_encrypted(
    cloud: SlackCloud, served: tuple[Browser, ScriptedDispatcher], admin_url: str
) -> None:
    browser, dispatcher = served
    status, page = await browser.install(ONE)
    assert (status, "installed in The T0ONE" in page) == (200, True)
    question = await browser.ask(ONE, "how many days off?")
    slack = cloud.workspaces[ONE]
    await slack.until(lambda: any("parley_why" in reply.now.buttons for reply in slack.replies(question)))
    assert [incoming.thread.tenant_id for incoming in dispatcher.accepted] == ["slack:T0ONE"]

    (row,) = rows(admin_url)
    assert "T0ONE" in row
    with psycopg.connect(admin_url) as connection:
        names = [name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    all_rows = "\n".join(line for name in names for line in rows(admin_url, name))
    for token, issued in cloud.tokens.items():
        assert token not in all_rows
        assert issued.refresh_token not in all_rows


async def test_forged_replayed_late_or_denied_consent_installs_nothing(
    cloud: SlackCloud, served: tuple[Browser, ScriptedDispatcher], admin_url: str
) -> None:
    browser, _ = served
    state, cookie = await browser.start()
    assert rows(admin_url, "oauth_states") == [], "the start of an installation stores nothing"
    code = cloud.consent(ONE)
    for sent_cookie, query in [
        ("", {"state": state, "code": code}),
        ("another", {"state": state, "code": code}),
        ("forged", {"state": "forged", "code": code}),
        (cookie, {"code": code}),
        ("", {"code": code}),
    ]:
        assert (await browser.return_from_slack(sent_cookie, **query))[0] == 400
    status, page = await browser.return_from_slack(cookie, state=state, error="access_denied")
    assert (status, "did not allow" in page) == (200, True)
    assert (await browser.return_from_slack(cookie, state=state, code=code))[0] == 400, "a state is valid once"
    late = oauth_state.create(CLIENT_SECRET, datetime.now(UTC) - timedelta(minutes=11))
    changed = late.replace(late.split(".")[1], str(int(time.time()) + 600))
    forged = oauth_state.create("another secret", datetime.now(UTC))
    for state in (late, changed, forged, "", ".", "..", "a.b.c", "\u00e4.1.b"):
        status, page = await browser.return_from_slack(state, state=state, code=code)
        assert status == 400, state
    assert len(rows(admin_url, "oauth_states")) == 1, "only the state that was used is stored"
    status, page = await browser.return_from_slack(late, state=late, code=code)
    assert (status, "ten minutes" in page) == (400, True)
    state, cookie = await browser.start()
    status, page = await browser.return_from_slack(cookie, state=state, code="<script>")
    assert (status, "invalid_code" in page) == (400, True)
    assert rows(admin_url) == []
    assert state not in "".join(rows(admin_url, "oauth_states")), "only the digest of a state is stored"
    assert not cloud.tokens


async def test_the_app_is_uninstalled_from_a_workspace_that_is_not_served(
    cloud: SlackCloud, database: Database, admin_url: str
) -> None:
    settings = settings_of(cloud, free_port(), slack_workspaces=(TWO,))
    async with serving(
        cloud, ScriptedDispatcher(), SimpleNamespace(database=database, workspace_pacing=WorkspacePacing()), settings
    ) as browser:
        status, page = await browser.install(ONE)
        assert (status, "does not serve your workspace" in page) == (403, True)
        assert (await browser.install(TWO))[0] == 200
    assert cloud.uninstalled == [ONE]
    assert len(rows(admin_url)) == 1


async def test_removing_the_app_stops_its_events_and_deletes_its_tokens(
    cloud: SlackCloud, served: tuple[Browser, ScriptedDispatcher], database: Database, database_url: str
) -> None:
    browser, dispatcher = served
    await browser.install(ONE)
    await browser.install(TWO)
    for event in ({"type": "tokens_revoked", "tokens": {"bot": [BOT_USER]}}, {"type": "app_uninstalled"}):
        assert await browser.send_event(ONE, event) == 200
    await browser.ask(ONE, "is anybody there?")
    await browser.ask(TWO, "is anybody there?")
    assert [incoming.thread.tenant_id for incoming in dispatcher.accepted] == ["slack:T0TWO"]
    removed, kept = await slack_workspaces.every(database)
    assert (removed.sealed, removed.removed_at is None) == (None, False)
    assert kept.sealed is not None

    before = time.time() - 3600
    await browser.install(ONE)
    assert await browser.send_event(ONE, {"type": "app_uninstalled"}, at=before) == 200
    await browser.ask(ONE, "and now?")
    assert dispatcher.accepted[-1].thread.tenant_id == "slack:T0ONE", (
        "an event older than the installation removes nothing"
    )
    assert await browser.send_event(ONE, {"type": "tokens_revoked", "tokens": {"oauth": ["U0ALICE"]}}) == 200
    assert all(one.sealed for one in await slack_workspaces.every(database)), "user tokens are ignored"


# --- token rotation


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


async def test_a_token_is_renewed_before_and_after_it_expires(
    cloud: SlackCloud, database_url: str, clock: ManualClock
) -> None:
    async with installations_of(cloud, database_url, clock) as process, web_client.http_session() as session:
        stored = await install_directly(cloud, process, clock)
        client = web_client.create_clients(settings_of(cloud), session, stored).retrying
        first = await stored.token()
        clock.now += timedelta(hours=9, minutes=59)
        assert await stored.token() == first
        clock.now += timedelta(minutes=2)
        second = await stored.token()
        assert (second != first, cloud.renewals) == (True, [ONE])
        clock.now += timedelta(hours=13)
        assert (await client.auth_test())["ok"], "an expired token is renewed before the call"
        assert cloud.renewals == [ONE, ONE]
        cloud.tokens[cloud.current(ONE)].expires_at = clock.seconds()
        assert (await client.auth_test())["ok"], "a token that Slack revoked early is renewed after its refusal"
        assert cloud.renewals == [ONE, ONE, ONE]


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


@pytest.mark.parametrize("stored_by", ["the next event", "maintenance"])
async def test_a_renewed_token_is_kept_until_the_database_can_store_it(
    cloud: SlackCloud, database_url: str, clock: ManualClock, stored_by: str
) -> None:
    async with (
        installations_of(cloud, database_url, clock) as process,
        installations_of(cloud, database_url, clock) as other,
    ):
        stored = await install_directly(cloud, process, clock)
        first = await stored.token()
        clock.now += timedelta(hours=11)
        cloud.on_renewal = lambda: allow_connections(database_url, False)
        try:
            renewed = await stored.token()
            assert renewed == cloud.current(ONE) != first
            clock.now += timedelta(minutes=1)
            assert await stored.token() == renewed, "the token works although the database is still away"
        finally:
            allow_connections(database_url, True)
        if stored_by == "maintenance":
            await process.store_renewed()
        clock.now += timedelta(minutes=1)
        assert await stored.token() == renewed
        assert await InstallationToken(other, f"slack:{ONE}").token() == renewed
        cloud.on_renewal = lambda: None
        clock.now += timedelta(hours=13)
        assert await stored.token() == cloud.current(ONE) != renewed, "the new refresh token was stored too"
    assert cloud.renewals == [ONE, ONE]


async def test_a_renewal_that_is_cancelled_still_stores_its_tokens(
    cloud: SlackCloud, database_url: str, clock: ManualClock
) -> None:
    async with installations_of(cloud, database_url, clock) as process:
        stored = await install_directly(cloud, process, clock)
        clock.now += timedelta(hours=11)
        renewing = asyncio.create_task(stored.token())

        def cancel() -> None:
            renewing.cancel()

        cloud.on_renewal = cancel
        with pytest.raises(asyncio.CancelledError):
            await renewing
    async with installations_of(cloud, database_url, clock) as process:
        assert await InstallationToken(process, f"slack:{ONE}").token() == cloud.current(ONE)
    assert cloud.renewals == [ONE]


async def test_two_processes_renew_a_token_once(cloud: SlackCloud, database_url: str, clock: ManualClock) -> None:
    async with (
        installations_of(cloud, database_url, clock) as first,
        installations_of(cloud, database_url, clock) as second,
    ):
        await install_directly(cloud, first, clock)
        clock.now += timedelta(hours=13)
        found = await asyncio.gather(*(process.grant("slack:T0ONE") for process in (first, second) for _ in range(5)))
    assert cloud.renewals == [ONE]
    assert {grant.token for grant in found} == {cloud.current(ONE)}


async def test_a_refused_token_is_renewed_after_another_process_lets_go(
    cloud: SlackCloud, database_url: str, clock: ManualClock
) -> None:
    waiting, free = asyncio.Event(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        waiting.set()
        await free.wait()

    database = Database(database_url)
    async with (
        aclosing(database),
        installations_of(cloud, database_url, clock) as other,
        installations_of(cloud, database_url, clock, sleep=sleep) as process,
    ):
        refused = await (await install_directly(cloud, other, clock)).token()
        async with only_one(database, "parley token slack:T0ONE") as has_lock:
            assert has_lock
            replacing = asyncio.create_task(process.replacement("slack:T0ONE", refused))
            waited = asyncio.create_task(waiting.wait())
            await asyncio.wait({waited, replacing}, return_when=asyncio.FIRST_COMPLETED)
            assert not replacing.done(), "the refused token is of no use although it has not expired"
        free.set()
        found = await replacing
    assert found is not None
    assert found.token == cloud.current(ONE) != refused


async def test_a_lost_refresh_token_is_reported_with_a_fix(
    cloud: SlackCloud, database_url: str, clock: ManualClock
) -> None:
    async with installations_of(cloud, database_url, clock) as process:
        stored = await install_directly(cloud, process, clock)
        cloud.tokens[cloud.current(ONE)].refresh_token = "used by another"
        clock.now += timedelta(hours=11)
        assert await stored.token(), "a valid token is still used"
        clock.now += timedelta(hours=2)
        with pytest.raises(MessageGone, match="Install the app again"):
            await stored.token()


async def test_keys_are_rotated_by_adding_a_new_first_key(
    cloud: SlackCloud, database_url: str, admin_url: str, clock: ManualClock
) -> None:
    async with installations_of(cloud, database_url, clock) as process:
        token = await (await install_directly(cloud, process, clock)).token()
        await install_directly(cloud, process, clock, TWO)
    async with installations_of(cloud, database_url, clock, token_keys=(NEW_KEY, OLD_KEY)) as process:
        assert await InstallationToken(process, "slack:T0ONE").token() == token
        assert await process.reencrypt() == 2
        assert await process.reencrypt() == 0
    async with installations_of(cloud, database_url, clock, token_keys=(NEW_KEY,)) as process:
        assert await InstallationToken(process, "slack:T0ONE").token() == token
    with psycopg.connect(admin_url) as connection:
        connection.execute(
            "UPDATE slack_installations SET sealed = "
            "(SELECT sealed FROM slack_installations WHERE team_id = 'T0TWO') WHERE team_id = 'T0ONE'"
        )
    async with installations_of(cloud, database_url, clock, token_keys=(NEW_KEY,)) as process:
        with pytest.raises(ConfigError, match="belong to another owner"):
            await InstallationToken(process, "slack:T0ONE").token()
    async with installations_of(cloud, database_url, clock) as process:
        with pytest.raises(ConfigError, match="PARLEY_TOKEN_KEYS"):
            await InstallationToken(process, "slack:T0TWO").token()


# --- tenants


def is_answered(slack: SlackDouble, question: Message) -> bool:
    """Return whether the answer is complete."""
    return any("parley_up" in reply.now.buttons for reply in slack.replies(question))


async def test_two_workspaces_never_see_each_others_documents(
    cloud: SlackCloud, database_url: str, tmp_path: Path
) -> None:
    no_model = {"anthropic_api_key": None, "openai_api_key": None, "openai_base_url": None, "reranker": "none"}
    settings = settings_of(cloud, free_port(), database_url=database_url, data_dir=tmp_path, **no_model)
    days = {ONE: "31", TWO: "27"}
    async with open_app(settings) as app, serving(cloud, app.dispatcher, app.services, settings) as browser:
        for team, number in days.items():
            await browser.install(team)
            text = f"# Leave\n\nEverybody at {team} has {number} days of paid leave a year.\n"
            source = UploadSource(f"leave-{team}.md", text.encode(), content_type="text/markdown")
            await app.ingestor.ingest([source], tenant_id=f"slack:{team}", audience="tenant")
        asked = [(team, await browser.ask(team, "how many days of paid leave?")) for _ in range(2) for team in days]
        for team, question in asked:
            slack = cloud.workspaces[team]
            await slack.until(partial(is_answered, slack, question))
            (answer,) = slack.replies(question)
            other = days[TWO if team == ONE else ONE]
            assert f"{days[team]} days" in answer.shown
            assert other not in answer.shown
        with pytest.raises(ParleyError, match="not installed"):
            await InstallationToken(
                Installations(app.database, settings, web_client.tokenless_client(settings, None)), "slack:T9"
            ).token()


async def test_the_doctor_reports_each_workspace_and_its_events(
    cloud: SlackCloud, served: tuple[Browser, ScriptedDispatcher], database: Database
) -> None:
    browser, _ = served
    settings = settings_of(cloud)
    (_, no_workspace) = await check(settings, database=database)
    assert no_workspace.detail == "no workspace has installed the app yet"
    assert f"{settings.slack_public_url}/slack/install" in no_workspace.fix
    await browser.install(ONE)
    await browser.install(TWO)
    await browser.send_event(TWO, {"type": "app_uninstalled"})

    async def checks_after(kinds: set[str]) -> dict[str, Check]:
        """Return the checks once events of those kinds are recorded, which happens in the background."""
        recorded: set[str] = set()
        async with asyncio.timeout(60):
            while recorded != kinds:
                await asyncio.sleep(0.02)
                async with database.tenant("slack:T0ONE") as session:
                    recorded = set(await event_log.heard(session, tenant_id="slack:T0ONE", platform="slack"))
        return {one.name: one for one in await check(settings, database=database)}

    await browser.ask(ONE, "is anybody there?")
    checks = await checks_after({"app_mention"})
    assert not checks["slack requests"].ok, "Slack calls only https addresses"
    assert "missing scopes" in checks["slack workspace T0ONE"].detail
    assert "app removed" in checks["slack workspace T0TWO"].detail
    assert "slack events of T0TWO" not in checks
    assert not checks["slack events of T0ONE"].ok, "a mention arrived but no channel message"
    assert "parley manifest slack" in checks["slack events of T0ONE"].fix
    joined = {"type": "message", "subtype": "channel_join", "channel_type": "channel", "channel": "C0GENERAL"}
    await browser.send_event(ONE, joined)
    checks = await checks_after({"app_mention", "message.channels"})
    assert checks["slack events of T0ONE"].ok
    assert "not received yet: message.groups, message.im, message.mpim" in checks["slack events of T0ONE"].detail


def test_the_manifest_for_many_workspaces_has_the_redirect_url() -> None:
    app = manifest("https://parley.example.com/", many=True)
    assert app["oauth_config"]["redirect_urls"] == ["https://parley.example.com/slack/oauth_redirect"]
    assert app["settings"]["token_rotation_enabled"]
    assert {"app_uninstalled", "tokens_revoked"} <= set(app["settings"]["event_subscriptions"]["bot_events"])
    assert not manifest("https://parley.example.com/")["settings"]["token_rotation_enabled"]
    assert "redirect_urls" not in manifest()["oauth_config"]
