"""Runs the same dialogs on Slack and on Discord: real libraries and sockets, the real engine, a real PostgreSQL."""

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
from tests.discord_bot.conftest import FAST_LIMITS
from tests.doubles.discord import DiscordDouble
from tests.doubles.models import ModelDouble, Reply
from tests.doubles.models_replies import Seen
from tests.doubles.slack import SlackDouble
from tests.parity import dialogs
from tests.parity.dialogs import DIALOGS, Step
from tests.parity.platform_drivers import DiscordDriver, PlatformDriver, Shown, SlackDriver
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
    """Answer from the document, as long and as slowly as the question asks."""
    asked = seen.messages[-1][1] if seen.messages else ""
    if "tell me at length" in asked:
        return Reply(LONG, piece=400)
    if "tell me slowly" in asked:
        return Reply(SLOW, piece=20, after=10, held=asyncio.Event())
    question = asked.rpartition("</passages")[2]
    answer = next((answer for word, answer in ANSWERS.items() if word in question), "I do not know.")
    return Reply(f"{answer} [1]\n\nSaid by the {'strong' if _is_strong(seen) else 'cheap'} model.")


def _is_strong(seen: Seen) -> bool:
    return "haiku" not in seen.model and "mini" not in seen.model and "nano" not in seen.model


@pytest.fixture
async def models() -> AsyncIterator[ModelDouble]:
    async with ModelDouble() as double:
        double.script = script
        yield double


class DialogRunner:
    """Runs a dialog step by step, and waits until each expectation is met."""

    def __init__(self, driver: PlatformDriver, app: App, private_before: dict[str, int]) -> None:
        self._driver = driver
        self._app = app
        self._private_before = private_before

    async def step(self, step: Step) -> None:
        """Do an action, or wait for an expectation. Raises AssertionError with the transcript."""
        driver = self._driver
        match step:
            case dialogs.Say():
                await driver.say(step.name, step.who, step.text, below=step.below, mention=step.mention)
            case dialogs.Edit():
                await driver.edit(step.name, step.text)
            case dialogs.Delete():
                await driver.delete(step.name)
            case dialogs.Press():
                await driver.press(step.who, step.action, step.below, step.at)
            case dialogs.GiveReason():
                await driver.give_reason(step.who, step.text)
            case _:
                await self._wait_for(step)

    async def _is_met(self, step: Step) -> bool:
        match step:
            case dialogs.FeedbackStored():
                return await self._is_stored(step)
            case dialogs.AnswerShown():
                finished = self._finished(step.below)
                return len(finished) == step.count and step.text in finished[-1].text
            case dialogs.DraftShown():
                return any(step.text in one.text and "stop" in one.actions for one in self._driver.shown(step.below))
            case dialogs.AnswerEnded():
                shown = self._driver.shown(step.below)
                ended = bool(shown) and not any("stop" in one.actions for one in shown)
                return ended and step.text in shown[-1].text and not (step.lacks and step.lacks in shown[-1].text)
            case dialogs.NothingShown():
                return not self._driver.shown(step.below)
            case dialogs.CompleteAnswer():
                return self._is_complete(step)
            case dialogs.PrivateMessage():
                before = self._private_before.get(step.who, 0)
                return any(step.text in one for one in self._driver.private(step.who)[before:])
        raise AssertionError(step)

    def _is_complete(self, step: dialogs.CompleteAnswer) -> bool:
        if not self._finished(step.below):
            return False
        shown = self._driver.shown(step.below)
        text = "\n".join(one.text for one in shown)
        numbers = [int(number) for number in re.findall(r"Step (\d+) of", text)]
        assert numbers == list(range(1, step.steps + 1))
        assert text.count("book('a journey')") == 60
        assert [one.text.count("```") % 2 for one in shown] == [0] * len(shown)
        assert [bool(one.actions) for one in shown] == [False] * (len(shown) - 1) + [True]
        return True

    def _finished(self, below: str) -> list[Shown]:
        return [one for one in self._driver.shown(below) if "up" in one.actions]

    async def _is_stored(self, step: dialogs.FeedbackStored) -> bool:
        async with self._app.database.tenant(LOCAL_TENANT) as session:
            found = await session.execute(text("SELECT value, reason FROM feedback"))
            return (step.value, step.reason) in {(row.value, row.reason) for row in found}

    async def _wait_for(self, step: Step, timeout: float = 120) -> None:
        end = time.monotonic() + timeout
        while not await self._is_met(step):
            assert time.monotonic() < end, f"not met: {step}\n{self._driver.transcript()}"
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("platform", ["slack", "discord"])
async def test_every_dialog_works_on_both_platforms(
    platform: str, models: ModelDouble, database_url: str, tmp_path: Path
) -> None:
    keys = {
        "anthropic_api_key": models.anthropic_key,
        "anthropic_base_url": models.anthropic_url,
        "openai_api_key": models.openai_key,
        "openai_base_url": models.openai_url,
        "embedding_model": "text-embedding-3-small",
        "answer_tokens": 12_000,
    }
    async with AsyncExitStack() as stack:
        driver: PlatformDriver
        if platform == "slack":
            slack = await stack.enter_async_context(SlackDouble(**installed()))
            app = await stack.enter_async_context(on_slack.running(slack, database_url, tmp_path, **keys))
            await on_slack.ingest_document(slack)
            driver = SlackDriver(slack)
        else:
            discord = await stack.enter_async_context(DiscordDouble(limits=FAST_LIMITS))
            discord.channel("general")
            app = await stack.enter_async_context(on_discord.running(discord, database_url, tmp_path, models))
            await on_discord.ingest(discord, discord.channel("general"), discord.user("ada", admin=True))
            driver = DiscordDriver(discord)
        for name, steps in DIALOGS.items():
            print(f"--- {name}")
            private = {who: len(driver.private(who)) for who in ("alice", "bob", "ada")}
            runner = DialogRunner(driver, app, private)
            for step in steps:
                await runner.step(step)
    print(driver.transcript())
