"""The ``parley docs`` commands: list, show, delete and refresh documents."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from bot.cli import user_messages
from bot.cli.command_runtime import require_tenant, settings, with_app, with_database, with_tenant
from bot.cli.options import data_options
from bot.cli.output import echo, print_data, print_json
from bot.cli.parameter_types import Identifier
from bot.commands import docs_user_messages
from knowledge.types.documents import ORDERS, DocumentRow, Order
from knowledge.types.ingest_reports import IngestReport

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from bot.app import App
    from bot.cli.ingest import OpenedSources
    from bot.store.database.session import Database
    from knowledge.store.document_catalog import DocumentText
    from knowledge.store.held_back_sources import HeldBack


@click.group(invoke_without_command=True)
@data_options
@click.pass_context
def docs(context: click.Context, tenant: str, as_json: bool) -> None:
    """List, show, delete and refresh documents. Without a command, list them.

    The options apply to the command that follows too, unless the command sets its own.
    """
    if context.invoked_subcommand is None:
        _list(tenant, as_json)


@docs.command(name="list")
@click.argument("text", default="")
@click.option(
    "--sort",
    "order",
    type=click.Choice(ORDERS),
    default="source",
    show_default=True,
    help="Order of the list: age begins with the newest, size with the longest.",
)
@click.option("--limit", type=click.IntRange(1, 100_000), help="How many documents a page has.  [default: all]")
@click.option("--page", type=click.IntRange(1, 100_000), help="Which page to show; needs --limit.  [default: 1]")
@data_options
def list_command(text: str, order: Any, limit: int | None, page: int | None, tenant: str, as_json: bool) -> None:
    """List the documents with their state and age.

    With TEXT, list only documents whose title or source contains it.
    """
    if page is not None and limit is None:
        raise click.UsageError(user_messages.PAGE_WITHOUT_LIMIT)
    _list(tenant, as_json, matching=text, order=order, limit=limit, page=page or 1)


@docs.command()
@click.argument("document_id", type=Identifier(), metavar="ID")
@data_options
def show(document_id: str, tenant: str, as_json: bool) -> None:
    """Show one document with its text."""

    async def load(session: AsyncSession) -> DocumentText:
        from knowledge.store import document_catalog, document_names

        found = await document_names.find(session, tenant, document_id)
        return await document_catalog.show(session, tenant, found)

    document = with_tenant(tenant, load)
    if as_json:
        print_json({**_as_document(document.row), "text": document.text})
        return
    shown = _as_document(document.row)
    warnings = shown.pop("warnings")
    for name, value in (*shown.items(), *(("warning", one) for one in warnings)):
        echo(f"{name}: {value}")
    echo(f"\n{document.text}")


@docs.command()
@click.argument("document_id", type=Identifier(), metavar="ID")
@data_options
def delete(document_id: str, tenant: str, as_json: bool) -> None:
    """Delete one document."""

    async def delete_document(session: AsyncSession) -> None:
        from knowledge.store import document_catalog, document_names

        found = await document_names.find(session, tenant, document_id)
        await document_catalog.delete(session, tenant, found)

    with_tenant(tenant, delete_document)
    if as_json:
        print_json({"deleted": [document_id]})
    else:
        echo(docs_user_messages.deleted(document_id))


@docs.command()
@click.argument("document_id", type=Identifier(), required=False, metavar="[ID]")
@click.option(
    "--every",
    metavar="INTERVAL",
    help="Instead of refreshing now, set how often the source is refreshed: 30min, 6h, 2d, never or default.",
)
@click.option(
    "--accept-removals",
    is_flag=True,
    help="Remove and replace documents even if so many are gone that the refresh was held back; needs ID.",
)
@data_options
def refresh(document_id: str | None, every: str | None, accept_removals: bool, tenant: str, as_json: bool) -> None:
    """Fetch sources again and update the documents that changed.

    With the ID of a document, fetch only the source of that document.
    """
    if accept_removals and (document_id is None or every is not None):
        raise click.UsageError(user_messages.ACCEPT_REMOVALS_OF_ONE)
    if every is None:
        from bot.cli import ingest

        sources = ingest.OpenedSources()
        report = with_app(lambda app: _refresh(app, sources, document_id, accept_removals, tenant))
        ingest.show_report(report, as_json, here=False, is_complete=sources.all_read)
        return
    if document_id is None:
        raise click.UsageError(user_messages.NAME_A_DOCUMENT)
    confirmation = with_database(lambda database: _set_interval(database, document_id, every, tenant))
    if as_json:
        print_json({"id": document_id, "every": every})
    else:
        echo(confirmation)


async def _refresh(
    app: App, sources: OpenedSources, document_id: str | None, accept_removals: bool, tenant: str
) -> IngestReport:
    from bot.cli.ingest import ingest_sources
    from bot.commands.docs import skipped_uploads
    from knowledge.store import document_catalog, document_names

    await require_tenant(app.database, tenant)
    async with app.database.tenant(tenant) as session:
        if document_id is not None:
            document_id = await document_names.find(session, tenant, document_id)
        rows = await document_catalog.sources(session, tenant, document_id=document_id)
    for row in rows:
        if row.can_be_read_again or document_id is not None:
            sources.open(app, row.uri, row.audience, tenant)
    if skipped := skipped_uploads(rows, document_id):
        echo(skipped, err=True)
    return await ingest_sources(app, sources, tenant, accept_removals=accept_removals)


async def _set_interval(database: Database, document_id: str, every: str, tenant: str) -> str:
    from bot.commands.docs import set_interval
    from knowledge.store import document_catalog, document_names

    await require_tenant(database, tenant)
    async with database.tenant(tenant) as session:
        document_id = await document_names.find(session, tenant, document_id)
        (row,) = await document_catalog.sources(session, tenant, document_id=document_id)
    return await set_interval(database, tenant, row, every)


def _list(
    tenant: str,
    as_json: bool,
    *,
    matching: str = "",
    order: Order = "source",
    limit: int | None = None,
    page: int = 1,
) -> None:
    offset = (page - 1) * (limit or 0)

    async def load(database: Database) -> tuple[list[DocumentRow], int, list[str]]:
        from bot.commands.language_suggestion import suggest_multilingual

        await require_tenant(database, tenant)
        rows, total, held_back = await database.run(tenant, list_page)
        suggestion = "" if as_json else await suggest_multilingual(database, tenant, settings().embedding_model)
        notes = [user_messages.is_held_back(source.uri, source.reason) for source in held_back]
        return rows, total, [*notes, *filter(None, [suggestion])]

    async def list_page(session: AsyncSession) -> tuple[list[DocumentRow], int, list[HeldBack]]:
        from knowledge.store import document_catalog, held_back_sources

        rows = await document_catalog.list_documents(
            session, tenant, matching=matching, order=order, limit=limit, offset=offset
        )
        total = await document_catalog.count_documents(session, tenant, matching=matching)
        return rows, total, await held_back_sources.list_sources(session, tenant_id=tenant)

    rows, total, notes = with_database(load)
    if not rows and not as_json:
        echo(user_messages.no_such_documents(matching, total))
        return
    from bot.commands.document_table import COLUMNS, cells

    print_data([_as_document(row) for row in rows], COLUMNS, [cells(row) for row in rows], as_json=as_json)
    if not as_json:
        echo(user_messages.listed(offset + 1, offset + len(rows), total), err=True)
        for note in notes:
            echo(note, err=True)


def _as_document(row: DocumentRow) -> dict[str, Any]:
    """Return a row as the JSON document of the command line, with its short id."""
    document = asdict(row)
    return {**document, "id": document.pop("short_id")}


COMMANDS = (docs,)
