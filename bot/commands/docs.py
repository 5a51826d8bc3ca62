"""``docs``: what the bot has read: list, show, delete, refresh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from bot.commands import arguments
from bot.commands.base import Cell, Command, Context, Reply, Table
from bot.commands.ingest import followed
from bot.errors import NotAllowed, UsageError
from bot.ingestion import Begun
from bot.store.session import Database
from knowledge import document_catalog, source_records
from knowledge.errors import KnowledgeError
from knowledge.types import TENANT_AUDIENCE, DocumentRow, Failure

USAGE = "[list [TEXT] | show ID | delete ID | refresh [ID [every 6h|never|default]]]"
SHOWN_CHARS = 1500
MOST_ROWS = 100
COLUMNS = ("id", "title", "source", "chunks", "audience", "age", "state")


async def run(context: Context, line: str) -> Reply:
    """Members see what their channel may read; deleting is for admins."""
    match arguments.words(line):
        case [] | ["list"]:
            return await _list(context, "")
        case ["list", *words]:
            return await _list(context, " ".join(words))
        case ["show", document_id]:
            return await _show(context, document_id)
        case ["delete", document_id]:
            return await _delete(context, document_id)
        case ["refresh"]:
            return await _refresh(context, None)
        case ["refresh", document_id]:
            return await _refresh(context, document_id)
        case ["refresh", document_id, period] | ["refresh", document_id, "every", period]:
            return await _every(context, document_id, period)
        case _:
            raise UsageError(f"Write /docs {USAGE}.")


def cells(row: DocumentRow) -> tuple[Cell, ...]:
    """A document as a row of the list."""
    state = row.state if not row.error else f"{row.state}: {row.error}"
    return (row.id, row.title, row.source, row.chunks, row.audience, age(row.fetched_at), state)


def age(moment: datetime, now: datetime | None = None) -> str:
    """How long ago, in the largest unit that fits."""
    seconds = max(0, int(((now or datetime.now(UTC)) - moment).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


async def _refresh(context: Context, document_id: str | None) -> Reply:
    """Have the source of one document read again, or every source that this channel may read."""
    audiences = None if context.author.is_admin else (TENANT_AUDIENCE, context.channel_id)
    if document_id is not None:
        await _readable(context, document_id)
    async with context.services.database.tenant(context.tenant_id) as session:
        rows = await document_catalog.sources(session, context.tenant_id, document_id=document_id, audiences=audiences)
    begun: list[Begun] = []
    failed: list[Failure] = []
    for row in rows:
        if not row.can_be_read_again and document_id is None:
            continue
        try:
            context.services.open_source(row.uri, files=False, tenant_id=context.tenant_id)
        except KnowledgeError as error:
            failed.append(Failure(row.uri, str(error)))
            continue
        begun.append(
            await context.services.ingestion.begin_again(context.tenant_id, row.id, asked_by=context.author.id)
        )
    reply = await followed(context, begun, failed, here=False)
    return replace(reply, text=f"{reply.text}\n{skipped}") if (skipped := skipped_of(rows, document_id)) else reply


async def _every(context: Context, document_id: str, period: str) -> Reply:
    """Set how often the source of a document is read again."""
    if not context.author.is_admin:
        raise NotAllowed("Only an admin can change how often a source is read again.")
    await _readable(context, document_id)
    async with context.services.database.tenant(context.tenant_id) as session:
        (row,) = await document_catalog.sources(session, context.tenant_id, document_id=document_id)
    context.services.open_source(row.uri, files=False, tenant_id=context.tenant_id)
    return Reply(await set_interval(context.services.database, context.tenant_id, row, period))


async def set_interval(database: Database, tenant_id: str, row: document_catalog.SourceRow, period: str) -> str:
    """Give a source an interval of its own and say so. Raises UsageError."""
    seconds = arguments.interval(period)
    if not row.can_be_read_again:
        raise UsageError(f"{row.uri} was uploaded, so it cannot be fetched again; upload it anew.")
    async with database.tenant(tenant_id) as session:
        await source_records.set_refresh(session, tenant_id=tenant_id, source_id=row.id, seconds=seconds)
    if seconds is None:
        return f"{row.uri} is read again as PARLEY_REFRESH_HOURS says."
    return f"{row.uri} is read again every {period}." if seconds else f"{row.uri} is not read again by itself."


def skipped_of(rows: Sequence[document_catalog.SourceRow], document_id: str | None) -> str:
    """What a refresh of everything leaves out, in words; empty where that is nothing."""
    uploads = sum(not row.can_be_read_again for row in rows)
    if document_id is not None or not uploads:
        return ""
    return f"{uploads} uploaded {'file' if uploads == 1 else 'files'} cannot be fetched again; upload what has changed."


async def _list(context: Context, matching: str) -> Reply:
    audiences = None if context.author.is_admin else (TENANT_AUDIENCE, context.channel_id)
    async with context.services.database.tenant(context.tenant_id) as session:
        rows = await document_catalog.list_documents(
            session, context.tenant_id, audiences=audiences, matching=matching, limit=MOST_ROWS + 1
        )
    if not rows:
        return Reply(
            "No documents are in. /ingest takes some in." if not matching else f"Nothing matches “{matching}”."
        )
    more = f" The first {MOST_ROWS} are shown; /docs list TEXT narrows it down." if len(rows) > MOST_ROWS else ""
    shown = rows[:MOST_ROWS]
    return Reply(f"{len(shown)} documents.{more}", Table(COLUMNS, [cells(row) for row in shown]))


async def _show(context: Context, document_id: str) -> Reply:
    found = await _readable(context, document_id)
    text = found.text[:SHOWN_CHARS] + (" […]" if len(found.text) > SHOWN_CHARS else "")
    return Reply(f"**{found.row.title}**\n{found.row.source}\n\n{text}")


async def _delete(context: Context, document_id: str) -> Reply:
    if not context.author.is_admin:
        raise NotAllowed("Only an admin can delete documents.")
    found = await _readable(context, document_id)
    async with context.services.database.tenant(context.tenant_id) as session:
        await document_catalog.delete(session, context.tenant_id, document_id)
    return Reply(f"Deleted {found.row.title}.")


async def _readable(context: Context, document_id: str) -> document_catalog.DocumentText:
    async with context.services.database.tenant(context.tenant_id) as session:
        found = await document_catalog.show(session, context.tenant_id, document_id)
    if found.row.audience not in (TENANT_AUDIENCE, context.channel_id) and not context.author.is_admin:
        raise UsageError(f"There is no document {document_id} that this channel may read.")
    return found


COMMAND = Command("docs", "lists, shows, deletes and refreshes documents", USAGE, run)
