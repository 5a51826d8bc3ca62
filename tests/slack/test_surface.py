"""Posting, editing and deleting in Slack, and the errors for Slack's refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.engine.display.stream import Display
from bot.errors import EditRefused, LayoutRefused, MessageGone, PlatformAway, RateLimited, SurfaceError
from bot.platforms.slack import errors
from bot.platforms.slack.bot_tokens import StaticToken
from bot.platforms.slack.surface import LIMITS, SlackSurface
from bot.platforms.slack.turn_surface import DirectSurface
from bot.platforms.slack.web_client import create_clients
from bot.types.display import Part
from tests.doubles.slack import SlackDouble
from tests.slack.conftest import slack_settings


def part(text: str) -> Part:
    return Part(text, "n-0", "turn-1")


@pytest.fixture
async def client(slack: SlackDouble) -> AsyncIterator[AsyncWebClient]:
    async with aiohttp.ClientSession() as session:
        yield create_clients(slack_settings(slack), session, StaticToken(slack.bot_token)).single_attempt


@pytest.fixture
async def surface(slack: SlackDouble, client: AsyncWebClient) -> SlackSurface:
    question = await slack.say("general", "alice", "a question")
    return SlackSurface(client, question.channel, question.ts)


async def test_post_edit_delete(slack: SlackDouble, surface: SlackSurface) -> None:
    ref = await surface.post(part("one"))
    await surface.edit(ref, part("two"))
    message = slack.messages("general")[-1]
    assert (message.ts, [version.shown for version in message.versions]) == (ref, ["one", "two"])
    await surface.delete(ref)
    await surface.delete(ref)
    assert slack.messages("general")[-1].ts != ref


async def test_editing_a_deleted_message_raises_message_gone(slack: SlackDouble, surface: SlackSurface) -> None:
    ref = await surface.post(part("one"))
    slack.messages("general")[-1].deleted = True
    with pytest.raises(MessageGone, match="message_not_found"):
        await surface.edit(ref, part("two"))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("channel_not_found", MessageGone),
        ("is_archived", MessageGone),
        ("not_in_channel", MessageGone),
        ("token_revoked", MessageGone),
        ("account_inactive", MessageGone),
        ("thread_not_found", MessageGone),
        ("edit_window_closed", EditRefused),
        ("cant_update_message", EditRefused),
        ("msg_too_long", LayoutRefused),
        ("invalid_blocks", LayoutRefused),
        ("internal_error", PlatformAway),
        ("fatal_error", PlatformAway),
        ("service_unavailable", PlatformAway),
        ("missing_scope", SurfaceError),
    ],
)
async def test_refusals_are_typed_and_say_what_to_do(
    slack: SlackDouble, surface: SlackSurface, error: str, kind: type[SurfaceError]
) -> None:
    ref = await surface.post(part("one"))
    method = "chat.update" if kind is EditRefused else "chat.postMessage"
    slack.fail_next(method, error)
    with pytest.raises(SurfaceError) as caught:
        await (surface.edit(ref, part("two")) if kind is EditRefused else surface.post(part("two")))
    assert type(caught.value) is kind
    assert error in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_rate_limit_carries_its_seconds(slack: SlackDouble, surface: SlackSurface) -> None:
    ref = await surface.post(part("one"))
    slack.limit_next("chat.update", 7)
    with pytest.raises(RateLimited) as caught:
        await surface.edit(ref, part("two"))
    assert caught.value.retry_after == 7.0


async def test_a_call_waits_out_a_short_rate_limit_and_fails_at_a_long_one(slack: SlackDouble) -> None:
    """A command or a round of notices that slept for an hour would answer nobody meanwhile."""
    async with aiohttp.ClientSession() as session:
        client = create_clients(slack_settings(slack), session, StaticToken(slack.bot_token)).retrying
        slack.limit_next("users.info", 0)
        assert (await client.users_info(user="U0BOB"))["ok"]
        slack.limit_next("users.info", 3600)
        with pytest.raises(RateLimited) as caught, errors.translated():
            await asyncio.wait_for(client.users_info(user="U0BOB"), timeout=30)
    assert caught.value.retry_after == 3600.0


async def test_an_unreachable_slack_is_a_surface_error(slack: SlackDouble) -> None:
    async with aiohttp.ClientSession() as session:
        settings = slack_settings(slack, slack_api_url="http://127.0.0.1:9/api/")
        unreachable = SlackSurface(
            create_clients(settings, session, StaticToken(slack.bot_token)).single_attempt, "C0GENERAL", "1.0"
        )
        with pytest.raises(SurfaceError, match="cannot be reached"):
            await unreachable.post(part("one"))


async def test_a_private_answer_moves_to_the_direct_message(slack: SlackDouble, client: AsyncWebClient) -> None:
    surface = DirectSurface(client, "U0BOB")
    await surface.edit("not-a-ts", part("one"))
    await surface.edit("not-a-ts", part("two"))
    (message,) = slack.messages("D0BOB")
    assert [version.shown for version in message.versions] == ["one", "two"]
    await surface.delete("not-a-ts")
    assert slack.messages("D0BOB") == []


async def test_a_direct_message_of_an_earlier_process_is_edited_and_deleted(
    slack: SlackDouble, client: AsyncWebClient
) -> None:
    ref = await DirectSurface(client, "U0BOB").post(part("one"))
    await DirectSurface(client, "U0BOB").edit(ref, part("two"))
    (message,) = slack.messages("D0BOB")
    assert [version.shown for version in message.versions] == ["one", "two"]
    await DirectSurface(client, "U0BOB").delete(ref)
    assert slack.messages("D0BOB") == []


async def test_a_post_is_found_again_by_its_nonce(slack: SlackDouble, client: AsyncWebClient) -> None:
    question = await slack.say("general", "alice", "a question")
    surface = SlackSurface(client, question.channel, question.ts, since=question.ts)
    refs = [await surface.post(Part(f"part {index}", f"turn-1:{index}", "turn-1")) for index in range(2)]
    await surface.edit(refs[1], Part("changed", "turn-1:1", "turn-1"))
    await slack.say("general", "bob", "by the way", thread_ts=question.ts)
    assert [await surface.find(f"turn-1:{index}") for index in range(3)] == [*refs, None]
    await surface.delete(refs[0])
    assert await surface.find("turn-1:0") is None


async def test_nothing_is_found_in_a_thread_that_is_gone(slack: SlackDouble, client: AsyncWebClient) -> None:
    assert await SlackSurface(client, "C0GENERAL", "1.000001").find("turn-1:0") is None
    assert await SlackSurface(client, "C0GENERAL", "").find("turn-1:0") is None


async def test_an_answer_that_is_too_long_is_uploaded_completely(slack: SlackDouble, client: AsyncWebClient) -> None:
    async def record(index: int, ref: str | None, *, replaced: str | None = None) -> None:
        return None

    question = await slack.say("general", "alice", "a question")
    limits = replace(LIMITS, message_chars=200, max_parts=2)
    surface = SlackSurface(client, question.channel, question.ts, limits=limits)
    text = " ".join(f"word{number}" for number in range(200))
    async with Display(surface, turn_id="turn-1", record=record) as display:
        await display.open("…")
        await display.close(text)
    first, second, file = slack.replies(question)
    assert first.shown.startswith("word0 ")
    assert "The attached file has the full text" in second.shown
    (upload,) = file.files
    assert upload["name"] == "answer.md"
    assert slack.uploaded[upload["id"]].decode() == text


async def test_the_file_of_a_private_answer_stays_in_the_direct_message(
    slack: SlackDouble, client: AsyncWebClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def record(index: int, ref: str | None, *, replaced: str | None = None) -> None:
        return None

    monkeypatch.setattr(DirectSurface, "limits", replace(LIMITS, message_chars=200, max_parts=1))
    surface = DirectSurface(client, "U0BOB")
    text = " ".join(f"word{number}" for number in range(100))
    async with Display(surface, turn_id="turn-1", record=record) as display:
        await display.open("…")
        await display.close(text)
    answer, file = slack.messages("D0BOB")
    assert "The attached file has the full text" in answer.shown
    (upload,) = file.files
    assert (file.shown, upload["name"], slack.uploaded[upload["id"]].decode()) == ("", "answer.md", text)
    assert slack.messages("general") == []
