"""A conversation of ten turns as a channel reader sees it; ``pytest -s`` prints it with the time of each edit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.doubles.models import ModelDouble
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import Message
from tests.scripted_model import LAST, LONG, PATIENCE, ScriptedModel, cadence
from tests.slack.conftest import installed
from tests.slack.test_end_to_end import finished, ingest_document, running

QUESTIONS = (
    "how many days of paid leave do I have?",
    "and interns?",
    "write everything down at length",
    "count slowly",
    "what is the deadlin?",
    "tell me a story",
    "and parental leave?",
    "thanks, and meals on a journey?",
    "who books travel?",
    "sum it up",
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("streams", [True, False], ids=["streams", "edits"])
async def test_ten_turns(streams: bool, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.engine.answer.finish.GOODBYE_SECONDS", 60.0)
    async with SlackDouble(**installed(), streams=streams) as slack, ModelDouble() as models:
        models.script = script = ScriptedModel()
        keys: dict[str, Any] = {
            "anthropic_api_key": models.anthropic_key,
            "anthropic_base_url": models.anthropic_url,
            "answer_tokens": 16_000,
            "router": "cheap",
            "daily_tokens": 10_000_000,
            "shutdown_seconds": 3.1,
            **PATIENCE,
        }
        async with running(slack, database_url, tmp_path, **keys):
            await ingest_document(slack)
            root = await slack.say("general", "alice", f"{slack.bot} {QUESTIONS[0]}")
            await _answered(slack, root, 1)
            await slack.say("general", "bob", QUESTIONS[1], root.ts)
            await _answered(slack, root, 2)
            await slack.say("general", "alice", QUESTIONS[2], root.ts)
            await _answered(slack, root, 3)
            await slack.say("general", "alice", QUESTIONS[3], root.ts)
            slow = await _running(slack, root)
            await slack.click("parley_stop", slow, "alice")
            await slack.until(lambda: "Stopped" in slow.shown)
            typo = await slack.say("general", "alice", QUESTIONS[4], root.ts)
            await _answered(slack, root, 4)
            await slack.edit(typo, "what is the deadline?")
            await slack.until(lambda: any("deadline?" in reply.shown for reply in finished(slack, root)))
            await slack.say("general", "alice", QUESTIONS[5], root.ts)
            story = await _running(slack, root)
        assert "Interrupted" in story.shown
        script.restarted.set()
        async with running(slack, database_url, tmp_path, **keys):
            await _answered(slack, root, 5)
            for n, question in enumerate(QUESTIONS[6:], 6):
                await slack.say("general", "alice", question, root.ts)
                await _answered(slack, root, n)
    print(slack.transcript(versions=True))
    replies = slack.replies(root)
    for reply in replies:
        print(f"{reply.ts}: {reply.edits} edits, seconds between them {cadence(reply.versions)}")
    for method in ("postMessage", "startStream", "appendStream", "stopStream", "update"):
        print(f"chat.{method}: {called(slack, f'chat.{method}')} calls")

    assert LAST in story.shown
    assert LAST not in slow.shown
    long = [reply for reply in replies if "Chapter" in reply.shown]
    text = "\n".join(reply.shown for reply in long)
    assert [text.count(f"Chapter {n}\n") for n in range(30)] == [1] * 30
    assert len(long) == 3, "30,000 characters in parts of at most 11,000"
    assert len(LONG) > 30_000
    assert len(finished(slack, root)) == 9
    assert called(slack, "chat.startStream") >= (10 if streams else 1)
    assert called(slack, "chat.update") >= len(replies)
    if streams:
        assert called(slack, "chat.appendStream")
        assert not [message for message in replies if message.stream and not message.stream.stopped]


def called(slack: SlackDouble, method: str) -> int:
    """Return how often the bot called a Slack method."""
    return [name for name, _ in slack.calls].count(method)


async def _answered(slack: SlackDouble, root: Message, count: int) -> None:
    await slack.until(lambda: len(finished(slack, root)) == count)


async def _running(slack: SlackDouble, root: Message) -> Message:
    """Return the answer in progress once some of it is visible."""

    def written() -> list[Message]:
        return [reply for reply in slack.replies(root) if reply.now.buttons == ["parley_stop"] and reply.edits]

    await slack.until(written)
    return written()[-1]
