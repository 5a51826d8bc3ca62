"""Decides whether a failed background job is retried, and after how many seconds. Does no I/O."""

from __future__ import annotations

import asyncio

from procrastinate.exceptions import JobAborted
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from sqlalchemy.exc import DBAPIError

from bot.errors import ParleyError
from bot.ingestion import SourceBusy
from knowledge.errors import DiskFullError, EmbeddingError

MAX_ATTEMPTS = 6
FIRST_DELAY = 4
MAX_DELAY = 600
BUSY_DELAY = 5


class ExponentialBackoff(BaseRetryStrategy):
    """Retries after 4 s and multiplies the delay by four each time. A shutdown returns the job at once."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        seconds = retry_delay(exception, job.attempts)
        return None if seconds is None else RetryDecision(retry_in={"seconds": seconds})


def retry_delay(error: BaseException, attempts: int) -> int | None:
    """Return the seconds until a failed job is retried; None for never. ``attempts`` counts the earlier ones."""
    if isinstance(error, asyncio.CancelledError | JobAborted):
        return 0
    if isinstance(error, SourceBusy):
        return BUSY_DELAY
    if not is_transient(error) or attempts >= MAX_ATTEMPTS - 1:
        return None
    return min(MAX_DELAY, int(FIRST_DELAY ** (attempts + 1)))


def is_transient(error: BaseException) -> bool:
    """Return whether the job may succeed later: a database, a server or a model did not answer, or a disk was full."""
    return isinstance(error, DBAPIError | OSError | DiskFullError | EmbeddingError | ParleyError)
