"""Answers as native streams: what is appended, and how they continue as edits of the same message."""

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
from bot.platforms.slack.native_streams import Mode, StreamPolicy
from bot.platforms.slack.surface import LIMITS, SlackSurface
from bot.types.display import Limits
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import TEAM, Message
from tests.slack.conftest import installed

pytestmark = pytest.mark.frozen_clock

PACE = 100.0
"""Slack seconds in a real second."""


@dataclass
class Clock:
    """A clock that runs at Slack's pace; tests move it forward with ``skipped``."""

    pace: float = PACE
    skipped: float = 0.0

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() * self.pace + self.skipped

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / self.pace)


@dataclass
class Scene:
    """A question in the workspace, and displays for its answer."""

    slack: SlackDouble
    client: AsyncWebClient
    streams: StreamPolicy
    clock: Clock
    question: Message
    limits: Limits = LIMITS

    def surface(self) -> SlackSurface:
        return SlackSurface(
            self.client,
            self.question.channel,
            self.question.ts,
            since=self.question.ts,
            streams=self.streams,
            asker=self.question.user,
            limits=self.limits,
            monotonic=self.clock.monotonic,
        )

    def display(self, **more: Any) -> Display:
        async def record(index: int, ref: str | None, *, replaced: str | None = None) -> None:
            return None

        clock = self.clock
        options: dict[str, Any] = {"record": record, "monotonic": clock.monotonic, "sleep": clock.sleep, **more}
        return Display(self.surface(), turn_id="t1", **options)

    @property
    def replies(self) -> list[Message]:
        return self.slack.replies(self.question)

    def called(self, method: str) -> list[dict[str, Any]]:
        return [args for name, args in self.slack.calls if name == method]

    async def shows(self, text: str) -> None:
        """Wait until a message of the answer contains the text."""
        await self.slack.until(lambda: any(text in reply.shown for reply in self.replies))

    async def calls(self, method: str, times: int = 1) -> None:
        """Wait until the bot has called a Slack method this many times."""
        await self.slack.until(lambda: len(self.called(method)) >= times)

    @property
    def methods(self) -> list[str]:
        return [name.removeprefix("chat.") for name, _ in self.slack.calls]


MakeScene = Callable[..., Awaitable[Scene]]


@pytest.fixture
async def make_scene() -> AsyncIterator[MakeScene]:
    doubles: list[SlackDouble] = []
    async with aiohttp.ClientSession() as session:

        async def make(mode: Mode = "everywhere", *, direct: bool = False, **more: Any) -> Scene:
            clock = asyncio.get_running_loop().time
            slack = await SlackDouble(**{**installed(), "pace": PACE, "clock": clock, **more}).__aenter__()
            doubles.append(slack)
            question = await (slack.dm("alice", "hello") if direct else slack.say("general", "alice", "hello"))
            client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, session=session, retry_handlers=[])
            return Scene(slack, client, StreamPolicy(mode, team), Clock(), question)

        yield make
    for slack in doubles:
        await slack.__aexit__(None, None, None)


async def team(user_id: str) -> str:
    return TEAM


async def write(display: Display, text: str, *, since: str = "", step: int = 12, pause: float = 0.004) -> None:
    """Show the text growing as a model writes it, after ``since``."""
    for end in range(len(since) + step, len(text) + step, step):
        display.show(text[:end])
        await asyncio.sleep(pause)


async def test_a_draft_grows_as_a_stream_and_ends_as_the_complete_message(make_scene: MakeScene) -> None:
    scene = await make_scene()
    text = "Everybody has **thirty days** of [leave](https://handbook.example/leave). " * 4
    async with scene.display(allowed=urls_in("https://handbook.example/leave")) as display:
        await display.open("_Looking…_")
        (reply,) = scene.replies
        assert reply.now.blocks[0] == {
            "type": "task_card",
            "task_id": "parley_part:t1:0",
            "title": "Looking…",
            "status": "in_progress",
        }
        assert reply.now.buttons == ["parley_stop"]
        await write(display, text[:150])
        await scene.calls("chat.appendStream")
        await write(display, text, since=text[:150])
        await scene.calls("chat.appendStream", 2)
        await display.close(text, actions=("up", "down"))
    (reply,) = scene.replies
    assert reply.now.blocks[0] == {"type": "markdown", "text": text.strip()}
    assert reply.now.buttons == ["parley_up", "parley_down"]
    assert scene.methods[0] == "startStream"
    assert scene.methods[-2:] == ["stopStream", "update"]
    assert set(scene.methods[1:-2]) == {"appendStream"}
    (start,) = scene.called("chat.startStream")
    assert (start["recipient_user_id"], start["recipient_team_id"]) == (scene.question.user, TEAM)
    (stop,) = scene.called("chat.stopStream")
    assert stop["metadata"]["event_payload"]["nonce"] == "t1:0"


def streamed(message: Message) -> list[str]:
    """Return the text of each version of a stream."""
    return [
        "".join(block["text"] for block in version.blocks if block["type"] == "markdown")
        for version in message.versions
    ]


async def test_appended_text_stays_and_unfinished_markdown_is_withheld(make_scene: MakeScene) -> None:
    scene = await make_scene()
    text = "One **bold word** and `code`.\n\n```py\nx = 1\n```\n\n| a | b |\n|--|--|\n| 1 | 2 |\n\n- *one*\n- two\n"
    async with scene.display() as display:
        await display.open("…")
        await write(display, text, step=2, pause=0.012)
        await display.close(text)
    shown = streamed(scene.replies[0])
    assert len(set(shown)) > 6
    for before, after in pairwise(shown):
        assert after.startswith(before)
    for draft in shown:
        assert draft.count("**") % 2 == 0
        assert draft.count("```") % 2 == 0
        assert "| 2" not in draft or "| 1 | 2 |" in draft
    assert shown[-1] == text.strip()


async def test_a_stream_in_a_direct_message_names_no_reader(make_scene: MakeScene) -> None:
    scene = await make_scene("direct", direct=True)
    async with scene.display() as display:
        await display.open("…")
        await display.close("Done.")
    (start,) = scene.called("chat.startStream")
    assert not {"recipient_user_id", "recipient_team_id"} & start.keys()


@pytest.mark.parametrize("mode", ["off", "direct"])
async def test_streams_follow_the_setting(make_scene: MakeScene, mode: Mode) -> None:
    scene = await make_scene(mode)
    async with scene.display() as display:
        await display.open("…")
        await display.close("Done.")
    assert scene.methods == ["postMessage", "update"]


@pytest.mark.parametrize("error", ["unknown_method", "missing_scope", "not_allowed", "feature_disabled"])
async def test_a_refused_stream_is_tried_only_once(
    make_scene: MakeScene, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bot.platforms.slack")
    scene = await make_scene(streams=error != "unknown_method")
    if error != "unknown_method":
        scene.slack.fail_next("chat.startStream", error)
    for _ in range(2):
        async with scene.display() as display:
            await display.open("…")
            await display.close("Done.")
    assert scene.methods == ["startStream", "postMessage", "update", "postMessage", "update"]
    assert [record.message for record in caplog.records] == [
        f"Slack does not allow streams in C0GENERAL ({error}): answers there are shown by edits"
    ]
    scene.clock.skipped += 4_000
    assert scene.streams.allow("C0GENERAL", scene.clock.monotonic())


async def test_a_refusal_for_one_channel_does_not_affect_others(make_scene: MakeScene) -> None:
    scene = await make_scene()
    scene.slack.fail_next("chat.startStream", "channel_type_not_supported")
    async with scene.display() as display:
        await display.open("…")
        await display.close("Done.")
    now = scene.clock.monotonic()
    assert not scene.streams.allow("C0GENERAL", now)
    assert scene.streams.allow("C0SECRET", now)


async def test_answers_beyond_the_streams_of_a_minute_are_posted(make_scene: MakeScene) -> None:
    scene = await make_scene()
    now = scene.clock.monotonic()
    assert [scene.streams.allow("C0GENERAL", now + second) for second in range(20)] == [True] * 15 + [False] * 5
    assert scene.streams.allow("C0GENERAL", now + 61)


async def test_a_429_at_the_start_posts_immediately_and_pauses_streams(make_scene: MakeScene) -> None:
    scene = await make_scene()
    scene.slack.limit_next("chat.startStream", 30)
    async with scene.display() as display:
        await display.open("…")
        assert scene.methods == ["startStream", "postMessage"]
        await display.close("Done.")
    now = scene.clock.monotonic()
    assert not scene.streams.allow("C0GENERAL", now)
    assert scene.streams.allow("C0GENERAL", now + 40)


@pytest.mark.parametrize(
    "error", ["message_not_in_streaming_state", "stopped_by_user", "streaming_mode_mismatch", "msg_too_long"]
)
async def test_a_stream_that_ends_continues_as_edits_of_the_same_message(make_scene: MakeScene, error: str) -> None:
    scene = await make_scene()
    async with scene.display() as display:
        await display.open("…")
        await write(display, "The first words of it. ")
        await scene.shows("first words")
        scene.slack.fail_next("chat.appendStream", error)
        if error != "msg_too_long":
            scene.slack.end_stream(scene.replies[0])
        await write(
            display, "The first words of it. Then come more of them, and more.", since="The first words of it. "
        )
        await scene.shows("Then come")
        await display.close("The first words of it. Then come more of them, and more.")
    (reply,) = scene.replies
    assert reply.shown == "The first words of it. Then come more of them, and more."


async def test_an_expired_stream_continues_as_edits(make_scene: MakeScene) -> None:
    scene = await make_scene(stream_seconds=4.0)
    async with scene.display() as display:
        await display.open("…")
        await write(display, "word " * 30, step=25, pause=0.01)
        await scene.slack.until(lambda: not scene.slack.is_streaming(scene.replies[0]))
        await write(display, "word " * 60, since="word " * 30, step=25, pause=0.01)
        await scene.calls("chat.update")
        await display.close("word " * 60)
    (reply,) = scene.replies
    assert reply.shown == ("word " * 60).strip()


async def test_a_stream_is_stopped_before_slack_ends_it(make_scene: MakeScene) -> None:
    scene = await make_scene()
    async with scene.display() as display:
        await display.open("…")
        await write(display, "Some words. ")
        scene.clock.skipped += 250
        await write(display, "Some words. And others after a long while. ", since="Some words. ")
        await scene.calls("chat.update")
        await display.close("Some words. And others.")
    at = scene.methods.index("stopStream")
    assert scene.methods[at + 1] == "update"
    assert "appendStream" not in scene.methods[at:]


async def test_withdrawn_text_is_overwritten(make_scene: MakeScene) -> None:
    scene = await make_scene()
    async with scene.display() as display:
        await display.open("_Looking…_")
        await write(display, "A wrong beginning of the answer. ")
        await scene.shows("A wrong beginning")
        display.show("")
        await scene.slack.until(lambda: scene.replies[0].shown.startswith("_Looking…_"))
        await write(display, "Another answer altogether. ")
        await display.close("Another answer altogether.")
    assert [reply.shown for reply in scene.replies] == ["Another answer altogether."]


async def test_a_long_code_block_is_shown_before_its_end(make_scene: MakeScene) -> None:
    scene = await make_scene()
    code = "Here:\n\n```py\n" + "\n".join(f"number_{n} = {n}" for n in range(200)) + "\n```"
    async with scene.display() as display:
        await display.open("…")
        await write(display, code, step=150, pause=0.02)
        await scene.shows("number_60 ")
        await display.close(code)
    assert scene.replies[0].shown == code
    for version in scene.replies[0].versions:
        assert version.shown.count("```") % 2 == 0


async def test_a_long_answer_is_streamed_message_after_message(make_scene: MakeScene) -> None:
    scene = await make_scene()
    scene.limits = replace(LIMITS, message_chars=400)
    text = " ".join(f"word{n}" for n in range(150))
    async with scene.display() as display:
        await display.open("…")
        await write(display, text, step=60, pause=0.015)
        await scene.calls("chat.startStream", 2)
        await display.close(text)
    assert " ".join(reply.shown for reply in scene.replies) == text
    assert len(scene.replies) == 3


async def test_a_lost_response_to_the_start_makes_no_second_message(make_scene: MakeScene) -> None:
    scene = await make_scene()
    scene.slack.lose_next("chat.startStream")
    async with scene.display() as display:
        await display.open("…")
        await write(display, "Some words of an answer. ")
        await display.close("Some words of an answer.")
    assert [reply.shown for reply in scene.replies] == ["Some words of an answer."]
    assert len(scene.called("chat.startStream")) == 1
    assert len(scene.called("conversations.replies")) == 1


@pytest.mark.parametrize("readable", [True, False])
async def test_a_start_that_fails_in_slack_is_posted_next(make_scene: MakeScene, readable: bool) -> None:
    scene = await make_scene()
    scene.slack.fail_next("chat.startStream", "internal_error")
    if not readable:
        scene.slack.fail_next("conversations.replies", "missing_scope")
    async with scene.display() as display:
        await display.open("…")
        await write(display, "Some words of an answer. ")
        await display.close("Some words of an answer.")
    assert scene.methods[:3] == ["startStream", "conversations.replies", "postMessage"]
    assert [reply.shown for reply in scene.replies] == ["Some words of an answer."]


async def test_a_lost_response_to_an_append_repeats_no_text(make_scene: MakeScene) -> None:
    scene = await make_scene()
    async with scene.display() as display:
        await display.open("…")
        scene.slack.lose_next("chat.appendStream")
        await write(display, "Some words of an answer that goes on. ")
        await scene.shows("that goes on")
        await display.close("Some words of an answer that goes on.")
    assert all(version.shown.count("Some words") <= 1 for version in scene.replies[0].versions)
    assert [reply.shown for reply in scene.replies] == ["Some words of an answer that goes on."]


@pytest.mark.parametrize("method", ["chat.stopStream", "chat.update"])
@pytest.mark.parametrize("failure", ["lost", "429", "internal_error"])
async def test_the_final_text_arrives_after_any_failure(make_scene: MakeScene, method: str, failure: str) -> None:
    scene = await make_scene()
    if failure == "429":
        scene.clock = Clock(pace=1.0)
        scene.limits = Limits(11_000, 0.05, edits_per_minute=3_000)
    async with scene.display() as display:
        await display.open("…")
        await write(display, "Some words of an answer. ")
        if failure == "lost":
            scene.slack.lose_next(method)
        elif failure == "429":
            scene.slack.limit_next(method, 1)
        else:
            scene.slack.fail_next(method, failure)
        await display.close("Some words of an answer.", actions=("up",))
    (reply,) = scene.replies
    assert (reply.shown, reply.now.buttons) == ("Some words of an answer.", ["parley_up"])


async def test_after_a_crash_the_open_stream_is_stopped_and_its_message_reused(make_scene: MakeScene) -> None:
    scene = await make_scene()
    crashed = scene.display()
    await crashed.open("…")
    await write(crashed, "Half of an answer and ")
    await scene.shows("Half of an answer")
    await crashed.abandon()
    ref = scene.replies[0].ts
    async with scene.display(parts=(ref,), recorded=1) as display:
        await display.open("_Looking…_")
        await write(display, "The whole of the answer. ")
        await display.close("The whole of the answer.")
    assert [reply.shown for reply in scene.replies] == ["The whole of the answer."]


async def test_an_unrecorded_stream_is_found_after_a_crash(make_scene: MakeScene) -> None:
    scene = await make_scene()
    crashed = scene.display()
    await crashed.open("…")
    await crashed.abandon()
    async with scene.display(recorded=1) as display:
        await display.open("_Looking…_")
        await display.close("The answer.")
    assert [reply.shown for reply in scene.replies] == ["The answer."]


async def test_a_streamed_answer_can_be_removed(make_scene: MakeScene) -> None:
    scene = await make_scene()
    for by_new_process in (False, True):
        surface = scene.display()
        await surface.open("…")
        await surface.abandon()
        (reply,) = scene.replies
        remover = scene.display(parts=(reply.ts,), recorded=1) if by_new_process else surface
        await remover.remove()
        assert scene.replies == []


async def test_deleting_the_message_ends_the_display(make_scene: MakeScene) -> None:
    scene = await make_scene()
    async with scene.display() as display:
        await display.open("…")
        scene.replies[0].deleted = True
        await write(display, "Some words of an answer. ")
        await scene.slack.until(lambda: display.gone)


async def test_a_queued_question_opens_no_stream(make_scene: MakeScene) -> None:
    scene = await make_scene()
    await scene.display().say("_Many questions at once: you are next…_")
    assert scene.methods == ["postMessage"]
