"""Looks up the answer that a command is about, and checks that the user may see it."""

from __future__ import annotations

from typing import Any

from bot.commands import arguments, user_messages
from bot.commands.base import Context
from bot.engine import user_messages as engine_messages
from bot.errors import NotAllowed, UsageError
from bot.store.turns import turns
from bot.types.conversation import ThreadKey


async def find_answer(context: Context, command: str, line: str) -> Any:
    """Return the stored turn with the id in ``line``, or the thread's last one; ``command`` is for error messages.

    Raises UsageError if there is none, and alike for the private answer of another person. Raises NotAllowed if it was
    answered in another channel and the user is neither its asker nor an admin, or if it may use documents of the whole
    tenant and the user may not read those here.
    """
    key = ThreadKey(context.tenant_id, context.platform, context.channel_id, context.thread_id or "")
    turn_id = " ".join(arguments.words(line))
    async with context.services.database.tenant(context.tenant_id) as session:
        if not turn_id and context.thread_id is None:
            raise UsageError(user_messages.which_answer(command))
        found = turn_id or await turns.latest(session, thread=key)
        if found is None:
            raise UsageError(user_messages.NOTHING_ANSWERED)
        row = await turns.row_of(session, tenant_id=context.tenant_id, turn_id=found)
    if row is None or _is_hidden(row, context):
        raise UsageError(user_messages.unknown_answer(turn_id))
    if row.channel_id != context.channel_id and row.user_id != context.author.id and not context.author.is_admin:
        raise NotAllowed(user_messages.OTHER_CHANNEL)
    if row.tenant_wide and not context.audience.tenant_wide and not context.author.is_admin:
        raise NotAllowed(engine_messages.team_answer(context.audience.readers))
    return row


def _is_hidden(row: Any, context: Context) -> bool:
    """Return whether the answer is private and another person's. Not even an admin learns of it."""
    thread = ThreadKey(row.tenant_id, row.platform, row.channel_id, row.thread_id)
    return thread.private and row.user_id != context.author.id
