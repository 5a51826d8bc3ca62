"""``stop``: ends the answer that is being written in this thread."""

from __future__ import annotations

from bot.commands.base import Command, Context, Reply
from bot.errors import UsageError
from bot.types.conversation import ThreadKey


async def run(context: Context, _: str) -> Reply:
    """Stop what runs in the thread; the asker and admins may."""
    if context.thread_id is None:
        raise UsageError("Use this in the thread of the answer, or press its Stop button.")
    key = ThreadKey(context.tenant_id, context.platform, context.channel_id, context.thread_id)
    await context.services.dispatcher.stop_thread(key, context.author)
    return Reply("Stopped.")


COMMAND = Command("stop", "stops the answer being written in this thread", "", run)
