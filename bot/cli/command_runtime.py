"""Runs a command: loads settings, sets up logging, opens app or database, runs the event loop, explains errors."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from bot.cli import log_output, user_messages
from bot.cli.output import echo
from bot.cli.shutdown import end_within, stop_on_signals
from bot.config import Settings, load
from bot.errors import ParleyError, for_operator
from bot.types.conversation import LOCAL_TENANT
from knowledge.text.secret_redaction import redact

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from bot.app import App
    from bot.store.database.session import Database

Result = TypeVar("Result")

GC_THRESHOLDS = (50_000, 20, 50)
"""Thresholds of the garbage collector; Python's defaults are 700, 10 and 10.

A collection stops the process, and it takes longer if more modules are loaded.
"""


CLOSING_SECONDS = 2.0
"""Seconds after SIGTERM in which a command closes everything. A thread that loads a model cannot be canceled."""


def settings(**given: object) -> Settings:
    """Load the settings and set up logging. ``given`` values take precedence, by the names of their fields."""
    loaded = load(**given)
    _set_up_logging(loaded, entries=False)
    return loaded


def serving_settings() -> Settings:
    """Load the settings, and set up logging with an entry for each turn and model call."""
    loaded = load()
    _set_up_logging(loaded, entries=True)
    return loaded


def _set_up_logging(loaded: Settings, *, entries: bool) -> None:
    """Set up logging. A command logs ``entries`` only as JSON: as lines, they would stand around its answer."""
    as_json = loaded.log_format == "json"
    log_output.set_up(loaded.log_level, as_json=as_json, content=loaded.log_content, entries=entries or as_json)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if loaded.log_level != "DEBUG":
        warnings.simplefilter("ignore")


def run(work: Coroutine[Any, Any, Result], *, close_within: float | None = None) -> Result:
    """Run a coroutine to its end. SIGTERM cancels it like Ctrl-C, and ends the process after ``CLOSING_SECONDS``.

    With ``close_within``, the process ends that many seconds after either signal, even if the coroutine does not.
    """
    collect_garbage_rarely()

    async def guarded() -> Result:
        if close_within is not None:
            stop_on_signals(close_within)
            return await work
        task = asyncio.current_task()
        assert task is not None

        def on_terminate() -> None:
            end_within(CLOSING_SECONDS)
            task.cancel()

        with suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, on_terminate)
        return await work

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def collect_garbage_rarely() -> None:
    """Exclude the objects that exist now from garbage collection, and collect less often."""
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def with_app(work: Callable[[App], Awaitable[Result]], *, warm: bool = False, announce: bool = False) -> Result:
    """Open the app, run ``work`` with it, and close it. With ``warm``, load the embedding model in the background.

    With ``announce``, say on a terminal what is loaded, because that takes seconds.
    """
    loaded = settings()
    if announce and sys.stderr.isatty():
        echo(user_messages.loading(loaded.embedding_model), err=True)

    async def open_and_run() -> Result:
        from bot.app import open_app

        async with open_app(loaded, warm=warm) as app:
            return await work(app)

    return run(open_and_run())


def with_database(work: Callable[[Database], Awaitable[Result]]) -> Result:
    """Open the database alone, run ``work`` with it, and close it."""
    loaded = settings()

    async def open_and_run() -> Result:
        from bot.store.database_startup import opened_database

        async with opened_database(loaded) as database:
            return await work(database)

    return run(open_and_run())


def with_tenant(tenant: str, work: Callable[[AsyncSession], Awaitable[Result]]) -> Result:
    """Open the database and run ``work`` in one transaction of a tenant. Raises ParleyError for an unknown tenant."""

    async def in_transaction(database: Database) -> Result:
        await require_tenant(database, tenant)
        return await database.run(tenant, work)

    return with_database(in_transaction)


async def ensure_tenant(database: Database, tenant: str) -> None:
    """Record a workspace's tenant, so that other commands know it before the bot joins the workspace."""
    from bot.store import tenants

    if tenant == LOCAL_TENANT:
        return

    async def ensure(session: AsyncSession) -> None:
        await tenants.ensure(session, tenant_id=tenant, platform="slack" if tenant.startswith("slack:") else "discord")

    await database.run(tenant, ensure)


async def require_tenant(database: Database, tenant: str) -> None:
    """Raise ParleyError if nothing is stored for the tenant, so that a misspelled one does not look empty."""
    from bot.store import tenants

    if tenant == LOCAL_TENANT:
        return
    async with database.tenant(tenant) as session:
        known = await tenants.has_data(session, tenant_id=tenant)
    if not known:
        raise ParleyError(user_messages.unknown_tenant(tenant, await tenants.every_tenant(database)))


@contextmanager
def stoppable() -> Iterator[asyncio.Event]:
    """Yield an event that the first Ctrl-C or SIGTERM sets, for a graceful stop. A second signal cancels the task."""
    stop, loop, task = asyncio.Event(), asyncio.get_running_loop(), asyncio.current_task()

    def on_signal() -> None:
        if stop.is_set() and task is not None:
            end_within(CLOSING_SECONDS)
            task.cancel()
        stop.set()

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal)
    except (NotImplementedError, RuntimeError, ValueError):
        # Signal handlers work only in the main thread on Unix. Elsewhere Ctrl-C interrupts, and the next run continues.
        yield stop
        return
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def explain(error: BaseException) -> str:
    """Return an error as one line for the user. In a group of errors, only the first counts."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    line = " ".join(for_operator(error).split())
    from knowledge.errors import KnowledgeError

    if isinstance(error, ParleyError | KnowledgeError) and line:
        return line
    logging.getLogger("bot").debug("unexpected error", exc_info=error)
    return user_messages.unexpected_error(type(error).__name__, redact(line))
