"""The ``quiet`` and ``listen`` commands: whether the bot answers messages in a thread that do not mention it."""

from __future__ import annotations

from functools import partial

from bot.commands import arguments, help_text, user_messages
from bot.commands.base import Command, Context, Reply
from bot.errors import UsageError
from bot.store import threads
from bot.types.conversation import ThreadKey


async def run(context: Context, line: str, *, quiet: bool) -> Reply:
    """Answer mentions alone in this thread, or follow it again. Raises UsageError outside a followed thread."""
    if arguments.words(line):
        raise UsageError(user_messages.wrong_usage("quiet" if quiet else "listen", ""))
    if context.thread_id is None:
        raise UsageError(user_messages.FOLLOWING_IN_THREAD)
    key = ThreadKey(context.tenant_id, context.platform, context.channel_id, context.thread_id)
    changed = await context.services.database.run(context.tenant_id, partial(threads.set_quiet, key=key, quiet=quiet))
    if not changed:
        raise UsageError(user_messages.NOT_FOLLOWED)
    return Reply(user_messages.QUIET if quiet else user_messages.LISTENING)


QUIET = Command("quiet", help_text.QUIET_SUMMARY, "", partial(run, quiet=True))
LISTEN = Command("listen", help_text.LISTEN_SUMMARY, "", partial(run, quiet=False))
