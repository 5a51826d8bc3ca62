"""The same dialogs on Slack and on Discord: real libraries over real sockets, the real engine, a real Postgres."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.app import App
from bot.types.conversation import LOCAL_TENANT
from tests.discord_bot import test_end_to_end as on_discord
from tests.discord_bot.conftest import BRISK
from tests.doubles.discord import DiscordDouble
from tests.doubles.models import ModelDouble, Reply
from tests.doubles.models_replies import Seen
from tests.doubles.slack import SlackDouble
from tests.parity import dialogs
from tests.parity.dialogs import DIALOGS, Step
from tests.parity.platform_drivers import DiscordStage, PlatformDriver, Shown, SlackStage
from tests.slack import test_end_to_end as on_slack
from tests.slack.conftest import installed

STEPS = "\n".join(f"{n}. Step {n} of the way to book a journey, told at some length. [1]" for n in range(1, 121))
LONG = f"Travel is booked like this.\n\n{STEPS}\n\n```python\n" + "book('a journey')\n" * 60 + "```\n\nThat is all. [1]"
SLOW = "Travel is booked through the portal. [1] " + "It takes a while to tell. " * 40 + "These are the last words."


ANSWERS = {
    "parental leave": "Parents take 16 weeks of parental leave at full pay.",
    "interns": "Interns have 20 days of paid leave.",
    "meals": "Meals on a journey are paid up to 40 euros a day.",
    "paid leave": "Everybody at Lanternfish has 30 days of paid leave a year.",
}


def script(seen: Seen) -> Reply:
    """Answers from the document, at the length and the pace that the question asks for."""
    asked = seen.messages[-1][1] if seen.messages else ""
    if "tell me at length" in asked:
        return Reply(LONG, piece=400)
    if "tell me slowly" in asked:
        return Reply(SLOW, piece=20, after=10, held=asyncio.Event())
    question = asked.rpartition("</passages>")[2]
    said = next((answer for word, answer in ANSWERS.items() if word in question), "I do not know.")
    return Reply(f"{said} [1]\n\nSaid by the {'strong' if _is_strong(seen) else 'cheap'} model.")


def _is_strong(seen: Seen) -> bool:
    return "haiku" not in seen.model and "mini" not in seen.model and "nano" not in seen.model


@pytest.fixture
async def models() -> AsyncIterator[ModelDouble]:
    async with ModelDouble() as double:
        double.script = script
        yield double


class Play:
    """Plays a dialog, step by step; each thing to be seen is waited for."""

    def __init__(self, stage: PlatformDriver, app: App, told_before: dict[str, int]) -> None:
        self._stage = stage
        self._app = app
        self._told_before = told_before

    async def step(self, step: Step) -> None:
        """Do it, or wait until it is seen. Raises AssertionError with the transcript."""
        stage = self._stage
        match step:
            case dialogs.Says():
                await stage.say(step.name, step.who, step.text, below=step.below, mention=step.mention)
            case dialogs.Changes():
                await stage.change(step.name, step.text)
            case dialogs.TakesBack():
                await stage.take_back(step.name)
            case dialogs.Presses():
                await stage.press(step.who, step.action, step.below, step.at)
            case dialogs.Explains():
                await stage.explain(step.who, step.text)
            case _:
                await self._until(step)

    async def _seen(self, step: Step) -> bool:
        match step:
            case dialogs.Kept():
                return await self._kept(step)
            case dialogs.Sees():
                done = self._done(step.below)
                return len(done) == step.count and step.text in done[-1].text
            case dialogs.Begins():
                return any(step.text in one.text and "stop" in one.actions for one in self._stage.shown(step.below))
            case dialogs.Stands():
                shown = self._stage.shown(step.below)
                ended = bool(shown) and not any("stop" in one.actions for one in shown)
                return ended and step.text in shown[-1].text and not (step.lacks and step.lacks in shown[-1].text)
            case dialogs.Vanishes():
                return not self._stage.shown(step.below)
            case dialogs.Whole():
                return self._whole(step)
            case dialogs.IsTold():
                before = self._told_before.get(step.who, 0)
                return any(step.text in one for one in self._stage.private(step.who)[before:])
        raise AssertionError(step)

    def _whole(self, step: dialogs.Whole) -> bool:
        if not self._done(step.below):
            return False
        shown = self._stage.shown(step.below)
        said = "\n".join(one.text for one in shown)
        numbers = [int(number) for number in re.findall(r"Step (\d+) of", said)]
        assert numbers == list(range(1, step.steps + 1))
        assert said.count("book('a journey')") == 60
        assert [one.text.count("```") % 2 for one in shown] == [0] * len(shown)
        assert [bool(one.actions) for one in shown] == [False] * (len(shown) - 1) + [True]
        return True

    def _done(self, below: str) -> list[Shown]:
        return [one for one in self._stage.shown(below) if "up" in one.actions]

    async def _kept(self, step: dialogs.Kept) -> bool:
        async with self._app.database.tenant(LOCAL_TENANT) as session:
            found = await session.execute(text("SELECT value, reason FROM feedback"))
            return (step.value, step.reason) in {(row.value, row.reason) for row in found}

    async def _until(self, step: Step, timeout: float = 120) -> None:
        end = time.monotonic() + timeout
        while not await self._seen(step):
            assert time.monotonic() < end, f"not seen: {step}\n{self._stage.transcript()}"
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("platform", ["slack", "discord"])
async def test_every_dialog_goes_alike(platform: str, models: ModelDouble, database_url: str, tmp_path: Path) -> None:
    keys = {
        "anthropic_api_key": models.anthropic_key,
        "anthropic_base_url": models.anthropic_url,
        "openai_api_key": models.openai_key,
        "openai_base_url": models.openai_url,
        "embedding_model": "text-embedding-3-small",
        "answer_tokens": 12_000,
    }
    async with AsyncExitStack() as stack:
        stage: PlatformDriver
        if platform == "slack":
            slack = await stack.enter_async_context(SlackDouble(**installed()))
            app = await stack.enter_async_context(on_slack.running(slack, database_url, tmp_path, **keys))
            await on_slack.ingest_document(slack)
            stage = SlackStage(slack)
        else:
            discord = await stack.enter_async_context(DiscordDouble(limits=BRISK))
            discord.channel("general")
            app = await stack.enter_async_context(on_discord.running(discord, database_url, tmp_path, models))
            await on_discord.ingest(discord, discord.channel("general"), discord.user("ada", admin=True))
            stage = DiscordStage(discord)
        for name, steps in DIALOGS.items():
            print(f"--- {name}")
            told = {who: len(stage.private(who)) for who in ("alice", "bob", "ada")}
            play = Play(stage, app, told)
            for step in steps:
                await play.step(step)
    print(stage.transcript())
