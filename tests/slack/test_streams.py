"""Answers as native streams: what is appended, and what the message shows at the end."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from bot.engine.display.urls import urls_in
from bot.platforms.slack.surface import LIMITS
from tests.doubles.slack_world import TEAM, Message
from tests.slack.streaming_scene import MakeScene, make_scene, write

__all__ = ["make_scene"]

pytestmark = pytest.mark.frozen_clock


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
