"""``ingest``, ``docs`` and ``search``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

import click

from bot.cli.command_runtime import json_option, print_json, run, settings, stoppable, tenant_option, with_app
from knowledge.types import TENANT_AUDIENCE, ChunkingMethod, DocumentRow, Failure, Filter, IngestReport, Passage, Scope

if TYPE_CHECKING:
    from bot.app import App
    from knowledge.ports import Source

audience_option = click.option(
    "--audience", default=TENANT_AUDIENCE, show_default=True, help="'tenant' for everybody, or the id of a channel."
)


def filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a filter; one that is given several times lets any of its values pass."""
    options = (
        click.option("--source", "sources", multiple=True, metavar="PREFIX", help="Its source, as shown, begins so."),
        click.option("--kind", "kinds", multiple=True, help="Of source: folder, url, git, upload, slack, ..."),
        click.option("--format", "formats", multiple=True, help="pdf, docx, markdown, html, code, ..."),
        click.option("--language", "languages", multiple=True, help="As the document says: de, en-us."),
        click.option("--author", "authors", multiple=True, help="In full, as the document says."),
        click.option("--since", type=click.DateTime(), help="Of this day or later."),
        click.option("--until", type=click.DateTime(), help="Before this day."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _filter(since: datetime | None, until: datetime | None, **lists: tuple[str, ...]) -> Filter:
    given = {name: values or None for name, values in lists.items()}
    return Filter(
        **given,
        since=since and since.replace(tzinfo=UTC),
        until=until and until.replace(tzinfo=UTC),
    )


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--audience", help="'tenant' or the id of a channel. [default: tenant; of a channel's history that channel]"
)
@click.option(
    "--chunking",
    type=click.Choice(get_args(ChunkingMethod)),
    help="How these sources are cut from here on; PARLEY_CHUNKING where none was ever named.",
)
@tenant_option
@json_option
def ingest(
    sources: tuple[str, ...], audience: str | None, chunking: ChunkingMethod | None, tenant: str, as_json: bool
) -> None:
    """Take in folders, files, addresses, sitemap:ADDRESS, crawl:ADDRESS and git:ADDRESS or git:PATH."""
    report = with_app(lambda app: _ingest(app, sources, audience, chunking, tenant))
    _show_report(report, as_json, here=audience not in (None, TENANT_AUDIENCE))


@click.command()
@click.argument("query")
@click.option("-k", default=5, show_default=True, type=click.IntRange(1, 100), help="How many passages.")
@audience_option
@filter_options
@tenant_option
@json_option
def search(query: str, k: int, audience: str, tenant: str, as_json: bool, **conditions: Any) -> None:
    """Search the documents, and show what each stage thought."""
    channel = None if audience == TENANT_AUDIENCE else audience
    scope = Scope.of_channel(tenant, channel).narrowed(_filter(**conditions))
    found = with_app(lambda app: app.retriever(query, scope, k=k), warm=True)
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
        from knowledge import document_catalog

        async with database.tenant(tenant) as session:
            return await document_catalog.show(session, tenant, document_id)

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
        from knowledge import document_catalog

        async with database.tenant(tenant) as session:
            await document_catalog.delete(session, tenant, document_id)

    _with_database(deleted)
    if as_json:
        print_json({"deleted": [document_id]})
    else:
        click.echo(f"Deleted {document_id}.")


@docs.command()
@click.argument("document_id", required=False)
@click.option(
    "--every", help="Do not read it now; have its source read by itself so often: 30min, 6h, 2d, never or default."
)
@tenant_option
@json_option
def refresh(document_id: str | None, every: str | None, tenant: str, as_json: bool) -> None:
    """Read a document's source again, or every source."""
    if every is None:
        _show_report(with_app(lambda app: _refresh(app, document_id, tenant)), as_json, here=False)
        return
    if document_id is None:
        raise click.UsageError("Name the document whose source shall be read so often.")
    told = _with_database(lambda database: _every(database, document_id, every, tenant))
    if as_json:
        print_json({"id": document_id, "every": every})
    else:
        click.echo(told)


async def _every(database: Any, document_id: str, every: str, tenant: str) -> str:
    from bot.commands.docs import set_interval
    from knowledge import document_catalog

    async with database.tenant(tenant) as session:
        (row,) = await document_catalog.sources(session, tenant, document_id=document_id)
    return await set_interval(database, tenant, row, every)


def _show_report(report: IngestReport, as_json: bool, *, here: bool) -> None:
    if as_json:
        print_json(report_document(report))
    else:
        from bot.commands.ingest import told

        click.echo(told(report, [], here=here))
        click.echo(f"{report.seconds:.1f} s", err=True)
    if report.stopped or (report.failed and not report.documents):
        sys.exit(1)


def report_document(report: IngestReport) -> dict[str, Any]:
    """An ingestion as the contract has it."""
    return {
        "documents": report.documents,
        "chunks": report.chunks,
        "unchanged": report.unchanged,
        "failed": [{"source": failure.source, "error": failure.error} for failure in report.failed],
        "seconds": round(report.seconds, 3),
        "deleted": report.deleted,
        "stopped": report.stopped,
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


async def _ingest(
    app: App, specs: tuple[str, ...], audience: str | None, chunking: ChunkingMethod | None, tenant: str
) -> IngestReport:
    wanted: list[tuple[Source, str]] = []
    failed: list[Failure] = []
    for spec in specs:
        _open(app, spec, audience, wanted, failed, tenant)
    return await _read(app, wanted, failed, tenant, chunking)


async def _refresh(app: App, document_id: str | None, tenant: str) -> IngestReport:
    from bot.commands.docs import skipped_of
    from knowledge import document_catalog

    async with app.database.tenant(tenant) as session:
        rows = await document_catalog.sources(session, tenant, document_id=document_id)
    wanted: list[tuple[Source, str]] = []
    failed: list[Failure] = []
    for row in rows:
        if row.can_be_read_again or document_id is not None:
            _open(app, row.uri, row.audience, wanted, failed, tenant)
    if skipped := skipped_of(rows, document_id):
        click.echo(skipped, err=True)
    return await _read(app, wanted, failed, tenant)


def _open(
    app: App, spec: str, audience: str | None, wanted: list[tuple[Source, str]], failed: list[Failure], tenant: str
) -> None:
    from knowledge.errors import KnowledgeError

    try:
        source = app.services.open_source(spec, files=True, tenant_id=tenant)
        wanted.append((source, audience or _own_audience(source)))
    except KnowledgeError as error:
        failed.append(Failure(spec, str(error)))


def _own_audience(source: Source) -> str:
    """Who may ask about it where nobody said: the people in a channel about its history, everybody about the rest."""
    return source.uri.partition(":")[2] if source.kind in ("slack", "discord") else TENANT_AUDIENCE


async def _read(
    app: App,
    wanted: list[tuple[Source, str]],
    failed: list[Failure],
    tenant: str,
    chunking: ChunkingMethod | None = None,
) -> IngestReport:
    """Read the sources one after the other in this process. Ctrl-C ends it early, and what was taken in stays."""
    from bot.cli.progress import bars, follower
    from bot.commands.ingest import added
    from bot.ingestion import Busy, Worker, here

    worker = Worker(app.database, app.ingestor, app.services.open_source)
    report = IngestReport(0, 0, 0, (), 0.0)
    with bars() as progress, stoppable() as stop:
        show = follower(progress)
        for source, audience in wanted:
            if stop.is_set():
                break
            try:
                one = await here(
                    worker,
                    tenant,
                    source,
                    audience=audience,
                    now=app.services.clock(),
                    chunking=chunking,
                    on_progress=show,
                    stop=stop,
                )
            except Busy as error:
                one = IngestReport(0, 0, 0, (Failure(source.uri, str(error)),), 0.0)
            report = added(report, one)
    return replace(report, failed=(*failed, *report.failed), stopped=report.stopped or stop.is_set())


def _list(tenant: str, as_json: bool) -> None:
    async def listed(database: Any) -> list[DocumentRow]:
        from knowledge import document_catalog

        async with database.tenant(tenant) as session:
            return await document_catalog.list_documents(session, tenant)

    rows = _with_database(listed)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    if not rows:
        click.echo("No documents are in. 'parley ingest FOLDER' takes some in.")
        return
    from bot.cli.output import show_table
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
