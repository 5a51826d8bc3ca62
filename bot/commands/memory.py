"""The ``memory`` command: shows or deletes the facts that are remembered from a thread."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession

from bot.commands import arguments, help_text, user_messages
from bot.commands.base import Command, Context, Reply, Table
from bot.errors import NotAllowed, UsageError
from bot.store import threads
from bot.store.turns import answer_ids, facts
from bot.types.conversation import Fact, ThreadKey
from knowledge.whole_numbers import whole_number


async def run(context: Context, line: str) -> Reply:
    """Show the thread's facts with author and time, or delete some of them. Members can delete only their own."""
    if context.thread_id is None:
        raise UsageError(user_messages.MEMORY_IN_THREAD)
    key = ThreadKey(context.tenant_id, context.platform, context.channel_id, context.thread_id)

    async def work(session: AsyncSession) -> Reply:
        existing = await facts.current(session, thread=key)
        match arguments.words(line.lower()):
            case [] | ["show"]:
                summary = await threads.summary(session, key=key, tenant_wide=context.audience.tenant_wide)
                known = [fact.turn_id for fact in existing]
                ids = await answer_ids.shortened(session, tenant_id=context.tenant_id, turn_ids=known)
                return _shown([replace(fact, turn_id=ids[fact.turn_id]) for fact in existing], summary)
            case ["forget", "all"]:
                chosen = existing
            case ["forget", number]:
                chosen = [_numbered(existing, number)]
            case _:
                raise UsageError(user_messages.wrong_usage("memory", help_text.MEMORY_USAGE))
        own = chosen if context.author.is_admin else [fact for fact in chosen if fact.author_id == context.author.id]
        if chosen and not own:
            raise NotAllowed(user_messages.MEMORY_NOT_YOURS)
        await facts.forget(session, thread=key, subjects=[fact.subject for fact in own])
        if not chosen:
            return Reply(user_messages.MEMORY_EMPTY)
        return Reply(user_messages.forgotten(len(own), len(chosen) - len(own)))

    return await context.services.database.run(context.tenant_id, work)


def _numbered(existing: list[Fact], number: str) -> Fact:
    place = whole_number(number)
    if place is not None and 1 <= place <= len(existing):
        return existing[place - 1]
    raise UsageError(user_messages.unknown_fact(number, len(existing)))


def _shown(existing: list[Fact], summary: str) -> Reply:
    if not existing and not summary:
        return Reply(user_messages.MEMORY_EMPTY)
    rows = [
        (n, fact.kind, fact.text, fact.author, f"{fact.said_at:%Y-%m-%d %H:%M}", fact.turn_id)
        for n, fact in enumerate(existing, 1)
    ]
    table = Table(user_messages.MEMORY_COLUMNS, rows) if rows else None
    parts = [user_messages.remembered(len(existing))] if existing else []
    parts += [f"{user_messages.MEMORY_SUMMARY_HEADING}\n{summary}"] if summary else []
    return Reply("\n\n".join(parts), table)


COMMAND = Command("memory", help_text.MEMORY_SUMMARY, help_text.MEMORY_USAGE, run)
