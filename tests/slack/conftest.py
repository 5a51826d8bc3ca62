"""Fixtures that connect the real Slack libraries to an emulated Slack, with a scripted dispatcher."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.commands.regular_notices import NOTICE_SECONDS
from bot.commands.services import Services
from bot.config import Settings
from bot.engine.dispatch.dispatcher import Dispatcher
from bot.engine.display.workspace_pacing import WorkspacePacing
from bot.platforms.slack.app import serve
from bot.platforms.slack.installation.manifest import manifest
from tests.doubles.slack import SlackDouble
from tests.frozen_clock import FrozenClockLoop
from tests.slack.fake_dispatcher import ScriptedDispatcher

OpenSlack = Callable[..., AbstractAsyncContextManager[SlackDouble]]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run tests marked ``frozen_clock`` in a loop whose clock stops while the machine is busy with other work."""
    return {"loop": FrozenClockLoop if item.get_closest_marker("frozen_clock") else asyncio.new_event_loop}


def installed() -> dict[str, Any]:
    """Return the arguments of a double whose app is installed from the manifest."""
    app = manifest()
    return {
        "scopes": app["oauth_config"]["scopes"]["bot"],
        "events": app["settings"]["event_subscriptions"]["bot_events"],
        "commands": [entry["command"] for entry in app["features"]["slash_commands"]],
    }


def slack_settings(slack: SlackDouble, **more: Any) -> Settings:
    """Return settings for the double, independent of the environment."""
    defaults = {
        "slack_bot_token": slack.bot_token,
        "slack_app_token": slack.app_token,
        "slack_api_url": slack.api_url,
        "data_dir": Path("unused"),
        "home": ("none",),
    }
    return Settings(_env_file=None, **{**defaults, **more})


class NoDatabase:
    """Services without a database: records are discarded."""

    def __init__(self) -> None:
        self.database = self
        self.stores = SimpleNamespace(settings=self)
        self.workspace_pacing = WorkspacePacing()

    @asynccontextmanager
    async def tenant(self, tenant_id: str) -> AsyncIterator[NoDatabase]:
        yield self

    async def admins(self, tenant_id: str) -> tuple[str, ...]:
        return ()

    async def execute(self, statement: object) -> None:
        return None

    async def flush(self, tenant_id: str, *statements: object) -> list[list[object]]:
        """Every statement affects one row, so every request over HTTP counts as new."""
        return [[(statement,)] for statement in statements]


@asynccontextmanager
async def serving(
    slack: SlackDouble, dispatcher: object, services: object = None, **settings: Any
) -> AsyncIterator[None]:
    """Run the Slack platform; cancel it and wait for it at the end."""
    ready = asyncio.Event()
    task = asyncio.create_task(
        serve(
            cast(Dispatcher, dispatcher),
            cast(Services, services or NoDatabase()),
            slack_settings(slack, **settings),
            ready=ready,
            maintenance_seconds=0.1,
            notice_seconds=0.1 if services else NOTICE_SECONDS,
        )
    )
    ready_task = asyncio.create_task(ready.wait())
    await asyncio.wait({task, ready_task}, return_when=asyncio.FIRST_COMPLETED)
    ready_task.cancel()
    if task.done():
        task.result()
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture(autouse=True)
def _unhurried(unhurried_acceptance: None) -> None:
    """No test here is about a slow database; those are in ``tests/parity``."""


@pytest.fixture
async def slack() -> AsyncIterator[SlackDouble]:
    """A workspace with the app installed from its manifest."""
    async with SlackDouble(**installed()) as double:
        yield double


@pytest.fixture
async def dispatcher(slack: SlackDouble) -> AsyncIterator[ScriptedDispatcher]:
    """A scripted dispatcher that serves the workspace."""
    scripted = ScriptedDispatcher()
    async with serving(slack, scripted):
        yield scripted
    await scripted.close()


@pytest.fixture
async def failing_once() -> AsyncIterator[tuple[SlackDouble, ScriptedDispatcher]]:
    """A workspace that redelivers quickly, and a dispatcher that fails the first time."""
    async with SlackDouble(**installed(), ack_seconds=0.4, pace=100.0) as double:
        scripted = ScriptedDispatcher()
        scripted.failures = 1
        async with serving(double, scripted):
            yield double, scripted
        await scripted.close()
