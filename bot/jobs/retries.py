"""Which failures of background work may pass, and how long to wait. Pure."""

from __future__ import annotations

import asyncio

from procrastinate.exceptions import JobAborted
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from sqlalchemy.exc import DBAPIError

from bot.errors import ParleyError
from bot.ingestion import Busy
from knowledge.errors import EmbeddingError

ATTEMPTS = 6
FIRST_WAIT = 4
LONGEST_WAIT = 600
BUSY_WAIT = 5


class Patience(BaseRetryStrategy):
    """Backs off from 4 s, four times as long each time; a shutdown hands the job back at once."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        seconds = wait_after(exception, job.attempts)
        return None if seconds is None else RetryDecision(retry_in={"seconds": seconds})


def wait_after(error: BaseException, attempts: int) -> int | None:
    """Seconds until a job that failed so is tried again, after ``attempts`` earlier tries; None for never."""
    if isinstance(error, asyncio.CancelledError | JobAborted):
        return 0
    if isinstance(error, Busy):
        return BUSY_WAIT
    if not may_pass(error) or attempts >= ATTEMPTS - 1:
        return None
    return min(LONGEST_WAIT, int(FIRST_WAIT ** (attempts + 1)))


def may_pass(error: BaseException) -> bool:
    """Whether the same job may do better later: a database, a server or a model that did not answer."""
    return isinstance(error, DBAPIError | OSError | EmbeddingError | ParleyError)
