"""Fixtures: the Discord double, and the bot connected to it with a scripted dispatcher and a few commands."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import SimpleNamespace
from typing import cast

import pytest

from bot.commands.base import Command, Context, File, Reply, Table
from bot.commands.services import Services
from bot.config import Settings, load
from bot.engine.dispatch.dispatcher import Dispatcher
from bot.errors import UsageError
from bot.platforms.discord.app import serve
from bot.platforms.discord.command_runner import Commands
from tests.discord_bot.fake_dispatcher import ScriptedDispatcher
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_models import Channel, User

Connect = Callable[[], Awaitable[None]]

FAST_LIMITS = {
    "POST /channels/{channel_id}/messages": (5, 0.5),
    "PATCH /channels/{channel_id}/messages/{message_id}": (5, 0.5),
}
"""Discord's rate limits with windows ten times shorter, so that tests wait less."""


@pytest.fixture(autouse=True)
def _unhurried(unhurried_acceptance: None) -> None:
    """No test here is about a slow database; those are in ``tests/parity``."""


@pytest.fixture
async def discord() -> AsyncIterator[DiscordDouble]:
    """A Discord with one channel. A violation of its rules fails the test."""
    async with DiscordDouble(limits=FAST_LIMITS) as double:
        double.channel("general")
        yield double
    assert double.violations == []


@pytest.fixture
def general(discord: DiscordDouble) -> Channel:
    return discord.channel("general")


@pytest.fixture
def ada(discord: DiscordDouble) -> User:
    return discord.user("Ada")


@pytest.fixture
async def dispatcher() -> AsyncIterator[ScriptedDispatcher]:
    scripted = ScriptedDispatcher()
    yield scripted
    await scripted.close(grace=0.0)


@pytest.fixture
def settings(discord: DiscordDouble) -> Settings:
    return settings_for(discord)


def settings_for(discord: DiscordDouble, **others: object) -> Settings:
    """Return settings that point the bot at the double."""
    values: dict[str, object] = {
        "discord_token": discord.token,
        "discord_api_url": discord.api_url,
        "discord_gateway_url": discord.gateway_url,
        "home": ("none",),
    }
    return load(**(values | others))


@pytest.fixture
async def connect(discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings) -> AsyncIterator[Connect]:
    """Return a function that connects the bot after the test has set up the double. It is disconnected at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def start() -> None:
            await stack.enter_async_context(serving(discord, dispatcher, settings))

        yield start


@contextlib.asynccontextmanager
async def serving(
    discord: DiscordDouble,
    dispatcher: ScriptedDispatcher,
    settings: Settings,
    *,
    ready: asyncio.Event | None = None,
    commands: Commands | None = None,
) -> AsyncIterator[asyncio.Task[None]]:
    """Serve the bot until the block ends, then cancel it as the process does."""
    stores = SimpleNamespace(settings=dispatcher)
    services = cast(Services, SimpleNamespace(stores=stores))
    chosen = commands or FakeCommands()
    task = asyncio.create_task(serve(cast(Dispatcher, dispatcher), services, settings, ready=ready, commands=chosen))
    try:
        await discord.connected(task)
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


# --- commands without services


async def _budget(context: Context, arguments: str) -> Reply:
    return Reply(f"{context.author.name} has 1,000 of 200,000 tokens in {context.tenant_id}/{context.channel_id}.")


async def _costs(context: Context, arguments: str) -> Reply:
    if arguments == "nonsense":
        raise UsageError("costs takes a number of days, for example: costs 7d")
    rows = [(f"user {number}", number * 1000, number / 3) for number in range(1, 4)]
    chart = File("costs.png", b"\x89PNG", "image/png")
    return Reply("Costs of the last 30 days", table=Table(("who", "tokens", "usd"), rows), file=chart)


async def _ingest(context: Context, arguments: str) -> Reply:
    read = [f"{file.name} ({file.content_type}): {(await file.read()).decode()}" for file in context.attachments]
    await context.update("reading ...")
    return Reply(" ".join(["Added", *arguments.split(), *read]), private=False)


async def _why(context: Context, arguments: str) -> Reply:
    return Reply(f"{arguments} was answered by the cheap model, asked in thread {context.thread_id}.")


async def _ask(context: Context, arguments: str) -> Reply:
    return Reply(f"You asked: {arguments}", shareable=True)


async def _stop(context: Context, arguments: str) -> Reply:
    return Reply("Stopped.", private=False)


async def _broken(context: Context, arguments: str) -> Reply:
    raise RuntimeError("a secret detail")


COMMANDS = {
    command.name: command
    for command in (
        Command("ask", "answers you alone", "QUESTION", _ask),
        Command("budget", "What is left of your tokens today", "", _budget),
        Command("costs", "What it costs", "[DAYS]", _costs, admin=True),
        Command("ingest", "Add a document", "URL", _ingest),
        Command("why", "Where an answer comes from", "[TURN]", _why),
        Command("stop", "Stop the answer in this thread", "", _stop),
        Command("broken", "Always fails", "", _broken),
    )
}


class FakeCommands:
    """A fake with the shape of the module ``bot.commands``."""

    def __init__(self, commands: Mapping[str, Command] = COMMANDS) -> None:
        self.COMMANDS = commands

    def match(self, text: str) -> tuple[str, str] | None:
        """Match a message of one or two words that starts with a command's name."""
        name, _, rest = text.partition(" ")
        if name.startswith("/") and not rest:
            return name[1:], ""
        return (name.lower(), rest) if name.lower() in self.COMMANDS and len(rest.split()) <= 1 else None

    async def run(self, name: str, args: str, ctx: Context) -> Reply:
        if name not in self.COMMANDS:
            raise UsageError(f"There is no command “{name}”.")
        return await self.COMMANDS[name].run(ctx, args)
