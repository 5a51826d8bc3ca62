"""``up``, ``slack``, ``discord``, ``web`` and ``worker``: the parts that run until they are stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from bot.cli.command_runtime import run, settings
from bot.config import Settings
from bot.errors import ConfigError

if TYPE_CHECKING:
    from bot.app import App

Part = Callable[["App"], Coroutine[Any, Any, None]]

host_option = click.option("--host", default="127.0.0.1", show_default=True)
port_option = click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))


@click.command()
@host_option
@port_option
@click.option("--sample", is_flag=True, help="Take in the sample handbook first.")
def up(host: str, port: int, sample: bool) -> None:
    """Run the playground, the worker and every platform that has a token."""
    made = settings()
    _until_stopped(_up(made, host, port, sample))


@click.command()
def slack() -> None:
    """Run the Slack part alone."""
    made = settings()
    if not made.has_slack:
        raise ConfigError("SLACK_BOT_TOKEN and SLACK_APP_TOKEN are not set; 'parley manifest slack' begins the set-up.")
    _until_stopped(_serve(made, [_slack]))


@click.command()
def discord() -> None:
    """Run the Discord part alone."""
    made = settings()
    if not made.discord_token:
        raise ConfigError("DISCORD_TOKEN is not set; docs/discord.md shows where it comes from.")
    _until_stopped(_serve(made, [_discord]))


@click.command()
@host_option
@port_option
def web(host: str, port: int) -> None:
    """Run the browser playground alone."""
    _until_stopped(_serve(settings(), [_web(host, port)]))


@click.command()
def worker() -> None:
    """Run the background work alone."""
    _until_stopped(_serve(settings(), [_worker]))


def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Serve until Ctrl-C or SIGTERM, which is how serving ends: exit status 0."""
    try:
        run(work)
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)


async def _up(made: Settings, host: str, port: int, sample: bool) -> None:
    from bot.cli import progress

    parts: list[Part] = [_web(host, port, sample=sample), _worker]
    if made.has_slack:
        parts.append(_slack)
    if made.discord_token:
        parts.append(_discord)
    with progress.steps() as steps:
        step = steps.begin("Starting the database and bringing its schema up to date")
        await _serve(made, parts, before=_prepare(steps, step, sample), steps=nullcontext())


def _prepare(steps: Any, step: Any, sample: bool) -> Part:
    async def prepare(app: App) -> None:
        steps.end(step)
        if sample:
            await steps.ingest_sample(app)
        steps.close()

    return prepare


async def _serve(
    made: Settings, parts: list[Part], before: Part | None = None, steps: AbstractContextManager[Any] | None = None
) -> None:
    from bot.app import open_app

    with steps or nullcontext():
        async with open_app(made, warm=True) as app:
            if before is not None:
                await before(app)
            async with asyncio.TaskGroup() as group:
                for part in parts:
                    group.create_task(part(app))


async def _slack(app: App) -> None:
    from bot.platforms.slack.app import serve

    await serve(app.dispatcher, app.services, app.settings, ready=_said("Slack is connected."))


async def _discord(app: App) -> None:
    from bot.platforms.discord.app import serve

    await serve(app.dispatcher, app.services, app.settings, ready=_said("Discord is connected."))


def _web(host: str, port: int, *, sample: bool = False) -> Part:
    async def part(app: App) -> None:
        from bot.cli import progress
        from bot.platforms.web.app import serve

        await serve(
            app.dispatcher,
            app.services,
            app.settings,
            host=host,
            port=port,
            bound=lambda address: progress.welcome(address, app.settings, sample=sample),
        )

    return part


async def _worker(app: App) -> None:
    from bot.jobs import work

    await work(app.services)


def _said(line: str) -> asyncio.Event:
    """An event that says ``line`` once it is set."""

    class Said(asyncio.Event):
        def set(self) -> None:
            if not self.is_set():
                click.echo(line, err=True)
            super().set()

    return Said()


COMMANDS = (up, slack, discord, web, worker)
