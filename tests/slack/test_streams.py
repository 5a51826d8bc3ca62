"""Answers as native streams: what is appended, and how they go over to edits of the same message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.engine.display.output_filter import urls_in
from bot.engine.display.stream import Display
from bot.platforms.slack.native_streams import Mode, Streams
from bot.platforms.slack.surface import LIMITS, SlackSurface
from bot.types.display import Limits
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import TEAM, Message
from tests.slack.conftest import installed

pytestmark = pytest.mark.frozen_clock

PACE = 100.0
"""Slack's seconds in a real one."""


@dataclass
class Clock:
    """Seconds that pass as fast as Slack's do; ``skipped`` are added by a test."""

    pace: float = PACE
    skipped: float = 0.0

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() * self.pace + self.skipped

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / self.pace)


@dataclass
class Dispatcher:
    """A question in the workspace, and displays for its answer."""

    slack: SlackDouble
    client: AsyncWebClient
    native: Streams
    clock: Clock
    question: Message
    limits: Limits = LIMITS

    def surface(self) -> SlackSurface:
        return SlackSurface(
            self.client,
            self.question.channel,
            self.question.ts,
            since=self.question.ts,
            native=self.native,
            asker=self.question.user,
            limits=self.limits,
            monotonic=self.clock.monotonic,
        )

    def display(self, **more: Any) -> Display:
        async def record(index: int, ref: str | None) -> None:
            return None

        clock = self.clock
        given: dict[str, Any] = {"record": record, "monotonic": clock.monotonic, "sleep": clock.sleep, **more}
        return Display(self.surface(), turn_id="t1", **given)

    @property
    def replies(self) -> list[Message]:
        return self.slack.replies(self.question)

    def called(self, method: str) -> list[dict[str, Any]]:
        return [args for name, args in self.slack.calls if name == method]

    async def shows(self, words: str) -> None:
        """Wait until these words stand in a message of the answer."""
        await self.slack.until(lambda: any(words in reply.shown for reply in self.replies))

    async def calls(self, method: str, times: int = 1) -> None:
        """Wait until the bot has called a method of Slack's so often."""
        await self.slack.until(lambda: len(self.called(method)) >= times)

    @property
    def methods(self) -> list[str]:
        return [name.removeprefix("chat.") for name, _ in self.slack.calls]


MakeDesk = Callable[..., Awaitable[Dispatcher]]


@pytest.fixture
async def make_desk() -> AsyncIterator[MakeDesk]:
    doubles: list[SlackDouble] = []
    async with aiohttp.ClientSession() as session:

        async def make(mode: Mode = "everywhere", *, direct: bool = False, **more: Any) -> Dispatcher:
            clock = asyncio.get_running_loop().time
            slack = await SlackDouble(**{**installed(), "pace": PACE, "clock": clock, **more}).__aenter__()
            doubles.append(slack)
            asked = await (slack.dm("alice", "hello") if direct else slack.say("general", "alice", "hello"))
            client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, session=session, retry_handlers=[])
            return Dispatcher(slack, client, Streams(mode, team), Clock(), asked)

        yield make
    for slack in doubles:
        await slack.__aexit__(None, None, None)


async def team(user_id: str) -> str:
    return TEAM


async def write(display: Display, text: str, *, since: str = "", step: int = 12, pause: float = 0.004) -> None:
    """Let the text grow as a model writes it, from where it stood."""
    for end in range(len(since) + step, len(text) + step, step):
        display.show(text[:end])
        await asyncio.sleep(pause)


async def test_a_draft_grows_as_a_stream_and_ends_as_the_whole_message(make_desk: MakeDesk) -> None:
    dispatcher = await make_desk()
    text = "Everybody has **thirty days** of [leave](https://handbook.example/leave). " * 4
    async with dispatcher.display(allowed=urls_in("https://handbook.example/leave")) as display:
        await display.open("_Looking…_")
        (reply,) = dispatcher.replies
        assert reply.now.blocks[0] == {
            "type": "task_card",
            "task_id": "parley_part:t1:0",
            "title": "Looking…",
            "status": "in_progress",
        }
        assert reply.now.buttons == ["parley_stop"]
        await write(display, text[:150])
        await dispatcher.calls("chat.appendStream")
        await write(display, text, since=text[:150])
        await dispatcher.calls("chat.appendStream", 2)
        await display.close(text, actions=("up", "down"))
    (reply,) = dispatcher.replies
    assert reply.now.blocks[0] == {"type": "markdown", "text": text.strip()}
    assert reply.now.buttons == ["parley_up", "parley_down"]
    assert dispatcher.methods[0] == "startStream"
    assert dispatcher.methods[-2:] == ["stopStream", "update"]
    assert set(dispatcher.methods[1:-2]) == {"appendStream"}
    (start,) = dispatcher.called("chat.startStream")
    assert (start["recipient_user_id"], start["recipient_team_id"]) == (dispatcher.question.user, TEAM)
    (stop,) = dispatcher.called("chat.stopStream")
    assert stop["metadata"]["event_payload"]["nonce"] == "t1:0"


def streamed(message: Message) -> list[str]:
    """The text of each version of a stream."""
    return ["".join(block["text"] for block in v.blocks if block["type"] == "markdown") for v in message.versions]


async def test_what_was_appended_stays_and_nothing_half_open_is_appended(make_desk: MakeDesk) -> None:
    dispatcher = await make_desk()
    text = "One **bold word** and `code`.\n\n```py\nx = 1\n```\n\n| a | b |\n|--|--|\n| 1 | 2 |\n\n- *one*\n- two\n"
    async with dispatcher.display() as display:
        await display.open("…")
        await write(display, text, step=2, pause=0.012)
        await display.close(text)
    shown = streamed(dispatcher.replies[0])
    assert len(set(shown)) > 6
    for before, after in pairwise(shown):
        assert after.startswith(before)
    for draft in shown:
        assert draft.count("**") % 2 == 0
        assert draft.count("```") % 2 == 0
        assert "| 2" not in draft or "| 1 | 2 |" in draft
    assert shown[-1] == text.strip()


async def test_a_direct_message_names_no_reader(make_desk: MakeDesk) -> None:
    dispatcher = await make_desk("direct", direct=True)
    async with dispatcher.display() as display:
        await display.open("…")
        await display.close("Done.")
    (start,) = dispatcher.called("chat.startStream")
    assert not {"recipient_user_id", "recipient_team_id"} & start.keys()


@pytest.mark.parametrize("mode", ["off", "direct"])
async def test_where_streams_are_not_wanted_there_are_none(make_desk: MakeDesk, mode: Mode) -> None:
    dispatcher = await make_desk(mode)
    async with dispatcher.display() as display:
        await display.open("…")
        await display.close("Done.")
    assert dispatcher.methods == ["postMessage", "update"]


@pytest.mark.parametrize("error", ["unknown_method", "missing_scope", "not_allowed", "feature_disabled"])
async def test_a_workspace_without_streams_is_asked_once(
    make_desk: MakeDesk, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bot.platforms.slack")
    dispatcher = await make_desk(streams=error != "unknown_method")
    if error != "unknown_method":
        dispatcher.slack.fail_next("chat.startStream", error)
    for _ in range(2):
        async with dispatcher.display() as display:
            await display.open("…")
            await display.close("Done.")
    assert dispatcher.methods == ["startStream", "postMessage", "update", "postMessage", "update"]
    assert [record.message for record in caplog.records] == [
        f"Slack has no streams in C0GENERAL ({error}): answers are edited there"
    ]
    dispatcher.clock.skipped += 4_000
    assert dispatcher.native.allow("C0GENERAL", dispatcher.clock.monotonic())


async def test_a_channel_that_refuses_streams_says_nothing_about_others(make_desk: MakeDesk) -> None:
    dispatcher = await make_desk()
    dispatcher.slack.fail_next("chat.startStream", "channel_type_not_supported")
    async with dispatcher.display() as display:
        await display.open("…")
        await display.close("Done.")
    now = dispatcher.clock.monotonic()
    assert not dispatcher.native.allow("C0GENERAL", now)
    assert dispatcher.native.allow("C0SECRET", now)


async def test_more_answers_a_minute_than_streams_are_posted(make_desk: MakeDesk) -> None:
    dispatcher = await make_desk()
    now = dispatcher.clock.monotonic()
    assert [dispatcher.native.allow("C0GENERAL", now + second) for second in range(20)] == [True] * 15 + [False] * 5
    assert dispatcher.native.allow("C0GENERAL", now + 61)


async def test_a_429_at_the_start_posts_at_once_and_streams_wait(make_desk: MakeDesk) -> None:
    dispatcher = await make_desk()
    dispatcher.slack.limit_next("chat.startStream", 30)
    async with dispatcher.display() as display:
        await display.open("…")
        assert dispatcher.methods == ["startStream", "postMessage"]
        await display.close("Done.")
    now = dispatcher.clock.monotonic()
    assert not dispatcher.native.allow("C0GENERAL", now)
    assert dispatcher.native.allow("C0GENERAL", now + 40)


@pytest.mark.parametrize(
    "error", ["message_not_in_streaming_state", "stopped_by_user", "streaming_mode_mismatch", "msg_too_long"]
)
async def test_a_stream_that_ends_goes_on_as_edits_of_the_same_message(make_desk: MakeDesk, error: str) -> None:
    dispatcher = await make_desk()
    async with dispatcher.display() as display:
        await display.open("…")
        await write(display, "The first words of it. ")
        await dispatcher.shows("first words")
        dispatcher.slack.fail_next("chat.appendStream", error)
        if error != "msg_too_long":
            dispatcher.slack.end_stream(dispatcher.replies[0])
        await write(
            display, "The first words of it. Then come more of them, and more.", since="The first words of it. "
        )
        await dispatcher.shows("Then come")
        await display.close("The first words of it. Then come more of them, and more.")
    (reply,) = dispatcher.replies
    assert reply.shown == "The first words of it. Then come more of them, and more."


async def test_an_expired_stream_goes_on_as_edits(make_desk: MakeDesk) -> None:
    dispatcher = await make_desk(stream_seconds=4.0)
    async with dispatcher.display() as display:
        await display.open("…")
        await write(display, "word " * 30, step=25, pause=0.01)
        await dispatcher.slack.until(lambda: not dispatcher.slack.is_streaming(dispatcher.replies[0]))
        await write(display, "word " * 60, since="word " * 30, step=25, pause=0.01)
        await dispatcher.calls("chat.update")
        await display.close("word " * 60)
    (reply,) = dispatcher.replies
    assert reply.shown == ("word " * 60).strip()


async def test_a_stream_is_ended_before_slack_ends_it(make_desk: MakeDesk) -> None:
    dispatcher = await make_desk()
    async with dispatcher.display() as display:
        await display.open("…")
        await write(display, "Some words. ")
        dispatcher.clock.skipped += 250
        await write(display, "Some words. And others after a long while. ", since="Some words. ")
        await dispatcher.calls("chat.update")
        await display.close("Some words. And others.")
    at = dispatcher.methods.index("stopStream")
    assert dispatcher.methods[at + 1] == "update"
    assert "appendStream" not in dispatcher.methods[at:]


async def test_text_that_is_withdrawn_is_overwritten(make_desk: MakeDesk) -> None:
    dispatcher = await make_desk()
    async with dispatcher.display() as display:
        await display.open("_Looking…_")
        await write(display, "A wrong beginning of the answer. ")
        await dispatcher.shows("A wrong beginning")
        display.show("")
        await dispatcher.slack.until(lambda: dispatcher.replies[0].shown.startswith("_Looking…_"))
        await write(display, "Another answer altogether. ")
        await display.close("Another answer altogether.")
    assert [reply.shown for reply in dispatcher.replies] == ["Another answer altogether."]


async def test_a_long_code_block_is_not_waited_for(make_desk: MakeDesk) -> None:
    dispatcher = await make_desk()
    code = "Here:\n\n```py\n" + "\n".join(f"number_{n} = {n}" for n in range(200)) + "\n```"
    async with dispatcher.display() as display:
        await display.open("…")
        await write(display, code, step=150, pause=0.02)
        await dispatcher.shows("number_60 ")
        await display.close(code)
    assert dispatcher.replies[0].shown == code
    for version in dispatcher.replies[0].versions:
        assert version.shown.count("```") % 2 == 0


async def test_a_long_answer_is_streamed_message_after_message(make_desk: MakeDesk) -> None:
    dispatcher = await make_desk()
    dispatcher.limits = replace(LIMITS, message_chars=400)
    text = " ".join(f"word{n}" for n in range(150))
    async with dispatcher.display() as display:
        await display.open("…")
        await write(display, text, step=60, pause=0.015)
        await dispatcher.calls("chat.startStream", 2)
        await display.close(text)
    assert " ".join(reply.shown for reply in dispatcher.replies) == text
    assert len(dispatcher.replies) == 3


async def test_a_lost_reply_to_the_start_makes_no_second_message(make_desk: MakeDesk) -> None:
    dispatcher = await make_desk()
    dispatcher.slack.lose_next("chat.startStream")
    async with dispatcher.display() as display:
        await display.open("…")
        await write(display, "Some words of an answer. ")
        await display.close("Some words of an answer.")
    assert [reply.shown for reply in dispatcher.replies] == ["Some words of an answer."]
    assert len(dispatcher.called("chat.startStream")) == 1
    assert len(dispatcher.called("conversations.replies")) == 1


@pytest.mark.parametrize("readable", [True, False])
async def test_a_start_that_fails_on_slacks_side_is_posted_next(make_desk: MakeDesk, readable: bool) -> None:
    dispatcher = await make_desk()
    dispatcher.slack.fail_next("chat.startStream", "internal_error")
    if not readable:
        dispatcher.slack.fail_next("conversations.replies", "missing_scope")
    async with dispatcher.display() as display:
        await display.open("…")
        await write(display, "Some words of an answer. ")
        await display.close("Some words of an answer.")
    assert dispatcher.methods[:3] == ["startStream", "conversations.replies", "postMessage"]
    assert [reply.shown for reply in dispatcher.replies] == ["Some words of an answer."]


async def test_a_lost_reply_to_an_append_repeats_no_text(make_desk: MakeDesk) -> None:
    dispatcher = await make_desk()
    async with dispatcher.display() as display:
        await display.open("…")
        dispatcher.slack.lose_next("chat.appendStream")
        await write(display, "Some words of an answer that goes on. ")
        await dispatcher.shows("that goes on")
        await display.close("Some words of an answer that goes on.")
    assert all(version.shown.count("Some words") <= 1 for version in dispatcher.replies[0].versions)
    assert [reply.shown for reply in dispatcher.replies] == ["Some words of an answer that goes on."]


@pytest.mark.parametrize("method", ["chat.stopStream", "chat.update"])
@pytest.mark.parametrize("how", ["lost", "429", "internal_error"])
async def test_the_end_arrives_whatever_happens_to_it(make_desk: MakeDesk, method: str, how: str) -> None:
    dispatcher = await make_desk()
    if how == "429":
        dispatcher.clock = Clock(pace=1.0)
        dispatcher.limits = Limits(11_000, 0.05, edits_per_minute=3_000)
    async with dispatcher.display() as display:
        await display.open("…")
        await write(display, "Some words of an answer. ")
        if how == "lost":
            dispatcher.slack.lose_next(method)
        elif how == "429":
            dispatcher.slack.limit_next(method, 1)
        else:
            dispatcher.slack.fail_next(method, how)
        await display.close("Some words of an answer.", actions=("up",))
    (reply,) = dispatcher.replies
    assert (reply.shown, reply.now.buttons) == ("Some words of an answer.", ["parley_up"])


async def test_after_a_crash_the_open_stream_is_stopped_and_the_message_goes_on(make_desk: MakeDesk) -> None:
    dispatcher = await make_desk()
    dead = dispatcher.display()
    await dead.open("…")
    await write(dead, "Half of an answer and ")
    await dispatcher.shows("Half of an answer")
    await dead.abandon()
    ref = dispatcher.replies[0].ts
    async with dispatcher.display(parts=(ref,), recorded=1) as display:
        await display.open("_Looking…_")
        await write(display, "The whole of the answer. ")
        await display.close("The whole of the answer.")
    assert [reply.shown for reply in dispatcher.replies] == ["The whole of the answer."]


async def test_a_stream_that_is_not_on_record_is_found_after_a_crash(make_desk: MakeDesk) -> None:
    dispatcher = await make_desk()
    dead = dispatcher.display()
    await dead.open("…")
    await dead.abandon()
    async with dispatcher.display(recorded=1) as display:
        await display.open("_Looking…_")
        await display.close("The answer.")
    assert [reply.shown for reply in dispatcher.replies] == ["The answer."]


async def test_a_streamed_answer_can_be_taken_away(make_desk: MakeDesk) -> None:
    dispatcher = await make_desk()
    for fresh in (False, True):
        surface = dispatcher.display()
        await surface.open("…")
        await surface.abandon()
        (reply,) = dispatcher.replies
        taker = dispatcher.display(parts=(reply.ts,), recorded=1) if fresh else surface
        await taker.remove()
        assert dispatcher.replies == []


async def test_a_message_that_somebody_deletes_ends_it(make_desk: MakeDesk) -> None:
    dispatcher = await make_desk()
    async with dispatcher.display() as display:
        await display.open("…")
        dispatcher.replies[0].deleted = True
        await write(display, "Some words of an answer. ")
        await dispatcher.slack.until(lambda: display.gone)


async def test_a_question_in_the_queue_opens_no_stream(make_desk: MakeDesk) -> None:
    dispatcher = await make_desk()
    await dispatcher.display().say("_Many questions at once: you are next…_")
    assert dispatcher.methods == ["postMessage"]
