"""A conversation of ten turns: long, stopped, edited and interrupted answers. ``pytest -s`` prints the transcript."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.discord_bot.conftest import FAST_LIMITS
from tests.discord_bot.test_end_to_end import finished, ingest, running
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_models import Channel, Message, User
from tests.doubles.models import ModelDouble
from tests.scripted_model import LAST, LONG, PATIENCE, ScriptedModel, cadence

LAST_QUESTIONS = (
    "and parental leave?",
    "thanks, and meals on a journey?",
    "who books travel?",
    "sum it up",
)
PARTS = 10


@pytest.mark.timeout(600)
async def test_ten_turns(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.engine.answer.finish.GOODBYE_SECONDS", 60.0)
    more = {"answer_tokens": 16_000, "router": "cheap", "daily_tokens": 10_000_000, **PATIENCE}
    async with DiscordDouble(limits=FAST_LIMITS) as discord, ModelDouble() as models:
        general, ada = discord.channel("general"), discord.user("Ada")
        models.script = model = ScriptedModel()
        async with running(discord, database_url, tmp_path, models, **more) as app:
            await ingest(discord, general, ada)
            root = await discord.say(general, ada, f"{discord.bot.mention} how many days of paid leave do I have?")
            await _wait_for_answers(discord, root, 1)
            thread = discord.thread(root)
            assert thread is not None
            await discord.say(thread, discord.user("Bob"), "and interns?")
            await _wait_for_answers(discord, root, 2)
            await discord.say(thread, ada, "write everything down at length")
            await _wait_for_answers(discord, root, 3)
            slow = await _ask_and_wait_for_draft(discord, thread, ada, "count slowly")
            await discord.click("Stop", slow, ada)
            await discord.until(lambda: "Stopped" in slow.content)
            typo = await discord.say(thread, ada, "what is the deadlin?")
            await _wait_for_answers(discord, root, 4)
            await discord.update(typo, {"content": "what is the deadline?"}, [])
            await discord.until(lambda: any("deadline?" in one.content for one in finished(discord, root)))
            story = await _ask_and_wait_for_draft(discord, thread, ada, "tell me a story")
            await app.dispatcher.close(grace=0.0)
        assert "Interrupted" in story.content
        model.restarted.set()
        async with running(discord, database_url, tmp_path, models, **more):
            await _wait_for_answers(discord, root, 5)
            for count, question in enumerate(LAST_QUESTIONS, 6):
                await discord.say(thread, ada, question)
                await _wait_for_answers(discord, root, count)
        assert discord.violations == []
        answers = discord.answers(root)
        print(discord.transcript())
        for message in answers:
            print(f"{message.id}: {message.edits} edits, seconds between them {cadence(message.versions)}")
        patches = sum(method == "PATCH" and "/messages/" in path for method, path in discord.rest.calls)
        refused = sum(status == 429 for *_, status in discord.rest.refusals)
        print(f"{patches} edits in all, {refused} refused")

    assert LAST not in slow.content
    assert LAST in story.content
    _assert_complete(answers)


def _assert_complete(answers: list[Message]) -> None:
    """Assert that the long answer is ten messages in order, and that the file has all of it."""
    assert len(LONG) > 30_000
    parts = [one for one in answers if "Chapter" in one.content or "of chapter" in one.content]
    assert len(parts) == PARTS
    shown = "\n".join(one.content for one in parts)
    numbers = [number for number in range(30) if f"Chapter {number}\n" in shown]
    assert numbers == list(range(len(numbers)))
    assert [shown.count(f"## Chapter {number}\n") for number in numbers] == [1] * len(numbers)
    assert "The attached file has the full text" in parts[-1].content + parts[-1].embed_text()
    (file,) = [file for one in answers for file in one.attachments]
    text = file.data.decode()
    assert [text.count(f"## Chapter {number}\n") for number in range(30)] == [1] * 30


async def _wait_for_answers(discord: DiscordDouble, root: Message, count: int) -> None:
    await discord.until(lambda: len(finished(discord, root)) == count)


async def _ask_and_wait_for_draft(discord: DiscordDouble, thread: Channel, ada: User, text: str) -> Message:
    """Ask, and return the running answer once a part of it is shown."""

    def drafts() -> list[Message]:
        return [one for one in discord.answers(thread) if "Stop" in one.buttons() and "number" in one.content]

    await discord.say(thread, ada, text)
    await discord.until(drafts)
    return drafts()[-1]
