"""The Discord part of ``parley up`` fails in the middle of an answer. The answer is not lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.app.test_supervised_process import SECONDS, Process, up
from tests.discord_bot.conftest import FAST_LIMITS
from tests.discord_bot.test_end_to_end import finished, ingest
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_models import Message
from tests.doubles.models import ModelDouble, Reply, Seen

ANSWER = "Travel is booked through the portal, well before the journey. " * 6


@dataclass
class Scene:
    """Discord and a model whose answers stop in the middle until ``go_on``."""

    discord: DiscordDouble
    models: ModelDouble
    go_on: asyncio.Event

    @property
    def settings(self) -> dict[str, str]:
        return {
            "DISCORD_TOKEN": self.discord.token,
            "DISCORD_API_URL": self.discord.api_url,
            "DISCORD_GATEWAY_URL": self.discord.gateway_url,
            "ANTHROPIC_API_KEY": self.models.anthropic_key,
            "ANTHROPIC_BASE_URL": self.models.anthropic_url,
            "OPENAI_API_KEY": self.models.openai_key,
            "OPENAI_BASE_URL": self.models.openai_url,
            "PARLEY_EMBEDDING_MODEL": "text-embedding-3-small",
            "PARLEY_RERANKER": "none",
        }

    async def ask(self, process: Process) -> Message:
        """Ask a question and wait until its answer is half shown."""
        await process.until("/readyz", 200)
        general, ada = self.discord.channel("general"), self.discord.user("Ada", admin=True)
        await ingest(self.discord, general, ada)
        asked = await self.discord.say(general, ada, f"{self.discord.bot.mention} how is travel booked?")
        await self.discord.until(lambda: any("portal" in one.content for one in self.discord.answers(asked)))
        return asked

    async def answered(self, asked: Message) -> None:
        """Wait for the whole answer, and check that it is shown once."""
        await self.discord.until(lambda: bool(finished(self.discord, asked)))
        assert [one.content for one in self.discord.answers(asked)] == [ANSWER.strip()]

    @property
    def written(self) -> int:
        """The number of answers that the model has begun."""
        return len([seen for seen in self.models.requests if "travel booked" in str(seen.messages)])


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    go_on = asyncio.Event()

    def write(_: Seen) -> Reply:
        return Reply(ANSWER, after=4, held=go_on)

    async with DiscordDouble(limits=FAST_LIMITS) as discord, ModelDouble() as models:
        discord.channel("general")
        models.script = write
        yield Scene(discord, models, go_on)


async def test_a_part_that_fails_in_the_middle_of_an_answer_starts_again_and_the_answer_is_completed(
    scene: Scene, database_url: str, tmp_path: Path
) -> None:
    async with up(tmp_path, database_url, **scene.settings) as process:
        asked = await scene.ask(process)
        scene.discord.gateway.broken_sessions = 1
        scene.discord.gateway.end_sessions(0)
        await process.until("/readyz", 503, "discord")
        scene.go_on.set()
        await scene.answered(asked)
        await process.until("/readyz", 200)
        assert scene.written == 1
        assert any("discord failed and starts again in 1 s" in line for line in process.said)


async def test_a_part_that_fails_for_good_in_the_middle_of_an_answer_leaves_it_to_the_next_process(
    scene: Scene, database_url: str, tmp_path: Path
) -> None:
    async with up(tmp_path, database_url, **scene.settings) as process:
        asked = await scene.ask(process)
        token, scene.discord.token = scene.discord.token, "another-token"
        scene.discord.gateway.end_sessions(0)
        async with asyncio.timeout(SECONDS):
            await process.process.wait()
        assert process.process.returncode == 1
        assert any("discord cannot run" in line for line in process.said)
    scene.discord.token = token
    scene.go_on.set()
    async with up(tmp_path, database_url, **scene.settings):
        await scene.answered(asked)
