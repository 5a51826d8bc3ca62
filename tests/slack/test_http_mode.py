"""HTTP mode: accepts each request that Slack signed within the last five minutes once, and nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import aiohttp
import pytest
from sqlalchemy import text

from bot.errors import ConfigError
from bot.platforms.slack.diagnostics import check
from bot.platforms.slack.installation.manifest import manifest
from bot.store import slack_requests
from bot.store.database.session import Database
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import BOT_USER, TEAM, Message
from tests.slack.conftest import NoDatabase, serving, slack_settings
from tests.slack.fake_dispatcher import ScriptedDispatcher

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class SignedPost:
    """Sends signed requests, as Slack does in HTTP mode."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self.url = f"http://127.0.0.1:{port}/slack/events"

    async def __call__(
        self,
        body: str | bytes,
        *,
        age: float = 0.0,
        stamp: str | None = None,
        secret: str = SECRET,
        encoding: str = "json",
    ) -> tuple[int, str]:
        stamp = str(int(time.time() - age)) if stamp is None else stamp
        data = body.encode() if isinstance(body, str) else body
        signed = hmac.new(secret.encode(), b"v0:%b:%b" % (stamp.encode(), data), hashlib.sha256)
        signature = f"v0={signed.hexdigest()}"
        content_types = {"json": "application/json", "form": "application/x-www-form-urlencoded"}
        headers = {
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": str(signature),
            "Content-Type": content_types[encoding],
        }
        async with self._session.post(self.url, data=body, headers=headers) as response:
            return response.status, await response.text()


@pytest.fixture
async def served(slack: SlackDouble) -> AsyncIterator[tuple[SignedPost, ScriptedDispatcher]]:
    port, dispatcher = free_port(), ScriptedDispatcher()
    more = {"slack_app_token": None, "slack_signing_secret": SECRET, "slack_http_port": port}
    async with serving(slack, dispatcher, **more), aiohttp.ClientSession() as session:
        yield SignedPost(session, port), dispatcher
    await dispatcher.close()


def mention(slack: SlackDouble) -> tuple[Message, str]:
    message = slack.add_past("general", "alice", f"{slack.bot} how many days off?", time.time() - 60)
    event = {**message.payload(), "type": "app_mention", "channel": message.channel, "event_ts": message.ts}
    body = {"type": "event_callback", "team_id": TEAM, "event": event, "event_id": "Ev1"}
    return message, json.dumps(body | {"authorizations": [{"team_id": TEAM, "user_id": BOT_USER, "is_bot": True}]})


async def test_a_signed_mention_is_answered_and_a_replay_is_not(
    slack: SlackDouble, served: tuple[SignedPost, ScriptedDispatcher]
) -> None:
    post, dispatcher = served
    message, body = mention(slack)
    assert (await post(body))[0] == 200
    assert len(dispatcher.accepted) == 1, "the acknowledgment follows the acceptance"
    assert (await post(body))[0] == 200
    await slack.until(lambda: any("parley_why" in reply.now.buttons for reply in slack.replies(message)))
    assert len(slack.replies(message)) == 1


@pytest.mark.parametrize(("age", "secret"), [(0.0, "another secret"), (301.0, SECRET), (-301.0, SECRET)])
async def test_a_wrong_or_old_signature_is_refused(
    slack: SlackDouble, served: tuple[SignedPost, ScriptedDispatcher], age: float, secret: str
) -> None:
    post, dispatcher = served
    status, _ = await post(mention(slack)[1], age=age, secret=secret)
    assert status == 401
    assert not dispatcher.accepted


async def test_url_verification_and_a_slash_command(
    slack: SlackDouble, served: tuple[SignedPost, ScriptedDispatcher]
) -> None:
    post, _ = served
    status, text = await post(json.dumps({"type": "url_verification", "challenge": "abc", "token": "t"}))
    assert (status, "abc" in text) == (200, True)
    form = {
        "command": "/parley",
        "text": "help",
        "team_id": TEAM,
        "channel_id": "C0GENERAL",
        "user_id": "U0ADA",
        "response_url": slack.temporary.response_url("C0GENERAL", "U0ADA"),
        "trigger_id": "t",
    }
    assert (await post(urlencode(form), encoding="form"))[0] == 200
    await slack.until(lambda: any("/ingest" in text for text in slack.ephemeral_texts("ada")))


def slash_command(slack: SlackDouble) -> str:
    return urlencode(
        {
            "command": "/parley",
            "text": "help",
            "team_id": TEAM,
            "channel_id": "C0GENERAL",
            "user_id": "U0ADA",
            "response_url": slack.temporary.response_url("C0GENERAL", "U0ADA"),
            "trigger_id": "t",
        }
    )


async def test_a_replayed_slash_command_has_no_effect_in_any_process(slack: SlackDouble, database: Database) -> None:
    ports, body = (free_port(), free_port()), slash_command(slack)
    services = NoDatabase()
    services.database = database  # type: ignore[assignment]
    async with aiohttp.ClientSession() as session, AsyncExitStack() as stack:
        for port in ports:
            more = {"slack_app_token": None, "slack_signing_secret": SECRET, "slack_http_port": port}
            await stack.enter_async_context(serving(slack, ScriptedDispatcher(), services, **more))
        posts = [SignedPost(session, port) for port in ports]
        stamp = str(int(time.time()) - 200)
        for post in (posts[0], posts[0], posts[1]):
            assert (await post(body, stamp=stamp, encoding="form"))[0] == 200
        await slack.until(lambda: any("/ingest" in text for text in slack.ephemeral_texts("ada")))
        await asyncio.sleep(0.5)
        assert sum("/ingest" in text for text in slack.ephemeral_texts("ada")) == 1
        assert (await posts[1](body, encoding="form"))[0] == 200, "another timestamp is another request"
        await slack.until(lambda: sum("/ingest" in text for text in slack.ephemeral_texts("ada")) == 2)
    async with database.queue() as session:
        assert await session.scalar(text("SELECT count(*) FROM slack_requests")) == 2
    await slack_requests.delete_expired(database, datetime.now(UTC) + timedelta(seconds=601))
    async with database.queue() as session:
        assert await session.scalar(text("SELECT count(*) FROM slack_requests")) == 0


async def test_an_unsigned_request_stores_nothing(slack: SlackDouble, database: Database) -> None:
    services, port = NoDatabase(), free_port()
    services.database = database  # type: ignore[assignment]
    more = {"slack_app_token": None, "slack_signing_secret": SECRET, "slack_http_port": port}
    async with serving(slack, ScriptedDispatcher(), services, **more), aiohttp.ClientSession() as session:
        for _ in range(3):
            assert (await SignedPost(session, port)(slash_command(slack), secret="wrong", encoding="form"))[0] == 401
    async with database.queue() as stored:
        assert await stored.scalar(text("SELECT count(*) FROM slack_requests")) == 0


@pytest.mark.parametrize("stamp", ["abc", "", "1e9", "-5", "12345678901234567890", "\u0661\u0662", " 1", "1_0", "nan"])
async def test_a_timestamp_that_is_no_number_is_refused(
    slack: SlackDouble, served: tuple[SignedPost, ScriptedDispatcher], stamp: str
) -> None:
    post, _ = served
    assert (await post(mention(slack)[1], stamp=stamp))[0] == 401


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        ("[" * 100_000, "json"),
        ('{"a":' * 50_000, "json"),
        ('{"a":' * 200 + "1" + "}" * 200, "json"),
        ("[" * 200 + "]" * 200, "json"),
        ("{", "json"),
        ("[]", "json"),
        ("payload=" + "%5B" * 50_000, "form"),
        ("payload=%7B", "form"),
        (b"\xff\xfe", "json"),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(
    served: tuple[SignedPost, ScriptedDispatcher], body: str | bytes, encoding: str
) -> None:
    post, _ = served
    assert (await post(body, encoding=encoding))[0] == 400


async def test_a_failed_acceptance_lets_slack_redeliver(
    slack: SlackDouble, served: tuple[SignedPost, ScriptedDispatcher]
) -> None:
    post, dispatcher = served
    dispatcher.failures = 1
    _, body = mention(slack)
    assert (await post(body))[0] >= 500
    assert (await post(body))[0] == 200
    assert len(dispatcher.accepted) == 1


async def test_a_port_in_use_is_a_one_line_error(slack: SlackDouble) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        more = {"slack_signing_secret": SECRET, "slack_app_token": None, "slack_http_port": sock.getsockname()[1]}
        with pytest.raises(ConfigError, match="PARLEY_SLACK_HTTP_PORT"):
            async with serving(slack, ScriptedDispatcher(), **more):
                pass


async def test_manifest_and_doctor_use_the_public_address(slack: SlackDouble) -> None:
    app = manifest("https://parley.example.com/")
    url = "https://parley.example.com/slack/events"
    assert app["settings"]["event_subscriptions"]["request_url"] == url
    assert app["settings"]["interactivity"]["request_url"] == url
    assert {command["url"] for command in app["features"]["slash_commands"]} == {url}
    assert app["settings"]["socket_mode_enabled"] is False
    settings = slack_settings(slack, slack_app_token=None, slack_signing_secret=SECRET)
    checks = {one.name: one for one in await check(settings)}
    assert not checks["slack requests"].ok
    assert "PARLEY_SLACK_PUBLIC_URL" in checks["slack requests"].fix
