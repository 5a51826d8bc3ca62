"""The ``feedback`` command: lists answers with a thumb down and unanswered questions. For admins."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from bot.commands import arguments, help_text, user_messages
from bot.commands.base import Cell, Command, Context, Reply, Table
from bot.errors import UsageError
from bot.reports.feedback import Rating, count_ratings, ratings

DEFAULT_PERIOD = "7d"
MAX_ROWS = 100
TEXT_CHARS = 200
COLUMNS = ("answer", "when", "rating", "reason", "question", "text")
_THUMBS = {1: "👍", -1: "👎"}


async def run(context: Context, line: str) -> Reply:
    """List the ratings of a period; ``all`` adds the thumbs up."""
    given = arguments.parse(line, flags=("all",), values=("since",))
    words = [*given.words, *([since] if (since := given.value("since")) else [])]
    thumbs_up = arguments.take_word(words, "all") or given.flag("all")
    if len(words) > 1:
        raise UsageError(user_messages.wrong_usage("feedback", help_text.FEEDBACK_USAGE))
    start = arguments.start_of(words[0] if words else DEFAULT_PERIOD, context.services.clock())
    async with context.services.database.tenant(context.tenant_id) as session:
        return await reply_of(
            session, tenant_id=context.tenant_id, start=start, thumbs_up=thumbs_up, reader=context.author.id
        )


async def reply_of(
    session: AsyncSession, *, tenant_id: str, start: datetime, thumbs_up: bool, reader: str | None = None
) -> Reply:
    """Return the counts as text and the latest ratings as a table. See ``ratings`` for the arguments."""
    counts = await count_ratings(session, tenant_id=tenant_id, start=start, thumbs_up=thumbs_up, reader=reader)
    found = await ratings(session, tenant_id=tenant_id, start=start, thumbs_up=thumbs_up, reader=reader, most=MAX_ROWS)
    text = user_messages.feedback(counts.down, counts.up, unanswered=counts.unanswered)
    return Reply(text, Table(COLUMNS, [_cells(rating) for rating in found]) if found else None)


def _cells(rating: Rating) -> tuple[Cell, ...]:
    thumb = _THUMBS.get(rating.value or 0, "-")
    when = f"{rating.at:%Y-%m-%d %H:%M}"
    return (rating.turn_id, when, thumb, rating.reason, _short(rating.question), _short(rating.answer))


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= TEXT_CHARS else f"{flat[: TEXT_CHARS - 1]}…"


COMMAND = Command("feedback", help_text.FEEDBACK_SUMMARY, help_text.FEEDBACK_USAGE, run, admin=True)
