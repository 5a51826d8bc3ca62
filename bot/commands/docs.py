"""``docs``: what the bot has read: list, show, delete, refresh."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from bot.commands import arguments
from bot.commands.base import Cell, Command, Context, Reply, Table
from bot.commands.ingest import told
from bot.commands.services import Services
from bot.errors import NotAllowed, UsageError
from knowledge import catalog
from knowledge.errors import KnowledgeError
from knowledge.sources import open_source
from knowledge.types import TENANT_AUDIENCE, DocumentRow, Failure, IngestReport

USAGE = "[list [TEXT] | show ID | delete ID | refresh [ID]]"
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
            return Reply(told(await refreshed(context.services, context.tenant_id, None, files=False), [], here=False))
        case ["refresh", document_id]:
            report = await refreshed(context.services, context.tenant_id, document_id, files=False)
            return Reply(told(report, [], here=False))
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


async def refreshed(services: Services, tenant_id: str, document_id: str | None, *, files: bool) -> IngestReport:
    """Read the source of one document again, or every source. ``files``: those of this machine too."""
    async with services.database.tenant(tenant_id) as session:
        rows = await catalog.sources(session, tenant_id, document_id=document_id)
    settings = services.settings
    total = IngestReport(0, 0, 0, (), 0.0)
    for row in rows:
        try:
            source = await asyncio.to_thread(
                open_source,
                row.uri,
                fetch_allow=settings.fetch_allow,
                max_bytes=settings.max_file_mb * 1_000_000,
                files=files,
            )
            report = await services.ingestor.ingest([source], tenant_id=tenant_id, audience=row.audience)
        except KnowledgeError as error:
            report = IngestReport(0, 0, 0, (Failure(row.uri, str(error)),), 0.0)
        total = _sum(total, report)
    return total


def _sum(one: IngestReport, other: IngestReport) -> IngestReport:
    return replace(
        one,
        documents=one.documents + other.documents,
        chunks=one.chunks + other.chunks,
        unchanged=one.unchanged + other.unchanged,
        failed=(*one.failed, *other.failed),
        seconds=one.seconds + other.seconds,
        deleted=one.deleted + other.deleted,
        embedding_model=other.embedding_model,
        embedding_tokens=one.embedding_tokens + other.embedding_tokens,
    )


async def _list(context: Context, matching: str) -> Reply:
    audiences = None if context.author.is_admin else (TENANT_AUDIENCE, context.channel_id)
    async with context.services.database.tenant(context.tenant_id) as session:
        rows = await catalog.list_documents(
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
        await catalog.delete(session, context.tenant_id, document_id)
    return Reply(f"Deleted {found.row.title}.")


async def _readable(context: Context, document_id: str) -> catalog.DocumentText:
    async with context.services.database.tenant(context.tenant_id) as session:
        found = await catalog.show(session, context.tenant_id, document_id)
    if found.row.audience not in (TENANT_AUDIENCE, context.channel_id) and not context.author.is_admin:
        raise UsageError(f"There is no document {document_id} that this channel may read.")
    return found


COMMAND = Command("docs", "lists, shows, deletes and refreshes documents", USAGE, run)
