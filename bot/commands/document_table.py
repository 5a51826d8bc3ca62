"""Shows documents as rows of a table, in ``/docs`` and ``parley docs``."""

from __future__ import annotations

from datetime import UTC, datetime

from bot.commands.base import Cell
from knowledge.types.documents import DocumentRow

COLUMNS = ("id", "title", "source", "chunks", "audience", "age", "state")


def cells(row: DocumentRow) -> tuple[Cell, ...]:
    """Return a document as a row of the list."""
    state = "; ".join((f"{row.state}: {row.error}" if row.error else row.state, *row.warnings))
    return (row.short_id, row.title, row.source, row.chunks, row.audience, age(row.fetched_at), state)


def age(moment: datetime, now: datetime | None = None) -> str:
    """Return the time since ``moment`` in the largest unit that fits: ``3 d``, ``5 h``, ``20 min``, ``9 s``."""
    seconds = max(0, int(((now or datetime.now(UTC)) - moment).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
