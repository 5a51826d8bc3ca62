"""Decides which database failures are temporary, and retries them."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bot.errors import StoreAway, for_operator
from bot.store.database import tls

log = logging.getLogger(__name__)

Result = TypeVar("Result")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
ATTEMPT_SECONDS = 10.0
"""Seconds that one attempt may take where there is patience for several: its connection may have gone silent, while
others work."""
CONFLICT_ATTEMPTS = 8
"""How often a transaction is run that another one made fail, however short the patience is."""
CONFLICT_PAUSE = 0.05
"""Half the seconds up to which such a transaction waits, at random, before it runs again; doubled each time.

Many transactions that conflict at once would otherwise meet again.
"""

_AWAY_CLASSES = ("08", "53", "57P", "58", "25006")
"""SQLSTATE: connections, resources (disk, memory, too many clients), shutdown and start, system errors, read only."""
_DISK_FULL = "53100"
_CONFLICTS = ("40001", "40P01", "55P03")
"""Serialization failure, deadlock, lock not available: the same transaction may succeed when run again."""
_NODE_LOST = ("XX000", "failure on connection marked as essential")
"""SQLSTATE and first words with which Citus reports that a node was lost while a transaction wrote or committed there.

Whether the node committed it is unknown then, as after any connection that breaks during a commit.
"""


def first_line(error: Exception) -> str:
    """Return the first line of what the database or its driver says, or the name of an error that says nothing."""
    return (str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__])[0]


def unreachable(error: Exception) -> str:
    """Return a one-line message that says why the database cannot be reached and what to do."""
    reason = first_line(error)
    if getattr(getattr(error, "orig", error), "sqlstate", None) == _DISK_FULL or os.strerror(errno.ENOSPC) in reason:
        return f"The database's disk is full ({reason}). Free disk space there. Parley goes on by itself afterwards."
    advice = tls.advice(reason) or "Start it, correct DATABASE_URL, or unset DATABASE_URL to use the bundled server"
    return f"The database cannot be reached ({reason}). {advice}."


def is_away(error: BaseException) -> bool:
    """Return whether the database is not responding, as opposed to rejecting a statement."""
    if isinstance(error, PoolTimeout):
        return True
    if isinstance(error, DBAPIError):
        state: str | None = getattr(error.orig, "sqlstate", None)
        broken = isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
        said = str(error.orig)
    elif isinstance(error, psycopg.Error):
        state, broken = error.sqlstate, isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        said = str(error)
    else:
        return False
    if state is None:
        return broken
    return state.startswith(_AWAY_CLASSES) or (state == _NODE_LOST[0] and said.startswith(_NODE_LOST[1]))


@contextmanager
def away_reported() -> Iterator[None]:
    """Raise StoreAway in place of an error of SQLAlchemy or psycopg that says that the database does not answer."""
    try:
        yield
    except Exception as error:
        if is_away(error):
            raise StoreAway(unreachable(error)) from error
        raise


def is_conflict(error: BaseException) -> bool:
    """Return whether another transaction made this one fail, so that it can succeed at once when run again."""
    return getattr(getattr(error, "orig", error), "sqlstate", None) in _CONFLICTS


async def patiently(
    work: Callable[[bool], Awaitable[Result]],
    seconds: float,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    longest: float | None = None,
) -> Result:
    """Run ``work`` until it succeeds or fails for good. The one place where transactions are retried.

    An unavailable database is waited for during ``seconds``; then StoreAway is raised. A transaction that conflicts
    with another one (deadlock, serialization failure) was rolled back, so it runs again at once, also if ``seconds`` is
    0. One attempt may take ``longest`` seconds, or ``ATTEMPT_SECONDS`` if that much time is left. After that it is
    canceled, which counts as StoreAway. If ``seconds`` is 0, only its round trips are bounded.

    ``work`` gets True if an earlier attempt may have been committed although its confirmation was lost.
    """
    until, pause, again, conflicts = monotonic() + seconds, FIRST_PAUSE, False, 0
    while True:
        try:
            left = min(ATTEMPT_SECONDS, max(until - monotonic(), FIRST_PAUSE)) if seconds else None
            return await _attempt(work, again, longest or left)
        except StoreAway as away:
            if monotonic() + pause > until:
                raise
            log.warning("waiting for the database: %s", away.detail or away)
            await sleep(pause)
            pause, again = min(2 * pause, LONGEST_PAUSE), True
        except Exception as error:
            if not is_conflict(error):
                raise
            conflicts += 1
            if conflicts == CONFLICT_ATTEMPTS:
                raise StoreAway(f"{conflicts} times, another transaction was in the way ({error})") from error
            log.info("running a transaction again: %s", for_operator(error))
            await sleep(random.uniform(0, min(LONGEST_PAUSE, CONFLICT_PAUSE * 2**conflicts)))  # noqa: S311


async def _attempt(work: Callable[[bool], Awaitable[Result]], again: bool, seconds: float | None) -> Result:
    try:
        async with asyncio.timeout(seconds) as bound:
            return await work(again)
    except TimeoutError as error:
        if not bound.expired():
            raise
        raise StoreAway(unreachable(TimeoutError(f"no answer within {seconds or 0:.1f} s"))) from error
