"""The ``docs`` command: lists, shows, deletes and refreshes documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from sqlalchemy.ext.asyncio import AsyncSession

from bot.commands import arguments, docs_user_messages, help_text, saved_answers, user_messages, verified_answers
from bot.commands.base import Command, Context, Reply, Table
from bot.commands.document_preview import preview
from bot.commands.document_table import COLUMNS, cells
from bot.commands.ingest import follow_runs
from bot.commands.text_excerpt import excerpt
from bot.engine import user_messages as engine_messages
from bot.engine.display.urls import urls_in
from bot.errors import NotAllowed, UsageError
from bot.ingestion import RequestedRun
from bot.store.database.session import Database
from knowledge.errors import KnowledgeError
from knowledge.store import document_catalog, document_names, held_back_sources, source_records
from knowledge.types.documents import ORDERS, Order
from knowledge.types.source_items import Failure
from knowledge.whole_numbers import whole_number

MAX_ROWS = 100
MAX_PAGE = 100_000


async def run(context: Context, line: str) -> Reply:
    """List, show, preview, delete or refresh documents, save an answer as one, or verify an answer.

    Members see the documents of their channel, and delete their own.
    """
    given = arguments.parse(line, flags=("accept-removals", "tenant"), values=("until",))
    if given.flag("tenant") and given.words[:1] not in (["save"], ["verify"]):
        raise UsageError(user_messages.wrong_usage("docs", help_text.DOCS_USAGE))
    if given.value("until") is not None and given.words[:1] != ["verify"]:
        raise UsageError(user_messages.wrong_usage("docs", help_text.DOCS_USAGE))
    if given.flag("accept-removals"):
        return await _refresh_with_removals(context, given.words)
    match given.words:
        case []:
            return await _list(context, [])
        case ["list", *words]:
            return await _list(context, words)
        case ["show", *words] if words:
            return await _show(context, await _named(context, words))
        case ["preview"]:
            return await preview(context)
        case ["delete", *words] if words:
            return await _delete(context, await _named(context, words))
        case ["refresh"]:
            return await _refresh(context, None)
        case ["refresh", *words, "every", period] if words:
            return await _set_interval(context, await _named(context, words), period)
        case ["refresh", document, period] if arguments.is_interval(period):
            return await _set_interval(context, await _named(context, [document]), period)
        case ["save", *words]:
            return await saved_answers.save(context, words, for_everyone=given.flag("tenant"))
        case ["verify", *words]:
            return await verified_answers.verify(
                context, words, for_everyone=given.flag("tenant"), until=given.value("until")
            )
        case ["accept", source_id]:
            return await _accept_removals(context, source_id)
        case ["refresh", *words]:
            return await _refresh(context, await _named(context, words))
        case _:
            raise UsageError(user_messages.wrong_usage("docs", help_text.DOCS_USAGE))


async def _refresh_with_removals(context: Context, words: Sequence[str]) -> Reply:
    """Refresh a document's source, even if this removes many documents. Raises UsageError, NotAllowed."""
    match words:
        case ["refresh", *named] if named:
            return await _refresh(context, await _named(context, named), accept_removals=True)
        case _:
            raise UsageError(user_messages.wrong_usage("docs", help_text.DOCS_USAGE))


async def _refresh(context: Context, document_id: str | None, *, accept_removals: bool = False) -> Reply:
    """Ingest the source of one document again, or every source that this channel may read.

    ``accept_removals`` lets a refresh through that was held back; it is for admins.
    """
    if accept_removals and not context.author.is_admin:
        raise NotAllowed(docs_user_messages.ACCEPT_REMOVALS_ADMIN)
    if document_id is not None:
        await _readable(context, document_id)
    async with context.services.database.tenant(context.tenant_id) as session:
        rows = await document_catalog.sources(
            session, context.tenant_id, document_id=document_id, audiences=context.readable
        )
    again = [row for row in rows if row.can_be_read_again or document_id is not None]
    reply = await _read_again(context, again, accept_removals=accept_removals)
    skipped = skipped_uploads(rows, document_id)
    return replace(reply, text=f"{reply.text}\n{skipped}") if skipped else reply


async def _accept_removals(context: Context, source_id: str) -> Reply:
    """Refresh a source that is held back, and let it remove many documents. The button of the notice runs this.

    Paths on the server are read if the terminal set an interval for the source, as the scheduled refresh does.
    """
    if not context.author.is_admin:
        raise NotAllowed(docs_user_messages.ACCEPT_REMOVALS_ADMIN)
    async with context.services.database.tenant(context.tenant_id) as session:
        held_back = await held_back_sources.is_held_back(session, tenant_id=context.tenant_id, source_id=source_id)
        rows = [row for row in await document_catalog.sources(session, context.tenant_id) if row.id == source_id]
    if not held_back:
        raise UsageError(docs_user_messages.NOT_HELD_BACK)
    return await _read_again(context, rows, accept_removals=True, scheduled_paths=True)


async def _read_again(
    context: Context,
    rows: Sequence[document_catalog.SourceRow],
    *,
    accept_removals: bool,
    scheduled_paths: bool = False,
) -> Reply:
    """Ingest the sources again. ``scheduled_paths`` reads paths on the server that are refreshed at an interval."""
    requested: list[RequestedRun] = []
    failed: list[Failure] = []
    for row in rows:
        files = scheduled_paths and bool(row.refresh_seconds)
        try:
            context.services.open_source(row.uri, files=files, tenant_id=context.tenant_id)
        except KnowledgeError as error:
            failed.append(Failure(row.uri, str(error)))
            continue
        requested.append(
            await context.services.ingestion.refresh(
                context.tenant_id,
                row.id,
                asked_by=context.author.id,
                files=files,
                accept_removals=accept_removals,
                limited=not context.author.is_admin,
            )
        )
    return await follow_runs(context, requested, failed, here=False)


async def _set_interval(context: Context, document_id: str, period: str) -> Reply:
    """Set how often the source of a document is refreshed."""
    if not context.author.is_admin:
        raise NotAllowed(docs_user_messages.REFRESH_ADMIN)
    await _readable(context, document_id)
    async with context.services.database.tenant(context.tenant_id) as session:
        (row,) = await document_catalog.sources(session, context.tenant_id, document_id=document_id)
    context.services.open_source(row.uri, files=False, tenant_id=context.tenant_id)
    return Reply(await set_interval(context.services.database, context.tenant_id, row, period))


async def set_interval(database: Database, tenant_id: str, row: document_catalog.SourceRow, period: str) -> str:
    """Set a source's refresh interval and return a confirmation. Raises UsageError."""
    seconds = arguments.interval(period)
    if not row.can_be_read_again:
        raise UsageError(docs_user_messages.uploaded_source(row.uri))

    async def store(session: AsyncSession) -> None:
        await source_records.set_refresh(session, tenant_id=tenant_id, source_id=row.id, seconds=seconds)

    await database.run(tenant_id, store)
    return docs_user_messages.refresh_interval(row.uri, period, seconds)


def skipped_uploads(rows: Sequence[document_catalog.SourceRow], document_id: str | None) -> str:
    """Return a note about the uploads that a refresh of all sources skips; empty if there are none."""
    uploads = sum(not row.can_be_read_again for row in rows)
    if document_id is not None or not uploads:
        return ""
    return docs_user_messages.skipped_uploads(uploads)


async def _list(context: Context, words: Sequence[str]) -> Reply:
    matching, order, page = _list_options(words)
    tenant, readable, offset = context.tenant_id, context.readable, (page - 1) * MAX_ROWS
    async with context.services.database.tenant(tenant) as session:
        rows = await document_catalog.list_documents(
            session, tenant, audiences=readable, matching=matching, order=order, limit=MAX_ROWS, offset=offset
        )
        total = await document_catalog.count_documents(session, tenant, audiences=readable, matching=matching)
        held_back = await held_back_sources.list_sources(session, tenant_id=tenant, audiences=readable)
    why_not_all = _why_not_all(context)
    if not total:
        return Reply(
            (docs_user_messages.no_match(matching) if matching else docs_user_messages.NO_DOCUMENTS) + why_not_all
        )
    heading = docs_user_messages.documents(total, first=offset + 1, last=offset + len(rows), page=page)
    notes = "".join(f"\n{docs_user_messages.is_held_back(source.uri, source.reason)}" for source in held_back)
    return Reply(heading + why_not_all + notes, Table(COLUMNS, [cells(row) for row in rows]) if rows else None)


def _list_options(words: Sequence[str]) -> tuple[str, Order, int]:
    """Return the text to match, the order and the page of ``[TEXT] [by ORDER] [page N]``."""
    order, page = "source", 1
    rest = list(words)
    while len(rest) >= 2:
        match rest[-2:]:
            case ["by", word] if word in ORDERS:
                order = word
            case ["page", number] if 0 < (whole_number(number) or 0) <= MAX_PAGE:
                page = int(number)
            case _:
                break
        rest = rest[:-2]
    return " ".join(rest), cast(Order, order), page


async def _named(context: Context, words: Sequence[str]) -> str:
    """Return the id of the document that the words name among those that this channel may read."""
    async with context.services.database.tenant(context.tenant_id) as session:
        try:
            return await document_names.find(session, context.tenant_id, " ".join(words), audiences=context.readable)
        except KnowledgeError as error:
            raise UsageError(f"{error}{_why_not_all(context)}") from None


async def _show(context: Context, document_id: str) -> Reply:
    row = (await _readable(context, document_id)).row
    async with context.services.database.tenant(context.tenant_id) as session:
        whole = (await document_catalog.show(session, context.tenant_id, document_id)).text
    text, file = excerpt(whole, row.title)
    heading = "\n".join((f"**{row.title}**", row.source, *(f"- {one}" for one in row.warnings)))
    return Reply(f"{heading}\n\n{text}", file=file, links=urls_in(row.source))


async def _delete(context: Context, document_id: str) -> Reply:
    found = await _readable(context, document_id)

    async def delete(session: AsyncSession) -> None:
        (source,) = await document_catalog.sources(session, context.tenant_id, document_id=document_id)
        if source.added_by != context.author.id and not context.author.is_admin:
            raise NotAllowed(docs_user_messages.DELETE_ADMIN)
        await document_catalog.delete(session, context.tenant_id, document_id)

    await context.services.database.run(context.tenant_id, delete)
    return Reply(docs_user_messages.deleted(found.row.title))


async def _readable(context: Context, document_id: str) -> document_catalog.DocumentText:
    """Return a document that this channel may read, without its text.

    Raises UsageError, or KnowledgeError if it does not exist.
    """
    async with context.services.database.tenant(context.tenant_id) as session:
        found = await document_catalog.show(session, context.tenant_id, document_id, max_chars=0)
    if not context.may_read(found.row.audience):
        raise UsageError(docs_user_messages.unknown_document(document_id) + _why_not_all(context))
    return found


def _why_not_all(context: Context) -> str:
    """Return a sentence that says why the documents of the whole tenant are missing here; empty if they are not."""
    if context.readable is None or context.audience.tenant_wide:
        return ""
    return f" {engine_messages.without_tenant(context.audience.readers, context.channel_id)}"


COMMAND = Command("docs", help_text.DOCS_SUMMARY, help_text.DOCS_USAGE, run)
