"""The ``parley docs`` commands: list, show, delete and refresh documents."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from bot.cli import user_messages
from bot.cli.command_runtime import with_app, with_database
from bot.cli.options import data_options
from bot.cli.output import echo, print_data, print_json
from knowledge.types import DocumentRow, IngestReport

if TYPE_CHECKING:
    from bot.app import App
    from bot.store.session import Database
    from knowledge.document_catalog import DocumentText


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
@data_options
def list_command(tenant: str, as_json: bool) -> None:
    """List the documents with their state and age."""
    _list(tenant, as_json)


@docs.command()
@click.argument("document_id", metavar="ID")
@data_options
def show(document_id: str, tenant: str, as_json: bool) -> None:
    """Show one document with its text."""

    async def load(database: Database) -> DocumentText:
        from knowledge import document_catalog

        async with database.tenant(tenant) as session:
            return await document_catalog.show(session, tenant, document_id)

    document = with_database(load)
    if as_json:
        print_json({**asdict(document.row), "text": document.text})
        return
    for name, value in asdict(document.row).items():
        echo(f"{name}: {value}")
    echo(f"\n{document.text}")


@docs.command()
@click.argument("document_id", metavar="ID")
@data_options
def delete(document_id: str, tenant: str, as_json: bool) -> None:
    """Delete one document."""

    async def delete_document(database: Database) -> None:
        from knowledge import document_catalog

        async with database.tenant(tenant) as session:
            await document_catalog.delete(session, tenant, document_id)

    with_database(delete_document)
    if as_json:
        print_json({"deleted": [document_id]})
    else:
        echo(user_messages.deleted(document_id))


@docs.command()
@click.argument("document_id", required=False, metavar="[ID]")
@click.option(
    "--every",
    metavar="INTERVAL",
    help="Instead of refreshing now, set how often the source is refreshed: 30min, 6h, 2d, never or default.",
)
@data_options
def refresh(document_id: str | None, every: str | None, tenant: str, as_json: bool) -> None:
    """Fetch sources again and update the documents that changed.

    With the ID of a document, fetch only the source of that document.
    """
    from bot.cli.ingest import show_report

    if every is None:
        show_report(with_app(lambda app: _refresh(app, document_id, tenant)), as_json, here=False)
        return
    if document_id is None:
        raise click.UsageError(user_messages.NAME_A_DOCUMENT)
    confirmation = with_database(lambda database: _set_interval(database, document_id, every, tenant))
    if as_json:
        print_json({"id": document_id, "every": every})
    else:
        echo(confirmation)


async def _refresh(app: App, document_id: str | None, tenant: str) -> IngestReport:
    from bot.cli.ingest import OpenedSources, ingest_sources
    from bot.commands.docs import skipped_uploads
    from knowledge import document_catalog

    async with app.database.tenant(tenant) as session:
        rows = await document_catalog.sources(session, tenant, document_id=document_id)
    sources = OpenedSources()
    for row in rows:
        if row.can_be_read_again or document_id is not None:
            sources.open(app, row.uri, row.audience, tenant)
    if skipped := skipped_uploads(rows, document_id):
        echo(skipped, err=True)
    return await ingest_sources(app, sources, tenant)


async def _set_interval(database: Database, document_id: str, every: str, tenant: str) -> str:
    from bot.commands.docs import set_interval
    from knowledge import document_catalog

    async with database.tenant(tenant) as session:
        (row,) = await document_catalog.sources(session, tenant, document_id=document_id)
    return await set_interval(database, tenant, row, every)


def _list(tenant: str, as_json: bool) -> None:
    async def load(database: Database) -> list[DocumentRow]:
        from knowledge import document_catalog

        async with database.tenant(tenant) as session:
            return await document_catalog.list_documents(session, tenant)

    rows = with_database(load)
    if not rows and not as_json:
        echo(user_messages.NO_DOCUMENTS)
        return
    from bot.commands.docs import COLUMNS, cells

    print_data([asdict(row) for row in rows], COLUMNS, [cells(row) for row in rows], as_json=as_json)


COMMANDS = (docs,)
