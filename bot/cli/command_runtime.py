"""How a command runs: settings, logging, the event loop, and errors in one line."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bot.config import Settings, load
from bot.errors import ParleyError, for_operator

if TYPE_CHECKING:
    from bot.app import App

Result = TypeVar("Result")

COLLECTED_AFTER = (50_000, 20, 50)
"""New objects, and collections of the younger generation, after which garbage is looked for; Python's own are 700, 10
and 10. Looking stops the process, the longer the more it has loaded."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
tenant_option = click.option(
    "--tenant", default="local", show_default=True, help="Whose documents: local, slack:TEAM or discord:GUILD."
)


def settings() -> Settings:
    """The settings, with logging set up by them."""
    made = load()
    _set_up_logging(made.log_level)
    return made


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine; SIGTERM ends it as Ctrl-C does."""
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)

    async def guarded() -> Result:
        task = asyncio.current_task()
        if task is not None:
            with suppress(NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def with_app(work: Callable[[App], Awaitable[Result]], *, warm: bool = False) -> Result:
    """Open the app, run ``work`` with it, and close it. ``warm`` loads the embedding model meanwhile."""
    made = settings()

    async def opened() -> Result:
        from bot.app import open_app

        async with open_app(made, warm=warm) as app:
            return await work(app)

    return run(opened())


@contextmanager
def stoppable() -> Iterator[asyncio.Event]:
    """An event that the first Ctrl-C or SIGTERM sets, so that the body ends in good order; a second one breaks off."""
    stop, loop, task = asyncio.Event(), asyncio.get_running_loop(), asyncio.current_task()

    def asked() -> None:
        if stop.is_set() and task is not None:
            task.cancel()
        stop.set()

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, asked)
    except (NotImplementedError, RuntimeError, ValueError):
        # Only the main thread of Unix hears signals so; elsewhere Ctrl-C breaks off, and the next run goes on.
        yield stop
        return
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def print_json(document: object) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2, default=_plain))


def explain(error: BaseException) -> str:
    """One line for a person; a group of errors is told by its first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    line = " ".join(for_operator(error).split())
    from knowledge.errors import KnowledgeError

    if isinstance(error, ParleyError | KnowledgeError) and line:
        return line
    logging.getLogger("bot").debug("unexpected error", exc_info=error)
    return (
        f"Something broke ({type(error).__name__}: {line[:300] or 'no message'}). "
        "Run it again with PARLEY_LOG_LEVEL=DEBUG for the details."
    )


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value)


def _set_up_logging(level: str) -> None:
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    for name in (
        "httpx2",
        "httpcore2",
        "sentence_transformers",
        "transformers",
        "discord",
        "slack_bolt",
        "alembic",
        "uvicorn",
        "procrastinate",
        "psycopg.pool",
    ):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    for name in ("discord.client", "discord.state", "bot.platforms.slack.app.bolt"):
        # What they warn of here is meant so: no voice, no server list for a token check, a client made beforehand.
        logging.getLogger(name).setLevel(logging.ERROR)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if level != "DEBUG":
        warnings.simplefilter("ignore")
