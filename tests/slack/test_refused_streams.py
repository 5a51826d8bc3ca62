"""Where answers are native streams: the setting, refusals by Slack, and its limits."""

from __future__ import annotations

import pytest

from bot.platforms.slack.stream_policy import Mode
from tests.slack.streaming_scene import MakeScene, make_scene

__all__ = ["make_scene"]

pytestmark = pytest.mark.frozen_clock


@pytest.mark.parametrize("mode", ["off", "direct"])
async def test_streams_follow_the_setting(make_scene: MakeScene, mode: Mode) -> None:
    scene = await make_scene(mode)
    async with scene.display() as display:
        await display.open("…")
        await display.close("Done.")
    assert scene.methods == ["postMessage", "update"]


@pytest.mark.parametrize("error", ["unknown_method", "missing_scope", "not_subscribed_to_message_stream_stopped"])
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


async def test_a_queued_question_opens_no_stream(make_scene: MakeScene) -> None:
    scene = await make_scene()
    await scene.display().say("_Many questions at once: you are next…_")
    assert scene.methods == ["postMessage"]
