"""The ``stop`` command: stops the answer that is being written in a thread."""

from __future__ import annotations

from bot.commands import arguments, help_text, user_messages
from bot.commands.base import Command, Context, Reply
from bot.errors import UsageError
from bot.types.conversation import ThreadKey


async def run(context: Context, line: str) -> Reply:
    """Stop the running answer of the thread. Only its asker and admins can."""
    arguments.words(line)
    if context.thread_id is None:
        raise UsageError(user_messages.STOP_IN_THREAD)
    key = ThreadKey(context.tenant_id, context.platform, context.channel_id, context.thread_id)
    await context.services.dispatcher.stop_thread(key, context.author)
    return Reply(user_messages.STOPPED)


COMMAND = Command("stop", help_text.STOP_SUMMARY, "", run, anyone=True)
