"""Which answer a command is about, and who may look into it."""

from __future__ import annotations

from typing import Any

from bot.commands.base import Context
from bot.errors import NotAllowed, UsageError
from bot.store import turns
from bot.types.conversation import ThreadKey


async def asked_about(context: Context, name: str, line: str) -> Any:
    """The stored turn with this id, or the thread's last one. ``name`` is the command's.

    Raises UsageError where there is none, NotAllowed unless it was answered in this channel, or its asker or an admin
    asks.
    """
    key = ThreadKey(context.tenant_id, context.platform, context.channel_id, context.thread_id or "")
    turn_id = line.strip()
    async with context.services.database.tenant(context.tenant_id) as session:
        if not turn_id and context.thread_id is None:
            raise UsageError(f"Which answer? Use this in its thread, or write /{name} with the id of the answer.")
        found = turn_id or await turns.latest(session, thread=key)
        if found is None:
            raise UsageError("Nothing has been answered in this thread.")
        row = await turns.row_of(session, tenant_id=context.tenant_id, turn_id=found)
    if row is None:
        raise UsageError(f"No answer has the id “{turn_id}”. The id stands in the answer's trace or under its buttons.")
    if row.channel_id != context.channel_id and row.user_id != context.author.id and not context.author.is_admin:
        raise NotAllowed("That answer was given in another channel. Ask there, or ask an admin.")
    return row
