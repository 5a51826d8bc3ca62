"""``ingest``, ``docs`` and ``search``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from bot.cli.running import json_option, print_json, run, settings, tenant_option, with_app
from knowledge.types import TENANT_AUDIENCE, DocumentRow, Failure, IngestReport, Passage, Progress, Scope

if TYPE_CHECKING:
    from bot.app import App
    from knowledge.ports import Source

audience_option = click.option(
    "--audience", default=TENANT_AUDIENCE, show_default=True, help="'tenant' for everybody, or the id of a channel."
)


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@audience_option
@tenant_option
@json_option
def ingest(sources: tuple[str, ...], audience: str, tenant: str, as_json: bool) -> None:
    """Take in folders, files, addresses, sitemap:ADDRESS, crawl:ADDRESS and git:ADDRESS or git:PATH."""
    report = with_app(lambda app: _ingest(app, sources, audience, tenant))
    if as_json:
        print_json(report_document(report))
    else:
        from bot.commands.ingest import told

        click.echo(told(report, [], here=audience != TENANT_AUDIENCE))
        click.echo(f"{report.seconds:.1f} s", err=True)
    if report.failed and not report.documents:
        sys.exit(1)


@click.command()
@click.argument("query")
@click.option("-k", default=5, show_default=True, type=click.IntRange(1, 100), help="How many passages.")
@audience_option
@tenant_option
@json_option
def search(query: str, k: int, audience: str, tenant: str, as_json: bool) -> None:
    """Search the documents, and show what each stage thought."""
    channel = None if audience == TENANT_AUDIENCE else audience
    found = with_app(lambda app: app.retriever(query, Scope.of_channel(tenant, channel), k=k), warm=True)
    if as_json:
        passages = [passage_document(rank, passage) for rank, passage in enumerate(found.passages, 1)]
        print_json({"passages": passages, "timings_ms": dict(found.timings_ms)})
        return
    if not found.passages:
        click.echo("Nothing was found. 'parley docs' lists what is in, 'parley ingest' takes more in.")
    for rank, passage in enumerate(found.passages, 1):
        place = " › ".join((passage.title, *passage.heading))
        click.echo(
            f"{rank}. {place}  ({passage.score:.3f})\n   {passage.source}\n   {' '.join(passage.text.split())}\n"
        )


@click.group(invoke_without_command=True)
@tenant_option
@json_option
@click.pass_context
def docs(context: click.Context, tenant: str, as_json: bool) -> None:
    """List, show, delete and refresh documents."""
    if context.invoked_subcommand is None:
        _list(tenant, as_json)


@docs.command(name="list")
@tenant_option
@json_option
def list_command(tenant: str, as_json: bool) -> None:
    """List the documents, with their state and age."""
    _list(tenant, as_json)


@docs.command()
@click.argument("document_id")
@tenant_option
@json_option
def show(document_id: str, tenant: str, as_json: bool) -> None:
    """Show one document with its text."""

    async def shown(database: Any) -> Any:
        from knowledge import catalog

        async with database.tenant(tenant) as session:
            return await catalog.show(session, tenant, document_id)

    found = _with_database(shown)
    row, text = found.row, found.text
    if as_json:
        print_json({**asdict(row), "text": text})
        return
    for name, value in asdict(row).items():
        click.echo(f"{name}: {value}")
    click.echo(f"\n{text}")


@docs.command()
@click.argument("document_id")
@tenant_option
@json_option
def delete(document_id: str, tenant: str, as_json: bool) -> None:
    """Delete one document."""

    async def deleted(database: Any) -> None:
        from knowledge import catalog

        async with database.tenant(tenant) as session:
            await catalog.delete(session, tenant, document_id)

    _with_database(deleted)
    if as_json:
        print_json({"deleted": [document_id]})
    else:
        click.echo(f"Deleted {document_id}.")


@docs.command()
@click.argument("document_id", required=False)
@tenant_option
@json_option
def refresh(document_id: str | None, tenant: str, as_json: bool) -> None:
    """Read a document's source again, or every source."""
    from bot.commands.docs import refreshed

    report = with_app(lambda app: refreshed(app.services, tenant, document_id, files=True))
    if as_json:
        print_json(report_document(report))
        return
    from bot.commands.ingest import told

    click.echo(told(report, [], here=False))


def report_document(report: IngestReport) -> dict[str, Any]:
    """An ingestion as the contract has it."""
    return {
        "documents": report.documents,
        "chunks": report.chunks,
        "unchanged": report.unchanged,
        "failed": [{"source": failure.source, "error": failure.error} for failure in report.failed],
        "seconds": round(report.seconds, 3),
        "deleted": report.deleted,
    }


def passage_document(rank: int, passage: Passage) -> dict[str, Any]:
    """A passage as the contract has it."""
    return {
        "rank": rank,
        "score": passage.score,
        "text": passage.text,
        "source": passage.source,
        "title": passage.title,
        "heading": list(passage.heading),
        "page": passage.page,
        "start": passage.start,
        "end": passage.end,
        "legs": asdict(passage.legs),
    }


async def _ingest(app: App, specs: tuple[str, ...], audience: str, tenant: str) -> IngestReport:
    from dataclasses import replace

    from bot.cli.progress import bars
    from knowledge.errors import KnowledgeError
    from knowledge.sources import open_source

    most = app.settings.max_file_mb * 1_000_000
    sources: list[Source] = []
    failed: list[Failure] = []
    for spec in specs:
        try:
            sources.append(open_source(spec, fetch_allow=app.settings.fetch_allow, max_bytes=most, files=True))
        except KnowledgeError as error:
            failed.append(Failure(spec, str(error)))
    with bars() as progress:
        tasks: dict[str, Any] = {}

        def show(at: Progress) -> None:
            if at.source not in tasks:
                tasks[at.source] = progress.add_task(at.source, total=at.total)
            note = f" ({at.failed} failed)" if at.failed else ""
            progress.update(tasks[at.source], description=at.source + note, completed=at.done, total=at.total)

        report = await app.ingestor.ingest(sources, tenant_id=tenant, audience=audience, on_progress=show)
    return replace(report, failed=(*failed, *report.failed))


def _list(tenant: str, as_json: bool) -> None:
    async def listed(database: Any) -> list[DocumentRow]:
        from knowledge import catalog

        async with database.tenant(tenant) as session:
            return await catalog.list_documents(session, tenant)

    rows = _with_database(listed)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    if not rows:
        click.echo("No documents are in. 'parley ingest FOLDER' takes some in.")
        return
    from bot.cli.tables import show_table
    from bot.commands.docs import COLUMNS, cells

    show_table(COLUMNS, [cells(row) for row in rows])


def _with_database(work: Any) -> Any:
    made = settings()

    async def opened() -> Any:
        from bot.app import opened_database

        async with opened_database(made) as database:
            return await work(database)

    return run(opened())


COMMANDS = (ingest, docs, search)
