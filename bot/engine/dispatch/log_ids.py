"""Binds the ids of a turn to everything that is logged while it runs."""

from __future__ import annotations

from contextlib import AbstractContextManager

from structlog.contextvars import bound_contextvars

from bot.types.turns import Turn


def bound_ids(turn: Turn) -> AbstractContextManager[None]:
    """Bind the ids of the turn, its asker and its place, for this task and the tasks that it starts."""
    thread = turn.thread
    return bound_contextvars(
        tenant=thread.tenant_id,
        channel=thread.channel_id,
        session_id=thread.thread_id,
        user_id=turn.author.id,
        request_id=turn.id,
    )
