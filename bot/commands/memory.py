"""``memory``: what this thread remembers, shown or forgotten."""

from __future__ import annotations

from bot.commands import arguments
from bot.commands.base import Command, Context, Reply, Table
from bot.errors import NotAllowed, UsageError
from bot.store import facts, threads
from bot.types.conversation import Fact, ThreadKey

USAGE = "[forget N | forget all]"
NOTHING = (
    "Nothing is remembered here beyond the messages themselves. "
    "Say “remember that …”, “we decided …”, “I prefer …” or “call me …”, and it is kept."
)
STAYS = "The message itself stays in the thread; delete it there to have it forgotten as well."


async def run(context: Context, line: str) -> Reply:
    """Show the thread's facts with who said them and when, or forget some of them."""
    if context.thread_id is None:
        raise UsageError("Use this in a thread: what is remembered belongs to it.")
    key = ThreadKey(context.tenant_id, context.platform, context.channel_id, context.thread_id)
    async with context.services.database.tenant(context.tenant_id) as session:
        known = await facts.current(session, thread=key)
        match arguments.words(line.lower()):
            case [] | ["show"]:
                return _shown(known, await threads.summary(session, key=key))
            case ["forget", "all"]:
                chosen = known
            case ["forget", number]:
                chosen = [_numbered(known, number)]
            case _:
                raise UsageError(f"Write /memory {USAGE}.")
        mine = chosen if context.author.is_admin else [fact for fact in chosen if fact.author_id == context.author.id]
        if chosen and not mine:
            raise NotAllowed("Somebody else said that: they, or an admin, can have it forgotten.")
        await facts.forget(session, thread=key, subjects=[fact.subject for fact in mine])
    return Reply(_told(len(mine), len(chosen)))


def _told(gone: int, of: int) -> str:
    if not of:
        return NOTHING
    kept = (
        f" The other {of - gone} were said by others; they, or an admin, can have them forgotten." if gone < of else ""
    )
    return f"Forgotten: {gone} fact{'' if gone == 1 else 's'}.{kept} {STAYS}"


def _numbered(known: list[Fact], number: str) -> Fact:
    if number.isdecimal() and 1 <= int(number) <= len(known):
        return known[int(number) - 1]
    many = f"there are {len(known)}" if known else "nothing is remembered"
    raise UsageError(f"There is no fact {number} here; {many}. /memory shows them with their numbers.")


def _shown(known: list[Fact], summary: str) -> Reply:
    if not known and not summary:
        return Reply(NOTHING)
    rows = [
        (n, fact.kind, fact.text, fact.author, f"{fact.said_at:%Y-%m-%d %H:%M}", fact.turn_id)
        for n, fact in enumerate(known, 1)
    ]
    table = Table(("#", "kind", "what", "who", "when", "said in turn"), rows) if rows else None
    told = f"**Summary so far**\n{summary}" if summary else ""
    count = f"{len(known)} fact{'' if len(known) == 1 else 's'} remembered in this thread." if known else ""
    return Reply("\n\n".join(part for part in (count, told) if part), table)


COMMAND = Command("memory", "shows or forgets what this thread remembers", USAGE, run)
