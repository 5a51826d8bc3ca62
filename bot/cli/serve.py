"""The ``parley up``, ``slack``, ``discord``, ``web`` and ``worker`` commands, which run until they are stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import click

from bot.cli import user_messages
from bot.cli.command_runtime import run, settings
from bot.cli.output import echo
from bot.config import Settings
from bot.errors import ConfigError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from bot.app import App
    from bot.cli.progress import Steps

Part = Callable[["App"], Coroutine[Any, Any, None]]

host_option = click.option(
    "--host",
    metavar="ADDRESS",
    help="Address that the playground listens on.  [default: PARLEY_WEB_HOST, or 127.0.0.1]",
)
port_option = click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65535),
    metavar="NUMBER",
    help="Port of the playground; 0 chooses a free one.",
)


@click.command()
@host_option
@port_option
@click.option("--sample", is_flag=True, help="Add the sample handbook first.")
def up(host: str | None, port: int, sample: bool) -> None:
    """Run the browser playground, the worker and every platform that has a token."""
    loaded = settings()
    _run_until_stopped(loaded, _up(loaded, _checked_host(loaded, host), port, sample))


@click.command()
def slack() -> None:
    """Run only the Slack bot."""
    loaded = settings()
    if not loaded.has_slack:
        raise ConfigError(user_messages.NO_SLACK_TOKENS)
    _run_until_stopped(loaded, _serve(loaded, [_slack]))


@click.command()
def discord() -> None:
    """Run only the Discord bot."""
    loaded = settings()
    if not loaded.discord_token:
        raise ConfigError(user_messages.NO_DISCORD_TOKEN)
    _run_until_stopped(loaded, _serve(loaded, [_discord]))


@click.command()
@host_option
@port_option
def web(host: str | None, port: int) -> None:
    """Run only the browser playground."""
    loaded = settings()
    _run_until_stopped(loaded, _serve(loaded, [_web(_checked_host(loaded, host), port)]))


@click.command()
def worker() -> None:
    """Run only the worker, which ingests documents in the background."""
    loaded = settings()
    _run_until_stopped(loaded, _serve(loaded, [_worker]))


def _checked_host(loaded: Settings, host: str | None) -> str:
    """Return the address to listen on. Raises ConfigError if it needs a sign-in, before the database is opened."""
    from bot.platforms.web.sign_in.access import require_sign_in

    host = host or loaded.web_host
    require_sign_in(loaded, host)
    return host


def _run_until_stopped(loaded: Settings, work: Coroutine[Any, Any, None]) -> None:
    """Run until Ctrl-C or SIGTERM. Both are a normal end, so the exit status is 0."""
    try:
        run(work, close_within=loaded.shutdown_seconds)
    except KeyboardInterrupt:
        echo(user_messages.STOPPED, err=True)


async def _up(loaded: Settings, host: str, port: int, sample: bool) -> None:
    from bot.cli import progress

    parts: list[Part] = [_web(host, port, sample=sample), _worker]
    if loaded.has_slack:
        parts.append(_slack)
    if loaded.discord_token:
        parts.append(_discord)
    with progress.steps() as steps:
        database_step = steps.begin(user_messages.STARTING_DATABASE)
        await _serve(loaded, parts, before=_prepare(steps, database_step, sample))


def _prepare(steps: Steps, database_step: TaskID, sample: bool) -> Part:
    """Return the function to run after the app is open and before its parts start."""

    async def prepare(app: App) -> None:
        steps.end(database_step)
        if sample:
            await steps.ingest_sample(app)
        steps.close()

    return prepare


async def _serve(loaded: Settings, parts: list[Part], before: Part | None = None) -> None:
    """Run the parts of the app concurrently, after ``before`` has ended."""
    from bot.app import open_app

    async with open_app(loaded, warm=True) as app:
        if before is not None:
            await before(app)
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part(app))


async def _slack(app: App) -> None:
    from bot.platforms.slack.app import serve

    await serve(app.dispatcher, app.services, app.settings, ready=_announcing(user_messages.SLACK_CONNECTED))


async def _discord(app: App) -> None:
    from bot.platforms.discord.app import serve

    await serve(app.dispatcher, app.services, app.settings, ready=_announcing(user_messages.DISCORD_CONNECTED))


def _web(host: str, port: int, *, sample: bool = False) -> Part:
    async def part(app: App) -> None:
        from bot.platforms.web.app import serve
        from knowledge import sample as handbook

        def welcome(address: str) -> None:
            questions = handbook.questions()[:3] if sample else ()
            text = user_messages.welcome(address, has_model=app.settings.has_model, questions=questions)
            echo(text, err=True)

        await serve(app.dispatcher, app.services, app.settings, host=host, port=port, bound=welcome)

    return part


async def _worker(app: App) -> None:
    from bot.app import grace_of
    from bot.jobs import work
    from bot.jobs.worker import GRACE

    await work(app.services, grace=min(GRACE, grace_of(app.settings)))


def _announcing(line: str) -> asyncio.Event:
    """Return an event; setting it prints ``line``."""

    class Announcing(asyncio.Event):
        def set(self) -> None:
            if not self.is_set():
                echo(line, err=True)
            super().set()

    return Announcing()


COMMANDS = (up, slack, discord, web, worker)
