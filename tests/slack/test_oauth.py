"""Many workspaces: each installs the app itself, is a tenant of its own, and is spoken with by its own token."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
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
from slack_sdk.signature import SignatureVerifier

from bot.app import open_app
from bot.config import Settings
from bot.engine.display.workspace_pacing import WorkspacePacing
from bot.errors import ConfigError, MessageGone, ParleyError
from bot.platforms.slack import connection
from bot.platforms.slack.app import serve
from bot.platforms.slack.diagnostics import Check, check
from bot.platforms.slack.installations import Installations, Stored
from bot.platforms.slack.manifest import SCOPES, manifest
from bot.platforms.slack.oauth import COOKIE
from bot.store import event_log, slack_workspaces
from bot.store.session import Database
from bot.store.slack_workspaces import Installed
from knowledge.sources import UploadSource
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_oauth import CLIENT_ID, CLIENT_SECRET, Cloud
from tests.doubles.slack_world import BOT_USER, Message
from tests.slack.conftest import installed as set_up
from tests.slack.fake_dispatcher import ScriptedDispatcher

SIGNING = "8f742231b10e8888abcd99yyyzzz85a5"
OLD_KEY, NEW_KEY = Fernet.generate_key().decode(), Fernet.generate_key().decode()
ONE, TWO = "T0ONE", "T0TWO"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class Hands:
    """A clock that is moved."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
async def cloud(hands: Hands) -> AsyncIterator[Cloud]:
    """Two workspaces on one Slack."""
    async with AsyncExitStack() as stack:
        doubles = {team: await stack.enter_async_context(SlackDouble(**set_up())) for team in (ONE, TWO)}
        yield await stack.enter_async_context(Cloud(doubles, hands.seconds))


def settings_of(cloud: Cloud, port: int = 3000, **more: Any) -> Settings:
    given: dict[str, Any] = {
        "slack_client_id": CLIENT_ID,
        "slack_client_secret": CLIENT_SECRET,
        "slack_signing_secret": SIGNING,
        "slack_public_url": f"http://127.0.0.1:{port}",
        "slack_http_port": port,
        "slack_api_url": cloud.api_url,
        "token_keys": (OLD_KEY,),
        "data_dir": Path("unused"),
    }
    return Settings(_env_file=None, **{**given, **more})


class Browser:
    """Somebody's browser, and Slack's own requests, at the public address."""

    def __init__(self, session: aiohttp.ClientSession, port: int, cloud: Cloud) -> None:
        self._session, self._cloud = session, cloud
        self.base = f"http://127.0.0.1:{port}"

    async def begin(self) -> tuple[str, str]:
        """The state that was sent to Slack, and the cookie that stays."""
        async with self._session.get(f"{self.base}/slack/install", allow_redirects=False) as answer:
            assert answer.status == 302
            asked = parse_qs(urlsplit(answer.headers["Location"]).query)
            assert asked["client_id"] == [CLIENT_ID]
            assert set(asked["scope"][0].split(",")) == set(SCOPES)
            assert asked["redirect_uri"] == [f"{self.base}/slack/oauth_redirect"]
            return asked["state"][0], answer.cookies[COOKIE].value

    async def come_back(self, cookie: str, **query: str) -> tuple[int, str]:
        headers = {"Cookie": f"{COOKIE}={cookie}"} if cookie else {}
        url = f"{self.base}/slack/oauth_redirect"
        async with self._session.get(url, params=query, headers=headers) as answer:
            return answer.status, await answer.text()

    async def install(self, team: str) -> tuple[int, str]:
        state, cookie = await self.begin()
        return await self.come_back(cookie, state=state, code=self._cloud.consent(team))

    async def tell(self, team: str, event: dict[str, Any], *, at: float | None = None, **more: Any) -> int:
        """Slack delivers an event of a workspace, signed."""
        body = {
            "type": "event_callback",
            "team_id": team,
            "event": event,
            "event_id": f"Ev{time.monotonic_ns()}",
            "event_time": int(at or time.time()),
            "authorizations": [{"team_id": team, "user_id": BOT_USER, "is_bot": True}],
        }
        return await self.post(json.dumps({key: value for key, value in (body | more).items() if value is not None}))

    async def post(self, body: str, kind: str = "json") -> int:
        """Slack sends that, signed."""
        stamp = str(int(time.time()))
        signature = SignatureVerifier(SIGNING).generate_signature(timestamp=stamp, body=body)
        headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": str(signature)}
        headers["Content-Type"] = {"json": "application/json", "form": "application/x-www-form-urlencoded"}[kind]
        async with self._session.post(f"{self.base}/slack/events", data=body, headers=headers) as answer:
            return answer.status

    async def command(self, team: str, name: str, text: str, user: str, channel: str, **more: str) -> int:
        """Somebody runs a slash command in a workspace."""
        slack = self._cloud.workspaces[more.get("enterprise_id", team)]
        author, place = slack.user_id(user), slack.channel(channel)
        form = {
            "command": name,
            "text": text,
            "team_id": team,
            "channel_id": place.id,
            "channel_name": place.name,
            "user_id": author,
            "user_name": user,
            "response_url": slack.handouts.response_url(place.id, author),
            "trigger_id": slack.handouts.trigger(),
        }
        return await self.post(urlencode(form | more), "form")

    async def interact(self, payload: dict[str, Any]) -> int:
        """Slack tells what somebody pressed."""
        return await self.post(urlencode({"payload": json.dumps(payload)}), "form")

    async def ask(self, team: str, text: str, **more: Any) -> Message:
        """Alice mentions the bot in the general channel of a workspace."""
        slack = self._cloud.workspaces[more.get("enterprise_id", team)]
        message = slack.past("general", "alice", f"{slack.bot} {text}", time.time() - 60)
        event = {**message.payload(), "type": "app_mention", "channel": message.channel, "event_ts": message.ts}
        assert await self.tell(team, event, **more) == 200
        return message


@asynccontextmanager
async def serving(cloud: Cloud, dispatcher: object, services: object, made: Settings) -> AsyncIterator[Browser]:
    ready = asyncio.Event()
    task = asyncio.create_task(serve(dispatcher, services, made, ready=ready, round_seconds=0.1))  # type: ignore[arg-type]
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            yield Browser(session, made.slack_http_port, cloud)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def served(cloud: Cloud, database: Database) -> AsyncIterator[tuple[Browser, ScriptedDispatcher]]:
    dispatcher = ScriptedDispatcher()
    services = SimpleNamespace(database=database, workspace_pacing=WorkspacePacing())
    async with serving(cloud, dispatcher, services, settings_of(cloud, free_port())) as browser:
        yield browser, dispatcher
    await dispatcher.close()


def rows(database_url: str, table: str = "slack_installations") -> list[str]:
    """The rows of a table as they lie there, whoever's they are."""
    with psycopg.connect(database_url) as connection:
        return [row[0] for row in connection.execute(f"SELECT t::text FROM {table} t").fetchall()]


async def test_a_workspace_installs_the_app_and_no_token_lies_open(
    cloud: Cloud, served: tuple[Browser, ScriptedDispatcher], database_url: str
) -> None:
    browser, dispatcher = served
    status, page = await browser.install(ONE)
    assert (status, "installed in The T0ONE" in page) == (200, True)
    question = await browser.ask(ONE, "how many days off?")
    slack = cloud.workspaces[ONE]
    await slack.until(lambda: any("parley_why" in reply.now.buttons for reply in slack.replies(question)))
    assert [incoming.thread.tenant_id for incoming in dispatcher.accepted] == ["slack:T0ONE"]

    (row,) = rows(database_url)
    assert "T0ONE" in row
    with psycopg.connect(database_url) as connection:
        names = [name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    everything = "\n".join(line for name in names for line in rows(database_url, name))
    for token, handed in cloud.tokens.items():
        assert token not in everything
        assert handed.refresh_token not in everything


async def test_consent_that_is_forged_replayed_late_or_denied_installs_nothing(
    cloud: Cloud, served: tuple[Browser, ScriptedDispatcher], database_url: str
) -> None:
    browser, _ = served
    state, cookie = await browser.begin()
    code = cloud.consent(ONE)
    for held, query in [
        ("", {"state": state, "code": code}),
        ("another", {"state": state, "code": code}),
        ("forged", {"state": "forged", "code": code}),
        (cookie, {"code": code}),
        ("", {"code": code}),
    ]:
        assert (await browser.come_back(held, **query))[0] == 400
    status, page = await browser.come_back(cookie, state=state, error="access_denied")
    assert (status, "did not allow" in page) == (200, True)
    assert (await browser.come_back(cookie, state=state, code=code))[0] == 400, "a state is good once"
    state, cookie = await browser.begin()
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE oauth_states SET expires_at = now() - interval '1 second'")
    status, page = await browser.come_back(cookie, state=state, code=code)
    assert (status, "ten minutes" in page) == (400, True)
    state, cookie = await browser.begin()
    status, page = await browser.come_back(cookie, state=state, code="<script>")
    assert (status, "invalid_code" in page) == (400, True)
    assert rows(database_url) == []
    assert state not in "".join(rows(database_url, "oauth_states")), "a state is kept as its digest"
    assert not cloud.tokens


async def test_a_workspace_that_is_not_served_is_left_again(
    cloud: Cloud, database: Database, database_url: str
) -> None:
    made = settings_of(cloud, free_port(), slack_workspaces=(TWO,))
    async with serving(
        cloud, ScriptedDispatcher(), SimpleNamespace(database=database, workspace_pacing=WorkspacePacing()), made
    ) as browser:
        status, page = await browser.install(ONE)
        assert (status, "does not serve your workspace" in page) == (403, True)
        assert (await browser.install(TWO))[0] == 200
    assert cloud.uninstalled == [ONE]
    assert len(rows(database_url)) == 1


async def test_removing_the_app_ends_its_events_and_deletes_its_tokens(
    cloud: Cloud, served: tuple[Browser, ScriptedDispatcher], database: Database, database_url: str
) -> None:
    browser, dispatcher = served
    await browser.install(ONE)
    await browser.install(TWO)
    for event in ({"type": "tokens_revoked", "tokens": {"bot": [BOT_USER]}}, {"type": "app_uninstalled"}):
        assert await browser.tell(ONE, event) == 200
    await browser.ask(ONE, "is anybody there?")
    await browser.ask(TWO, "is anybody there?")
    assert [incoming.thread.tenant_id for incoming in dispatcher.accepted] == ["slack:T0TWO"]
    gone, stays = await slack_workspaces.every(database)
    assert (gone.sealed, gone.removed_at is None) == (None, False)
    assert stays.sealed is not None

    before = time.time() - 3600
    await browser.install(ONE)
    assert await browser.tell(ONE, {"type": "app_uninstalled"}, at=before) == 200
    await browser.ask(ONE, "and now?")
    assert dispatcher.accepted[-1].thread.tenant_id == "slack:T0ONE", (
        "news from before the new installation removes nothing"
    )
    assert await browser.tell(ONE, {"type": "tokens_revoked", "tokens": {"oauth": ["U0ALICE"]}}) == 200
    assert all(made.sealed for made in await slack_workspaces.every(database)), "a person's token is none of ours"


# --- tokens that end


@asynccontextmanager
async def installations_of(cloud: Cloud, url: str, hands: Hands, **more: Any) -> AsyncIterator[Installations]:
    """What one process holds."""
    database, made = Database(url), settings_of(cloud, **more)
    async with connection.pool() as session:
        yield Installations(database, made, connection.bare(made, session), clock=hands)
    await database.aclose()


async def given(cloud: Cloud, installations: Installations, hands: Hands, team: str = ONE) -> Stored:
    """The team's workspace has the app."""
    told = cloud.hand_out(team)
    made = Installed(
        tenant_id=f"slack:{team}",
        team_id=team,
        enterprise_id="",
        name=team,
        app_id="",
        bot_id="B0BOT",
        bot_user_id=BOT_USER,
        scopes="",
        installed_by="U0ADA",
        installed_at=hands.now,
        sealed=None,
        expires_at=hands.now + timedelta(seconds=cloud.lasts),
        refreshed_at=hands.now,
    )
    await installations.keep(made, told["access_token"], told["refresh_token"])
    return Stored(installations, f"slack:{team}")


async def test_a_token_is_renewed_before_it_ends_and_once_it_has_ended(
    cloud: Cloud, database_url: str, hands: Hands
) -> None:
    async with installations_of(cloud, database_url, hands) as process, connection.pool() as session:
        stored = await given(cloud, process, hands)
        client = connection.clients(settings_of(cloud), session, stored).patient
        first = await stored.token()
        hands.now += timedelta(hours=9, minutes=59)
        assert await stored.token() == first
        hands.now += timedelta(minutes=2)
        second = await stored.token()
        assert (second != first, cloud.renewals) == (True, [ONE])
        hands.now += timedelta(hours=13)
        assert (await client.auth_test())["ok"], "a token that has ended is renewed before the call"
        assert cloud.renewals == [ONE, ONE]
        cloud.tokens[cloud.current(ONE)].until = hands.seconds()
        assert (await client.auth_test())["ok"], "one that Slack ended earlier is renewed on its refusal"
        assert cloud.renewals == [ONE, ONE, ONE]


async def test_two_processes_renew_a_token_once(cloud: Cloud, database_url: str, hands: Hands) -> None:
    async with (
        installations_of(cloud, database_url, hands) as here,
        installations_of(cloud, database_url, hands) as there,
    ):
        await given(cloud, here, hands)
        hands.now += timedelta(hours=13)
        found = await asyncio.gather(*(process.grant("slack:T0ONE") for process in (here, there) for _ in range(5)))
    assert cloud.renewals == [ONE]
    assert {grant.token for grant in found} == {cloud.current(ONE)}


async def test_a_refresh_token_that_is_lost_is_told_with_the_cure(
    cloud: Cloud, database_url: str, hands: Hands
) -> None:
    async with installations_of(cloud, database_url, hands) as process:
        stored = await given(cloud, process, hands)
        cloud.tokens[cloud.current(ONE)].refresh_token = "spent elsewhere"
        hands.now += timedelta(hours=11)
        assert await stored.token(), "as long as the token is good it is used"
        hands.now += timedelta(hours=2)
        with pytest.raises(MessageGone, match="install the app again"):
            await stored.token()


async def test_keys_change_by_putting_a_new_one_in_front(cloud: Cloud, database_url: str, hands: Hands) -> None:
    async with installations_of(cloud, database_url, hands) as process:
        token = await (await given(cloud, process, hands)).token()
        await given(cloud, process, hands, TWO)
    async with installations_of(cloud, database_url, hands, token_keys=(NEW_KEY, OLD_KEY)) as process:
        assert await Stored(process, "slack:T0ONE").token() == token
        assert await process.reseal() == 2
        assert await process.reseal() == 0
    async with installations_of(cloud, database_url, hands, token_keys=(NEW_KEY,)) as process:
        assert await Stored(process, "slack:T0ONE").token() == token
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE slack_installations SET sealed = "
            "(SELECT sealed FROM slack_installations WHERE team_id = 'T0TWO') WHERE team_id = 'T0ONE'"
        )
    async with installations_of(cloud, database_url, hands, token_keys=(NEW_KEY,)) as process:
        with pytest.raises(ConfigError, match="somebody else's"):
            await Stored(process, "slack:T0ONE").token()
    async with installations_of(cloud, database_url, hands) as process:
        with pytest.raises(ConfigError, match="PARLEY_TOKEN_KEYS"):
            await Stored(process, "slack:T0TWO").token()


# --- tenants


def stands(slack: SlackDouble, question: Message) -> bool:
    """Whether the answer is complete."""
    return any("parley_up" in reply.now.buttons for reply in slack.replies(question))


async def test_two_workspaces_at_once_never_see_each_others_documents(
    cloud: Cloud, database_url: str, tmp_path: Path
) -> None:
    none = {"anthropic_api_key": None, "openai_api_key": None, "openai_base_url": None, "reranker": "none"}
    made = settings_of(cloud, free_port(), database_url=database_url, data_dir=tmp_path, **none)
    days = {ONE: "31", TWO: "27"}
    async with open_app(made) as app, serving(cloud, app.dispatcher, app.services, made) as browser:
        for team, number in days.items():
            await browser.install(team)
            text = f"# Leave\n\nEverybody at {team} has {number} days of paid leave a year.\n"
            source = UploadSource(f"leave-{team}.md", text.encode(), content_type="text/markdown")
            await app.ingestor.ingest([source], tenant_id=f"slack:{team}", audience="tenant")
        asked = [(team, await browser.ask(team, "how many days of paid leave?")) for _ in range(2) for team in days]
        for team, question in asked:
            slack = cloud.workspaces[team]
            await slack.until(partial(stands, slack, question))
            (answer,) = slack.replies(question)
            other = days[TWO if team == ONE else ONE]
            assert f"{days[team]} days" in answer.shown
            assert other not in answer.shown
        with pytest.raises(ParleyError, match="not installed"):
            await Stored(Installations(app.database, made, connection.bare(made, None)), "slack:T9").token()


async def test_the_doctor_sees_each_workspace_and_which_events_came(
    cloud: Cloud, served: tuple[Browser, ScriptedDispatcher], database: Database
) -> None:
    browser, _ = served
    made = settings_of(cloud)
    (_, nobody) = await check(made, database=database)
    assert nobody.detail == "none has installed the app yet"
    assert f"{made.slack_public_url}/slack/install" in nobody.fix
    await browser.install(ONE)
    await browser.install(TWO)
    await browser.tell(TWO, {"type": "app_uninstalled"})

    async def found_once(kinds: set[str]) -> dict[str, Check]:
        """What the doctor finds once events of those kinds are noted, which happens beside the ack."""
        noted: set[str] = set()
        async with asyncio.timeout(60):
            while noted != kinds:
                await asyncio.sleep(0.02)
                async with database.tenant("slack:T0ONE") as session:
                    noted = set(await event_log.heard(session, tenant_id="slack:T0ONE", platform="slack"))
        return {one.name: one for one in await check(made, database=database)}

    await browser.ask(ONE, "is anybody there?")
    found = await found_once({"app_mention"})
    assert not found["slack requests"].ok, "Slack calls https addresses alone"
    assert "lacks" in found["slack workspace T0ONE"].detail
    assert "removed the app" in found["slack workspace T0TWO"].detail
    assert "slack events of T0TWO" not in found
    assert not found["slack events of T0ONE"].ok, "a mention came and no message of the channel"
    assert "parley manifest slack" in found["slack events of T0ONE"].fix
    joined = {"type": "message", "subtype": "channel_join", "channel_type": "channel", "channel": "C0GENERAL"}
    await browser.tell(ONE, joined)
    found = await found_once({"app_mention", "message.channels"})
    assert found["slack events of T0ONE"].ok
    assert "not seen yet: message.groups, message.im, message.mpim" in found["slack events of T0ONE"].detail


def test_the_manifest_of_many_workspaces_names_where_to_come_back() -> None:
    made = manifest("https://parley.example.com/", many=True)
    assert made["oauth_config"]["redirect_urls"] == ["https://parley.example.com/slack/oauth_redirect"]
    assert made["settings"]["token_rotation_enabled"]
    assert {"app_uninstalled", "tokens_revoked"} <= set(made["settings"]["event_subscriptions"]["bot_events"])
    assert not manifest("https://parley.example.com/")["settings"]["token_rotation_enabled"]
    assert "redirect_urls" not in manifest()["oauth_config"]
