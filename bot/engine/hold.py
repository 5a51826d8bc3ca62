"""Holding a turn: its lease is taken, kept while it runs, and what must not stay half done is brought to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from bot.engine.ports import Event, Store
from bot.engine.run import Run
from bot.errors import LeaseLost
from bot.types import Lease, Turn

log = logging.getLogger(__name__)

Result = TypeVar("Result")

HEARTBEAT = 8.0


async def lease(store: Store, turn: Turn, turned_away: Callable[[], Awaitable[None]]) -> Lease:
    """Take the turn; ``turned_away`` is awaited between two tries for a busy thread. Raises LeaseLost."""
    while (taken := await store.lease(turn)) is None:
        await turned_away()
    return taken


@asynccontextmanager
async def heartbeat(store: Store, run: Run) -> AsyncIterator[None]:
    """Keep the lease while the body runs; cancel the body once it is lost."""
    body = asyncio.current_task()
    assert body is not None

    async def beat() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            try:
                await store.renew(run.turn, run.lease)
            except LeaseLost:
                run.lost = True
                body.cancel()
                return
            except Exception as error:
                log.warning("lease of turn %s not renewed: %s", run.turn.id, error)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def closing(events: AsyncIterator[Event]) -> AsyncIterator[AsyncIterator[Event]]:
    """Close the stream with the body, so that the provider stops at once."""
    try:
        yield events
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


async def whole(work: Awaitable[Result]) -> Result:
    """Let ``work`` come to its end even where the task is cancelled meanwhile: what it does must not stay half done."""
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            current = asyncio.current_task()
            if current is not None:
                current.uncancel()
        except Exception:
            break
    return task.result()
