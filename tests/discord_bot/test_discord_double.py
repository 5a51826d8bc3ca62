"""Tests the Discord double: it enforces Discord's rules and records policy violations."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_gateway import MESSAGE_CONTENT
from tests.doubles.discord_models import Channel
from tests.doubles.discord_rules import check_command, check_message, policy_violations

NO_PINGS: dict[str, Any] = {"allowed_mentions": {"parse": []}}
Response = tuple[int, Any]


class Client:
    """Sends raw requests to the double."""

    def __init__(self, double: DiscordDouble, session: aiohttp.ClientSession) -> None:
        self.double = double
        self._session = session
        self.headers: dict[str, str] = {}

    async def __call__(self, method: str, path: str, body: object = None, token: str | None = None) -> Response:
        headers = {"Authorization": f"Bot {token or self.double.token}", "Content-Type": "application/json"}
        data = json.dumps(body) if body is not None else None
        async with self._session.request(method, self.double.api_url + path, data=data, headers=headers) as response:
            self.headers = dict(response.headers)
            text = await response.text()
            return response.status, json.loads(text) if text else None


@pytest.fixture
async def double() -> AsyncIterator[DiscordDouble]:
    async with DiscordDouble() as started:
        yield started


@pytest.fixture
async def request_(double: DiscordDouble) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(double, session)


@pytest.fixture
def general(double: DiscordDouble) -> Channel:
    return double.channel("general")


def posts(channel: Channel) -> str:
    return f"/channels/{channel.id}/messages"


async def test_a_wrong_token_is_refused(request_: Client) -> None:
    assert (await request_("GET", "/users/@me", token="wrong"))[0] == 401


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"content": "x" * 2001}, 50035),
        ({"content": ""}, 50006),
        ({"content": "x", "nonce": "n" * 26}, 50035),
        ({"content": "x", "embeds": [{"description": "x" * 4097}]}, 50035),
        ({"content": "x", "components": [{"type": 1, "components": [{"type": 2, "custom_id": "c" * 101}]}]}, 50035),
    ],
)
async def test_too_long_messages_are_refused(
    request_: Client, general: Channel, body: dict[str, Any], code: int
) -> None:
    status, body_ = await request_("POST", posts(general), body | NO_PINGS)
    assert (status, body_["code"]) == (400, code)


async def test_the_same_nonce_returns_the_first_message(request_: Client, general: Channel) -> None:
    body = {"content": "once", "nonce": "n1", "enforce_nonce": True} | NO_PINGS
    first, second = (await request_("POST", posts(general), body))[1], (await request_("POST", posts(general), body))[1]
    assert first["id"] == second["id"]
    assert len(general.messages) == 1
    elsewhere = request_.double.channel("elsewhere")
    third = (await request_("POST", posts(elsewhere), body | {"content": "other"}))[1]
    assert (third["id"], elsewhere.messages) == (first["id"], {}), "a nonce counts for the bot's messages everywhere"


async def test_the_sixth_post_within_the_window_is_rate_limited(request_: Client, general: Channel) -> None:
    statuses = [(await request_("POST", posts(general), {"content": "x"} | NO_PINGS))[0] for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    assert request_.headers["Via"]
    assert float(request_.headers["Retry-After"]) > 0
    assert request_.headers["Content-Type"] == "application/json"


async def test_a_global_rate_limit_covers_all_requests() -> None:
    async with DiscordDouble(limits={"global": (2, 60.0)}) as double, aiohttp.ClientSession() as session:
        request = Client(double, session)
        responses = [
            await request("GET", place) for place in ("/users/@me", "/gateway/bot", "/oauth2/applications/@me")
        ]
    assert [status for status, _ in responses] == [200, 200, 429]
    assert responses[-1][1]["global"] is True
    assert request.headers["X-RateLimit-Global"] == "true"


async def test_too_many_invalid_requests_are_a_violation() -> None:
    async with DiscordDouble(max_invalid=2) as double, aiohttp.ClientSession() as session:
        request, general = Client(double, session), double.channel("general")
        general.denied = {"send_messages"}
        for kept in (0, 1):
            assert (await request("POST", posts(general), {"content": "x"} | NO_PINGS))[0] == 403
            assert len(double.violations) == kept
        double.violations.clear()


async def test_deleted_messages_unknown_channels_and_missing_permissions(
    double: DiscordDouble, request_: Client, general: Channel
) -> None:
    _, message = await request_("POST", posts(general), {"content": "x"} | NO_PINGS)
    await request_("DELETE", f"{posts(general)}/{message['id']}")
    status, body_ = await request_("PATCH", f"{posts(general)}/{message['id']}", {"content": "y"} | NO_PINGS)
    assert (status, body_["code"]) == (404, 10008)
    status, body_ = await request_("POST", "/channels/1/messages", {"content": "x"} | NO_PINGS)
    assert (status, body_["code"]) == (404, 10003)
    general.denied = {"send_messages"}
    status, body_ = await request_("POST", posts(general), {"content": "x"} | NO_PINGS)
    assert (status, body_["code"]) == (403, 50013)


async def test_a_thread_has_the_id_of_its_message_and_is_created_once(
    double: DiscordDouble, request_: Client, general: Channel
) -> None:
    asked = await double.say(general, double.user("Ada"), "question")
    status, thread = await request_("POST", f"{posts(general)}/{asked.id}/threads", {"name": "question"})
    assert (status, thread["id"]) == (201, str(asked.id))
    status, body_ = await request_("POST", f"{posts(general)}/{asked.id}/threads", {"name": "question"})
    assert (status, body_["code"]) == (400, 160004)


async def test_an_interaction_is_acknowledged_in_time_and_once(
    double: DiscordDouble, request_: Client, general: Channel
) -> None:
    double.commands = [{"id": "1", "name": "budget", "options": [], "default_member_permissions": None}]
    asked = await double.slash("budget", user=double.user("Ada"), channel=general)
    path = f"/interactions/{asked.id}/{asked.token}/callback"
    assert (await request_("POST", path, {"type": 5, "data": {"flags": 64}}))[0] == 200
    status, body_ = await request_("POST", path, {"type": 5})
    assert (status, body_["code"]) == (400, 40060)

    late = await double.slash("budget", user=double.user("Ada"), channel=general)
    late.sent_at -= 4
    status, body_ = await request_("POST", f"/interactions/{late.id}/{late.token}/callback", {"type": 5})
    assert (status, body_["code"]) == (404, 10062)
    assert double.violations == ["an interaction was acknowledged after more than 3 s"]


async def test_the_first_follow_up_is_as_private_as_the_waiting_message(
    double: DiscordDouble, request_: Client, general: Channel
) -> None:
    double.commands = [{"id": "1", "name": "budget", "options": [], "default_member_permissions": None}]
    asked = await double.slash("budget", user=double.user("Ada"), channel=general)
    await request_("POST", f"/interactions/{asked.id}/{asked.token}/callback", {"type": 5, "data": {"flags": 64}})
    await request_("POST", f"/webhooks/{double.world.application_id}/{asked.token}", {"content": "done"} | NO_PINGS)
    assert [(message.content, message.ephemeral) for message in double.answers(general)] == [("done", True)]


async def test_without_the_intent_only_messages_to_the_bot_have_content(double: DiscordDouble) -> None:
    general, ada = double.channel("general"), double.user("Ada")
    chatter = await double.say(general, ada, "chatter")
    meant = await double.say(general, ada, f"{double.bot.mention} question")
    private = await double.dm(ada, "question")
    shown = [
        double.world.event_payload(message, content_allowed=False)["content"] for message in (chatter, meant, private)
    ]
    assert shown == ["", f"{double.bot.mention} question", "question"]
    assert MESSAGE_CONTENT == 1 << 15


@pytest.mark.parametrize(
    ("body", "violation"),
    [
        ({"content": "hello"}, "allows pings"),
        ({"content": "hello", "allowed_mentions": {"parse": ["users"]}}, "allows pings"),
        ({"content": "hello", "allowed_mentions": {"parse": [], "replied_user": True}}, "allows pings"),
        ({"content": "see https://a.example"} | NO_PINGS, "preview"),
    ],
)
def test_policy_violations_are_found(body: dict[str, Any], violation: str) -> None:
    (found,) = policy_violations(body)
    assert violation in found


def test_a_correct_message_has_no_violations() -> None:
    assert policy_violations({"content": "see <https://a.example> and `https://b.example`"} | NO_PINGS) == []
    check_message({"content": "x" * 2000}, files=0)


def test_commands_with_bad_names_are_refused() -> None:
    check_command({"name": "budget", "description": "what is left"})
    with pytest.raises(Exception, match="Invalid Form Body"):
        check_command({"name": "Budget", "description": "what is left"})
