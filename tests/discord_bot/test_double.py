"""The double keeps Discord's rules: whoever breaks one is refused as Discord refuses, or found out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_gateway import MESSAGE_CONTENT
from tests.doubles.discord_world import Channel, check_command, check_message, manners

CALM: dict[str, Any] = {"allowed_mentions": {"parse": []}}
Answer = tuple[int, Any]


class Client:
    """Raw requests as the bot could make them."""

    def __init__(self, double: DiscordDouble, session: aiohttp.ClientSession) -> None:
        self.double = double
        self._session = session
        self.headers: dict[str, str] = {}

    async def __call__(self, method: str, path: str, body: object = None, token: str | None = None) -> Answer:
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
async def test_what_is_too_long_is_refused(request_: Client, general: Channel, body: dict[str, Any], code: int) -> None:
    status, told = await request_("POST", posts(general), body | CALM)
    assert (status, told["code"]) == (400, code)


async def test_the_same_nonce_returns_the_first_message(request_: Client, general: Channel) -> None:
    body = {"content": "once", "nonce": "n1", "enforce_nonce": True} | CALM
    first, second = (await request_("POST", posts(general), body))[1], (await request_("POST", posts(general), body))[1]
    assert first["id"] == second["id"]
    assert len(general.messages) == 1


async def test_the_sixth_post_within_the_window_has_to_wait(request_: Client, general: Channel) -> None:
    statuses = [(await request_("POST", posts(general), {"content": "x"} | CALM))[0] for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    assert request_.headers["Via"]
    assert float(request_.headers["Retry-After"]) > 0
    assert request_.headers["Content-Type"] == "application/json"


async def test_all_requests_together_have_a_limit() -> None:
    async with DiscordDouble(limits={"global": (2, 60.0)}) as double, aiohttp.ClientSession() as session:
        request = Client(double, session)
        told = [await request("GET", place) for place in ("/users/@me", "/gateway/bot", "/oauth2/applications/@me")]
    assert [status for status, _ in told] == [200, 200, 429]
    assert told[-1][1]["global"] is True
    assert request.headers["X-RateLimit-Global"] == "true"


async def test_too_many_invalid_requests_are_against_the_rules() -> None:
    async with DiscordDouble(invalid=2) as double, aiohttp.ClientSession() as session:
        request, general = Client(double, session), double.channel("general")
        general.denied = {"send_messages"}
        for kept in (0, 1):
            assert (await request("POST", posts(general), {"content": "x"} | CALM))[0] == 403
            assert len(double.violations) == kept
        double.violations.clear()


async def test_deleted_messages_unknown_channels_and_missing_rights(
    double: DiscordDouble, request_: Client, general: Channel
) -> None:
    _, message = await request_("POST", posts(general), {"content": "x"} | CALM)
    await request_("DELETE", f"{posts(general)}/{message['id']}")
    status, told = await request_("PATCH", f"{posts(general)}/{message['id']}", {"content": "y"} | CALM)
    assert (status, told["code"]) == (404, 10008)
    status, told = await request_("POST", "/channels/1/messages", {"content": "x"} | CALM)
    assert (status, told["code"]) == (404, 10003)
    general.denied = {"send_messages"}
    status, told = await request_("POST", posts(general), {"content": "x"} | CALM)
    assert (status, told["code"]) == (403, 50013)


async def test_a_thread_has_the_id_of_its_message_and_is_made_once(
    double: DiscordDouble, request_: Client, general: Channel
) -> None:
    asked = await double.say(general, double.user("Ada"), "question")
    status, thread = await request_("POST", f"{posts(general)}/{asked.id}/threads", {"name": "question"})
    assert (status, thread["id"]) == (201, str(asked.id))
    status, told = await request_("POST", f"{posts(general)}/{asked.id}/threads", {"name": "question"})
    assert (status, told["code"]) == (400, 160004)


async def test_an_interaction_is_acknowledged_in_time_and_once(
    double: DiscordDouble, request_: Client, general: Channel
) -> None:
    double.commands = [{"id": "1", "name": "budget", "options": [], "default_member_permissions": None}]
    asked = await double.slash("budget", user=double.user("Ada"), channel=general)
    path = f"/interactions/{asked.id}/{asked.token}/callback"
    assert (await request_("POST", path, {"type": 5, "data": {"flags": 64}}))[0] == 200
    status, told = await request_("POST", path, {"type": 5})
    assert (status, told["code"]) == (400, 40060)

    late = await double.slash("budget", user=double.user("Ada"), channel=general)
    late.asked -= 4
    status, told = await request_("POST", f"/interactions/{late.id}/{late.token}/callback", {"type": 5})
    assert (status, told["code"]) == (404, 10062)
    assert double.violations == ["an interaction was acknowledged after more than 3 s"]


async def test_the_first_follow_up_is_as_private_as_the_waiting_message(
    double: DiscordDouble, request_: Client, general: Channel
) -> None:
    double.commands = [{"id": "1", "name": "budget", "options": [], "default_member_permissions": None}]
    asked = await double.slash("budget", user=double.user("Ada"), channel=general)
    await request_("POST", f"/interactions/{asked.id}/{asked.token}/callback", {"type": 5, "data": {"flags": 64}})
    await request_("POST", f"/webhooks/{double.world.application_id}/{asked.token}", {"content": "done"} | CALM)
    assert [(message.content, message.ephemeral) for message in double.answers(general)] == [("done", True)]


async def test_without_the_intent_content_comes_only_where_the_bot_is_meant(double: DiscordDouble) -> None:
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
    ("body", "fault"),
    [
        ({"content": "hello"}, "pinged"),
        ({"content": "hello", "allowed_mentions": {"parse": ["users"]}}, "pinged"),
        ({"content": "hello", "allowed_mentions": {"parse": [], "replied_user": True}}, "pinged"),
        ({"content": "see https://a.example"} | CALM, "unfolds"),
    ],
)
def test_bad_manners_are_found_out(body: dict[str, Any], fault: str) -> None:
    (found,) = manners(body)
    assert fault in found


def test_good_manners_pass() -> None:
    assert manners({"content": "see <https://a.example> and `https://b.example`"} | CALM) == []
    check_message({"content": "x" * 2000}, files=0)


def test_commands_with_bad_names_are_refused() -> None:
    check_command({"name": "budget", "description": "what is left"})
    with pytest.raises(Exception, match="Invalid Form Body"):
        check_command({"name": "Budget", "description": "what is left"})
