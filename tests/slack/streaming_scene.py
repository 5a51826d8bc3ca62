"""Sets the scene for native streams in a test: a question, displays for its answer, and a clock at Slack's pace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.engine.display.stream import Display
from bot.platforms.slack.stream_policy import Mode, StreamPolicy
from bot.platforms.slack.surface import LIMITS, SlackSurface
from bot.types.display import Limits
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import TEAM, Message
from tests.slack.conftest import installed

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
