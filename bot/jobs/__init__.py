"""Background jobs: the tasks of the queue, and the worker that runs them."""

from __future__ import annotations

from bot.jobs.tasks import TASKS
from bot.jobs.worker import work, working

__all__ = ["TASKS", "work", "working"]
