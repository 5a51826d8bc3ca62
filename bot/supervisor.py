"""Runs the parts of a process: restarts a part that fails, reports its state, and ends when one fails for good."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from bot.errors import ConfigError, Unreachable, for_operator, unforeseen
from bot.health import STARTING, Health

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
STEADY_SECONDS = 120.0
"""Seconds after which a part that runs counts as steady: its next failure is followed by the first pause again."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the process. ``run`` sets the event that it gets once the part works, and runs until it is canceled.

    A part that runs ``once`` does its work and returns. ``doing`` says what the part does until then.
    """

    name: str
    run: Callable[[asyncio.Event], Awaitable[None]]
    once: bool = False
    doing: str = STARTING


class PartEnded(Exception):
    """A part ended although nobody stopped it."""


class _Working(asyncio.Event):
    """An event; setting it calls ``on_set``."""

    def __init__(self, on_set: Callable[[], None]) -> None:
        super().__init__()
        self._on_set = on_set

    def set(self) -> None:
        if not self.is_set():
            self._on_set()
        super().set()


async def supervise(
    part: Part,
    health: Health,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Run the part until canceled, and start it again after each failure. Raises what makes it fail for good."""
    pause = FIRST_PAUSE
    while True:
        health.starting(part.name, part.doing)
        started = monotonic()
        try:
            await part.run(_Working(lambda: health.works(part.name)))
            if part.once:
                health.works(part.name)
                return
            raise PartEnded("it ended by itself")
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            error: BaseException = PartEnded("its task was canceled from inside")
        except (Exception, SystemExit) as failure:
            error = failure
        reason = _reason(error)
        health.failed(part.name, reason)
        if fails_for_good(error):
            log.error("%s cannot run: %s", part.name, reason)
            raise error
        if monotonic() - started >= STEADY_SECONDS:
            pause = FIRST_PAUSE
        traceback = next((one for one in _causes(error) if unforeseen(one)), None)
        log.error("%s failed and starts again in %.0f s: %s", part.name, pause, reason, exc_info=traceback)
        await sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def fails_for_good(error: BaseException) -> bool:
    """Return whether starting the part again cannot help: the configuration is wrong."""
    return any(isinstance(one, ConfigError) and not isinstance(one, Unreachable) for one in _causes(error))


def _reason(error: BaseException) -> str:
    first = next(_causes(error))
    text = " ".join(for_operator(first).split())
    return text if unforeseen(first) is None or isinstance(first, PartEnded) else f"{type(first).__name__}: {text}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors of a group, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _causes(one)
    else:
        yield error
