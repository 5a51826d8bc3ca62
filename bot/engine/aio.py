"""Handles asyncio cancellation: work that must finish although its task is cancelled, and streams that must close."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

Result = TypeVar("Result")


@asynccontextmanager
async def closing(events: AsyncIterator[Result]) -> AsyncIterator[AsyncIterator[Result]]:
    """Close a stream when the body ends, so that the provider stops generating at once."""
    try:
        yield events
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


async def finish_although_cancelled(work: Awaitable[Result]) -> Result:
    """Run ``work`` to its end. If the task is cancelled meanwhile, ignore the cancellation."""
    task, _ = await _run_to_end(work)
    return task.result()


async def finish_then_cancel(work: Awaitable[Result]) -> Result:
    """Run ``work`` to its end.

    If the task is cancelled meanwhile, the cancellation takes effect at the task's next await.
    """
    task, interrupted = await _run_to_end(work)
    current = asyncio.current_task()
    if interrupted and current is not None:
        current.cancel()
    return task.result()


async def _run_to_end(work: Awaitable[Result]) -> tuple[asyncio.Future[Result], bool]:
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


async def alongside(opening: Awaitable[None], work: Awaitable[Result]) -> Result:
    """Run ``work`` and ``opening`` concurrently, wait for both, and return the result of ``work``.

    If both fail, raise the error of ``work``. A cancellation cancels both; a failure of ``work`` still lets ``opening``
    end.
    """
    opened = asyncio.ensure_future(opening)
    try:
        result = await work
    except BaseException as error:
        if not isinstance(error, Exception):
            opened.cancel()
        await asyncio.gather(opened, return_exceptions=True)
        raise
    await opened
    return result


async def cancel_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel the tasks and wait for their ends."""
    cancelled = [*tasks]
    for task in cancelled:
        task.cancel()
    await asyncio.gather(*cancelled, return_exceptions=True)
