"""Holding a turn: its lease is taken, kept while it runs, and what must not stay half done is brought to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from bot.engine.answer.context import Context
from bot.engine.answer.run import Run
from bot.engine.ports.llm import Event
from bot.engine.ports.store import Store
from bot.errors import LeaseLost, StoreAway, SurfaceError, for_operator
from bot.types.turns import Lease, Turn

log = logging.getLogger(__name__)

Result = TypeVar("Result")

HEARTBEAT = 8.0
UNSURE = 14.0
"""Seconds after which a lease that was not prolonged is asked for before anything more is shown: less than half of it,
for a process that was paused wakes up in the middle of what it did."""


async def lease(store: Store, turn: Turn, turned_away: Callable[[], Awaitable[None]]) -> tuple[Turn, Lease]:
    """Take the turn, as it stands then; ``turned_away`` is awaited between two tries for a busy thread.

    Who is cancelled while the database decides has the lease all the same, and is cancelled where it next waits: a
    lease that nobody knows of would block its thread until it lapses. Raises LeaseLost.
    """
    while (taken := await uninterrupted(_taken(store, turn))) is None:
        await turned_away()
    return taken


async def _taken(store: Store, turn: Turn) -> tuple[Turn, Lease] | None:
    taken = await store.lease(turn)
    if taken is not None and (taken.fence > 1 or taken.recorded):
        turn = await store.turn(turn.thread.tenant_id, turn.id) or turn
    return None if taken is None else (turn, taken)


async def confirm(context: Context, run: Run) -> None:
    """Make sure that the lease still stands. Raises LeaseLost, or SurfaceError while that cannot be told."""
    if context.monotonic() - run.confirmed < UNSURE:
        return
    try:
        await _renew(context, run)
    except StoreAway as away:
        raise SurfaceError("It is not certain that this answer is still ours to show; waiting.") from away


async def _renew(context: Context, run: Run) -> None:
    asked = context.monotonic()
    await context.store.renew(run.turn, run.lease)
    run.confirmed = asked


@asynccontextmanager
async def heartbeat(context: Context, run: Run, doubt: asyncio.Event) -> AsyncIterator[None]:
    """Keep the lease while the body runs; cancel the body once it is lost. ``doubt`` has it asked for at once."""
    body = asyncio.current_task()
    assert body is not None

    async def beat() -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT):
                    await doubt.wait()
            doubt.clear()
            try:
                await _renew(context, run)
            except LeaseLost:
                run.lost = True
                body.cancel()
                return
            except Exception as error:
                log.warning("lease of turn %s not renewed: %s", run.turn.id, for_operator(error))

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
    task, _ = await _ended(work)
    return task.result()


async def uninterrupted(work: Awaitable[Result]) -> Result:
    """Let ``work`` come to its end; a task that was cancelled meanwhile is cancelled at the next thing it awaits."""
    task, interrupted = await _ended(work)
    current = asyncio.current_task()
    if interrupted and current is not None:
        current.cancel()
    return task.result()


async def _ended(work: Awaitable[Result]) -> tuple[asyncio.Future[Result], bool]:
    task, interrupted = asyncio.ensure_future(work), False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            interrupted, current = True, asyncio.current_task()
            if current is not None:
                current.uncancel()
        except Exception:
            break
    return task, interrupted


async def meanwhile(opening: Awaitable[None], work: Awaitable[Result]) -> Result:
    """What ``work`` comes to, once ``opening`` is over too. Where both fail, what ``work`` raised is told.

    Who is cancelled cancels both; where ``work`` fails, ``opening`` comes to its end all the same.
    """
    shown = asyncio.ensure_future(opening)
    try:
        result = await work
    except BaseException as error:
        if not isinstance(error, Exception):
            shown.cancel()
        await asyncio.gather(shown, return_exceptions=True)
        raise
    await shown
    return result
