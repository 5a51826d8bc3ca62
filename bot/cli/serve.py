"""The ``parley up``, ``slack``, ``discord``, ``web`` and ``worker`` commands, which run until they are stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from bot.cli import user_messages
from bot.cli.command_runtime import run, serving_settings
from bot.cli.output import echo, echo_prose
from bot.cli.parameter_types import Host
from bot.cli.shutdown import end_within
from bot.config import Settings
from bot.errors import ConfigError
from bot.health import SAMPLE
from bot.supervisor import Part, supervise

if TYPE_CHECKING:
    from rich.progress import TaskID

    from bot.app import App
    from bot.cli.progress import Steps

MODELS = "models"
"""The part that loads the models, under its name for ``/readyz``."""
Run = Callable[["App", asyncio.Event], Coroutine[Any, Any, None]]
"""Runs one part of the app until canceled, and sets the event once it works."""


host_option = click.option(
    "--host",
    type=Host(),
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
@click.option("--sample", is_flag=True, help="Add the sample handbook.")
def up(host: str | None, port: int, sample: bool) -> None:
    """Run the browser playground, the worker and every platform that has a token."""
    loaded = serving_settings()
    _run_until_stopped(loaded, _up(loaded, _checked_host(loaded, host, port), port, sample))


@click.command()
def slack() -> None:
    """Run only the Slack bot."""
    loaded = serving_settings()
    if not loaded.has_slack:
        raise ConfigError(user_messages.NO_SLACK_TOKENS)
    _run_until_stopped(loaded, _serve(loaded, {"slack": _slack}))


@click.command()
def discord() -> None:
    """Run only the Discord bot."""
    loaded = serving_settings()
    if not loaded.discord_token:
        raise ConfigError(user_messages.NO_DISCORD_TOKEN)
    _run_until_stopped(loaded, _serve(loaded, {"discord": _discord}))


@click.command()
@host_option
@port_option
def web(host: str | None, port: int) -> None:
    """Run only the browser playground."""
    loaded = serving_settings()
    _run_until_stopped(loaded, _serve(loaded, {"web": _web(_checked_host(loaded, host, port), port)}))


@click.command()
def worker() -> None:
    """Run only the worker, which ingests documents in the background."""
    loaded = serving_settings()
    _run_until_stopped(loaded, _serve(loaded, {"worker": _worker}))


def _checked_host(loaded: Settings, host: str | None, port: int) -> str:
    """Return the address to listen on. Raises ConfigError if it needs a sign-in or the port is taken.

    Nothing listens yet, so that a request is refused and not kept waiting until everything is open.
    """
    from bot.platforms.web import uvicorn_server
    from bot.platforms.web.sign_in.sign_in_setup import require_sign_in

    host = host or loaded.web_host
    require_sign_in(loaded, host)
    uvicorn_server.listen(host, port).close()
    return host


def _run_until_stopped(loaded: Settings, work: Coroutine[Any, Any, None]) -> None:
    """Run until Ctrl-C or SIGTERM. Both are a normal end, so the exit status is 0."""
    try:
        run(work, close_within=loaded.shutdown_seconds)
    except KeyboardInterrupt:
        echo(user_messages.STOPPED, err=True)


async def _up(loaded: Settings, host: str, port: int, sample: bool) -> None:
    from bot.cli import progress

    parts: dict[str, Run] = {"web": _web(host, port, sample=sample), "worker": _worker}
    if loaded.has_slack:
        parts["slack"] = _slack
    if loaded.discord_token:
        parts["discord"] = _discord
    with progress.steps() as steps:
        database_step = steps.begin(user_messages.STARTING_DATABASE)
        await _serve(loaded, parts, opened=_opened(steps, database_step, sample))


def _opened(steps: Steps, database_step: TaskID, sample: bool) -> Callable[[App], list[Part]]:
    """Return the function that is called once the app is open. It returns the part that adds the sample, if any."""

    def opened(app: App) -> list[Part]:
        steps.end(database_step)
        if not sample:
            steps.close()
            return []

        async def add(_: asyncio.Event) -> None:
            await steps.ingest_sample(app)
            steps.close()

        return [Part(SAMPLE, add, once=True, doing=user_messages.ADDING_SAMPLE_NOW)]

    return opened


async def _serve(loaded: Settings, parts: dict[str, Run], opened: Callable[[App], list[Part]] = lambda _: []) -> None:
    """Run the parts of the app concurrently, and those that ``opened`` returns. Raises what ends a part for good."""
    from bot.app import open_app
    from bot.warm_up import warm_up

    async with open_app(loaded, warm=True) as app:
        health = app.services.health
        if loaded.metrics_port and "web" not in parts:
            parts = {**parts, "metrics": _metrics(loaded.metrics_port)}
        supervised = [Part(name, partial(run, app)) for name, run in parts.items()]
        supervised += [Part(MODELS, lambda _: warm_up(app), once=True), *opened(app)]
        for part in supervised:
            health.starting(part.name, part.doing)
        try:
            async with asyncio.TaskGroup() as group:
                for part in supervised:
                    group.create_task(supervise(part, health), name=part.name)
        except BaseExceptionGroup:
            end_within(loaded.shutdown_seconds)
            raise


async def _slack(app: App, ready: asyncio.Event) -> None:
    from bot.platforms.slack.app import serve

    await serve(app.dispatcher, app.services, app.settings, ready=_Announcing(ready, user_messages.SLACK_CONNECTED))


async def _discord(app: App, ready: asyncio.Event) -> None:
    from bot.platforms.discord.app import serve

    await serve(app.dispatcher, app.services, app.settings, ready=_Announcing(ready, user_messages.DISCORD_CONNECTED))


def _web(host: str, port: int, *, sample: bool = False) -> Run:
    async def part(app: App, ready: asyncio.Event) -> None:
        from bot.platforms.web.app import serve
        from knowledge import sample as handbook

        addresses: list[str] = []

        async def welcome() -> None:
            await ready.wait()
            await app.services.health.until_ready(MODELS)
            if sample:
                await app.services.health.until_ready(SAMPLE)
            questions = handbook.questions()[:3] if sample else ()
            text = user_messages.welcome(addresses[0], has_model=app.settings.has_model, questions=questions)
            echo_prose(text, err=True)

        welcoming = asyncio.create_task(welcome())
        try:
            await serve(
                app.dispatcher,
                app.services,
                app.settings,
                host=host,
                port=port,
                ready=ready,
                bound=addresses.append,
            )
        finally:
            welcoming.cancel()
            await asyncio.gather(welcoming, return_exceptions=True)

    return part


def _metrics(port: int) -> Run:
    async def part(app: App, ready: asyncio.Event) -> None:
        from bot.platforms.web.probes import serve

        await serve(app.services, app.settings, port=port, ready=ready)

    return part


async def _worker(app: App, ready: asyncio.Event) -> None:
    from bot.app import grace_of
    from bot.jobs import work
    from bot.jobs.worker import GRACE

    await work(app.services, grace=min(GRACE, grace_of(app.settings)), ready=ready)


class _Announcing(asyncio.Event):
    """An event; setting it prints a line and sets another event."""

    def __init__(self, ready: asyncio.Event, line: str) -> None:
        super().__init__()
        self._ready, self._line = ready, line

    def set(self) -> None:
        if not self.is_set():
            echo(self._line, err=True)
            self._ready.set()
        super().set()


COMMANDS = (up, slack, discord, web, worker)
