"""Native streams that end early, lost responses and crashes: the answer continues in the same message."""

from __future__ import annotations

import pytest

from bot.platforms.slack.stream_policy import Mode
from bot.types.display import Limits, Part
from tests.slack.streaming_scene import Clock, MakeScene, make_scene, write

__all__ = ["make_scene"]

pytestmark = pytest.mark.frozen_clock


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


@pytest.mark.parametrize("mode", ["off", "everywhere"])
async def test_a_post_of_a_dead_process_that_arrives_late_is_removed(make_scene: MakeScene, mode: Mode) -> None:
    scene = await make_scene(mode)
    nonce = "t1:0"
    dead, alive = scene.surface(), scene.surface()
    placeholder = Part("Searching…", nonce, "t1", actions=("stop",), waiting=True, settled=0)
    assert await alive.find(nonce) is None, "the dead process's post is still on its way"
    ref = await alive.post(placeholder)
    await dead.post(placeholder)
    assert len(scene.replies) == 2
    await alive.edit(ref, Part("Thirty days.", nonce, "t1", final=True))
    assert [reply.shown for reply in scene.replies] == ["Thirty days."]


async def test_a_copy_of_a_final_text_that_is_posted_without_a_draft_is_removed(make_scene: MakeScene) -> None:
    scene = await make_scene("off")
    dead, alive = scene.surface(), scene.surface()
    answer = Part("Thirty days.", "t1:0", "t1", final=True)
    assert await alive.find(answer.nonce) is None, "the dead process's post is still on its way"
    await dead.post(answer)
    await alive.post(answer)
    assert [reply.shown for reply in scene.replies] == ["Thirty days."]
