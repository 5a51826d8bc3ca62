"""Tests of the Slack double with the real SDK: it enforces Slack's rules and detects violations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from tests.doubles.slack import SlackDouble

QUIET: dict[str, Any] = {"unfurl_links": False, "unfurl_media": False}


@pytest.fixture
async def world() -> AsyncIterator[SlackDouble]:
    """A workspace whose violations the test checks itself."""
    async with SlackDouble() as slack:
        yield slack
        slack.violations.clear()


def client_of(slack: SlackDouble, **more: Any) -> AsyncWebClient:
    return AsyncWebClient(**{"token": slack.bot_token, "base_url": slack.api_url, **more})


async def refused(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


async def test_tokens_and_scopes_are_checked(world: SlackDouble) -> None:
    good = client_of(world)
    assert (await good.auth_test())["bot_id"] == "B0BOT"
    assert await refused(client_of(world, token="xoxb-other").auth_test()) == "invalid_auth"
    assert await refused(good.apps_connections_open(app_token=world.bot_token)) == "not_allowed_token_type"
    world.scopes.discard("users:read")
    assert await refused(good.users_info(user="U0BOB")) == "missing_scope"
    assert len(world.violations) == 2


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"channel": "C0NOWHERE", "text": "x"}, "channel_not_found"),
        ({"channel": "C0RANDOM", "text": "x"}, "not_in_channel"),
        ({"channel": "C0OLD", "text": "x"}, "is_archived"),
        ({"channel": "C0GENERAL", "text": ""}, "no_text"),
        ({"channel": "C0GENERAL", "text": "x", "thread_ts": "1.0"}, "thread_not_found"),
        ({"channel": "C0GENERAL", "text": "x", "blocks": [{"type": "markdown", "text": "x" * 12_001}]}, "msg_too_long"),
        ({"channel": "C0GENERAL", "text": "x", "blocks": [{"type": "markdown", "text": ""}]}, "invalid_blocks"),
        ({"channel": "C0GENERAL", "text": "x", "blocks": [{"type": "marquee"}]}, "invalid_blocks"),
        ({"channel": "C0GENERAL", "text": "x", "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"channel": "C0GENERAL", "text": "x", "blocks": [{"type": "table", "rows": [[]]}]}, "invalid_blocks"),
    ],
)
async def test_invalid_posts_are_refused(
    world: SlackDouble, arguments: dict[str, Any], error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKIP_SLACK_SDK_WARNING", "1")
    assert await refused(client_of(world).chat_postMessage(**arguments, **QUIET)) == error


async def test_unfurls_and_mentions_are_violations(world: SlackDouble) -> None:
    client = client_of(world)
    await client.chat_postMessage(channel="C0GENERAL", text="see https://a.example")
    await client.chat_postMessage(channel="C0GENERAL", text="<!channel> wake up", **QUIET)
    assert len(world.violations) == 2


async def test_only_existing_own_messages_can_be_changed(world: SlackDouble) -> None:
    client = client_of(world)
    theirs = await world.say("general", "alice", "mine")
    own = await client.chat_postMessage(channel="C0GENERAL", text="one", **QUIET)
    update: dict[str, Any] = {"channel": "C0GENERAL", "text": "two"}
    assert await refused(client.chat_update(ts=theirs.ts, **update)) == "cant_update_message"
    assert await refused(client.chat_update(ts="1.0", **update)) == "message_not_found"
    assert await refused(client.chat_update(**{**update, "text": "x" * 4001}, ts=own["ts"])) == "msg_too_long"
    await client.chat_delete(channel="C0GENERAL", ts=own["ts"])
    assert await refused(client.chat_update(ts=own["ts"], **update)) == "message_not_found"


async def test_too_many_calls_get_429_and_ignoring_it_is_a_violation(world: SlackDouble) -> None:
    client = client_of(world)
    own = await client.chat_postMessage(channel="C0GENERAL", text="one", **QUIET)
    errors = []
    for number in range(12):
        try:
            await client.chat_update(channel="C0GENERAL", ts=own["ts"], text=str(number))
        except SlackApiError as error:
            errors.append(error.response)
    assert [response.status_code for response in errors] == [429, 429]
    assert int(errors[0].headers["Retry-After"]) >= 1
    assert world.violations == ["chat.update was called again before its Retry-After was over"]


async def test_the_sdks_retry_handler_waits_out_a_429(world: SlackDouble) -> None:
    client = client_of(world)
    client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=1))
    world.limit_next("users.info", 1)
    assert (await client.users_info(user="U0BOB"))["user"]["name"] == "bob"


async def test_files_are_uploaded_in_three_steps(world: SlackDouble) -> None:
    await client_of(world).files_upload_v2(channel="C0GENERAL", filename="a.csv", content="a,b\n")
    assert list(world.uploaded.values()) == [b"a,b\n"]
    assert world.messages("general")[-1].files[0]["name"] == "a.csv"


async def test_threads_are_read_in_pages(world: SlackDouble) -> None:
    first = await world.say("general", "alice", "one")
    for number in range(4):
        await world.say("general", "bob", str(number), thread_ts=first.ts)
    pages = await client_of(world).conversations_replies(channel="C0GENERAL", ts=first.ts, limit=2)
    texts = [message["text"] async for page in pages for message in page["messages"]]
    assert texts == ["one", "0", "1", "2", "3"]


async def test_an_unacknowledged_event_is_redelivered_and_reported() -> None:
    async with SlackDouble(ack_seconds=0.05, pace=6000.0) as slack:
        client = client_of(slack)
        opened = await client.apps_connections_open(app_token=slack.app_token)
        async with aiohttp.ClientSession() as session, session.ws_connect(opened["url"]) as socket:
            assert (await socket.receive_json())["type"] == "hello"
            await slack.dm("alice", "hello")
            envelopes = [await socket.receive_json() for _ in range(4)]
            assert [envelope["retry_attempt"] for envelope in envelopes] == [0, 1, 2, 3]
            assert len({envelope["payload"]["event_id"] for envelope in envelopes}) == 1
            await slack.until(lambda: slack.violations)
        assert slack.violations == ["events_api was never acknowledged within 0.05 s"]
        slack.violations.clear()


async def test_a_ticket_opens_one_connection(world: SlackDouble) -> None:
    url = (await client_of(world).apps_connections_open(app_token=world.app_token))["url"]
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as socket:
            await socket.receive_json()
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)


async def test_a_response_url_works_five_times(world: SlackDouble) -> None:
    await world.command("/parley", "", "alice", "general")
    await asyncio.sleep(0)
    url = world.socket.deliveries[0].payload["response_url"]
    async with aiohttp.ClientSession() as session:
        statuses = []
        for _ in range(6):
            async with session.post(url, json={"text": "x"}) as response:
                statuses.append(response.status)
    assert statuses == [200] * 5 + [404]


async def test_a_mention_sends_two_events_and_a_link_unfurls(world: SlackDouble) -> None:
    await world.say("general", "alice", f"{world.bot} see <https://a.example>")
    events = [delivery.payload["event"] for delivery in world.socket.deliveries]
    assert [(event["type"], event.get("subtype")) for event in events] == [
        ("message", None),
        ("app_mention", None),
        ("message", "message_changed"),
    ]
    assert len({delivery.payload["event_id"] for delivery in world.socket.deliveries}) == 3


async def test_leaving_the_context_with_violations_fails() -> None:
    with pytest.raises(AssertionError, match="broke Slack's rules"):
        async with SlackDouble() as slack:
            await client_of(slack).chat_postMessage(channel="C0GENERAL", text="x")


async def test_a_status_and_a_modal(world: SlackDouble) -> None:
    client = client_of(world)
    question = await world.say("general", "alice", "x")
    await client.assistant_threads_setStatus(channel_id="C0GENERAL", thread_ts=question.ts, status="is thinking")
    assert world.statuses == ["is thinking"]
    view = {"type": "modal", "title": {"type": "plain_text", "text": "x" * 25}, "blocks": []}
    assert await refused(client.views_open(trigger_id="t", view=view)) == "invalid_arguments"
    assert "views.open with a trigger that was used or has expired" in world.violations


CARD = {"type": "task_update", "id": "t", "title": "Searching", "status": "in_progress"}
READER = {"recipient_user_id": "U0ALICE", "recipient_team_id": "T0PARLEY"}


def text_chunk(text: str) -> dict[str, Any]:
    return {"type": "markdown_text", "text": text}


async def test_an_open_stream_refuses_other_changes_until_it_is_stopped(world: SlackDouble) -> None:
    client = client_of(world)
    asked = await world.say("general", "alice", "x")
    started = await client.chat_startStream(channel=asked.channel, thread_ts=asked.ts, chunks=[CARD], **READER)
    at: dict[str, Any] = {"channel": asked.channel, "ts": started["ts"]}
    assert await refused(client.chat_update(**at, text="y")) == "streaming_state_conflict"
    assert await refused(client.chat_delete(**at)) == "cant_delete_message"
    await client.chat_appendStream(**at, chunks=[{**CARD, "status": "complete"}, text_chunk("one")])
    await client.chat_appendStream(**at, chunks=[text_chunk(" two")])
    (reply,) = world.replies(asked)
    assert [block["type"] for block in reply.now.blocks] == ["task_card", "markdown"]
    assert reply.shown == "Searching\none two"
    (streamed,) = (await client.conversations_replies(channel=asked.channel, ts=asked.ts))["messages"][1:]
    assert streamed["streaming_state"] == "in_progress"
    assert await refused(client.chat_appendStream(**at, markdown_text="three")) == "streaming_mode_mismatch"
    await client.chat_stopStream(**at)
    assert await refused(client.chat_appendStream(**at, chunks=[text_chunk("x")])) == "message_not_in_streaming_state"
    assert await refused(client.chat_stopStream(**at)) == "message_not_in_streaming_state"
    await client.chat_update(**at, text="y")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"recipient_user_id": None}, "missing_recipient_user_id"),
        ({"recipient_team_id": None}, "missing_recipient_team_id"),
        ({"recipient_user_id": "U0NOBODY"}, "user_not_found"),
        ({"thread_ts": None}, "invalid_arguments"),
        ({"thread_ts": "1.0"}, "thread_not_found"),
        ({"markdown_text": "x"}, "invalid_arguments"),
        ({"channel": "D0ALICE"}, "invalid_arguments"),
        ({"chunks": [text_chunk("x" * 12_001)]}, "msg_too_long"),
        ({"chunks": [text_chunk("é" * 6_000)]}, "msg_too_long"),
        ({"chunks": [text_chunk(" \n")]}, "invalid_chunks"),
        ({"chunks": [{**CARD, "title": "x" * 257}]}, "invalid_chunks"),
        ({"chunks": [{"type": "blocks", "blocks": [{"type": "marquee"}]}]}, "invalid_chunks"),
    ],
)
async def test_invalid_streams_are_refused(world: SlackDouble, arguments: dict[str, Any], error: str) -> None:
    asked = await world.say("general", "alice", "x")
    call = {"channel": asked.channel, "thread_ts": asked.ts, "chunks": [CARD], **READER, **arguments}
    assert await refused(client_of(world).chat_startStream(**call)) == error


async def test_a_stream_expires_and_an_open_one_is_a_violation() -> None:
    slack = await SlackDouble().__aenter__()
    asked = await slack.say("general", "alice", "x")
    start: dict[str, Any] = {"channel": asked.channel, "thread_ts": asked.ts, "chunks": [CARD], **READER}
    await client_of(slack).chat_startStream(**start)
    with pytest.raises(AssertionError, match="was never stopped"):
        await slack.__aexit__(None, None, None)
    async with SlackDouble(stream_seconds=0.05) as slack:
        asked = await slack.say("general", "alice", "x")
        start = {"channel": asked.channel, "thread_ts": asked.ts, "chunks": [CARD], **READER}
        started = await client_of(slack).chat_startStream(**start)
        await asyncio.sleep(0.06)
        append = client_of(slack).chat_appendStream(channel=asked.channel, ts=started["ts"], chunks=[text_chunk("x")])
        assert await refused(append) == "message_not_in_streaming_state"


async def test_a_workspace_may_have_no_streams() -> None:
    async with SlackDouble(streams=False) as slack:
        start: dict[str, Any] = {"channel": "C0GENERAL", "thread_ts": "1.0", **READER}
        assert await refused(client_of(slack).chat_startStream(**start)) == "unknown_method"
