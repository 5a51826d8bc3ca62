"""The ``parley ingest`` command, and ingesting sources in this process with progress bars."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

import click

from bot.cli.command_runtime import ensure_tenant, stoppable, with_app
from bot.cli.options import data_options
from bot.cli.output import echo, print_json
from bot.cli.parameter_types import Identifier, SourceName
from knowledge.source_options import UNCHANGED, SourceOptions
from knowledge.types.documents import ChunkingMethod
from knowledge.types.ingest_reports import IngestReport
from knowledge.types.scope import TENANT_AUDIENCE
from knowledge.types.source_items import Failure

if TYPE_CHECKING:
    from bot.app import App
    from knowledge.ports import Source


@click.command()
@click.argument("sources", nargs=-1, required=True, type=SourceName(), metavar="SOURCE...")
@click.option(
    "--audience",
    type=Identifier(),
    metavar="tenant|CHANNEL",
    help="Who can ask about the documents: 'tenant' for everyone, or the ID of a channel for its members.  "
    "[default: tenant; for the history of a channel, its members]",
)
@click.option(
    "--chunking",
    type=click.Choice(get_args(ChunkingMethod)),
    help="How to split these documents into chunks, now and at every refresh.  [default: PARLEY_CHUNKING]",
)
@click.option(
    "--include-hidden/--no-include-hidden",
    default=None,
    help="Whether to read what is hidden in Office files, now and at every refresh: sheets, rows, columns, deleted "
    "text, comments and notes of slides.  [default: no]",
)
@data_options
def ingest(
    sources: tuple[str, ...],
    audience: str | None,
    chunking: ChunkingMethod | None,
    include_hidden: bool | None,
    tenant: str,
    as_json: bool,
) -> None:
    """Add documents, or update those that changed.

    SOURCE is a folder, a file, a web address, sitemap:ADDRESS, crawl:ADDRESS, git:ADDRESS, git:PATH, slack:CHANNEL or
    discord:CHANNEL. Unchanged documents are skipped. Ctrl-C stops early and keeps what was added.
    """
    options = SourceOptions(chunking, include_hidden)

    async def ingest_and_suggest(app: App) -> tuple[IngestReport, str]:
        from bot.commands.language_suggestion import suggest_multilingual

        report = await _ingest(app, opened, sources, audience, options, tenant)
        return report, await suggest_multilingual(app.database, tenant, app.settings.embedding_model)

    opened = OpenedSources()
    report, suggestion = with_app(ingest_and_suggest)
    if suggestion:
        echo(suggestion, err=True)
    show_report(report, as_json, here=audience not in (None, TENANT_AUDIENCE), is_complete=opened.all_read)


@dataclass(slots=True)
class OpenedSources:
    """Sources with their audiences, and those that could not be opened.

    ``all_read``: something could be read of every source that was named, or it has no documents.
    """

    opened: list[tuple[Source, str]] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    all_read: bool = True

    def open(self, app: App, spec: str, audience: str | None, tenant: str) -> None:
        """Open the source that ``spec`` names, or record why it cannot be opened."""
        from knowledge.errors import KnowledgeError
        from knowledge.text.secret_redaction import redact
        from knowledge.text.storable_text import storable

        try:
            source = app.services.open_source(spec, files=True, tenant_id=tenant)
            self.opened.append((source, audience or _default_audience(source)))
        except KnowledgeError as error:
            self.failed.append(Failure(redact(storable(spec)), storable(str(error))))
            self.all_read = False


async def _ingest(
    app: App,
    sources: OpenedSources,
    names: tuple[str, ...],
    audience: str | None,
    options: SourceOptions,
    tenant: str,
) -> IngestReport:
    await ensure_tenant(app.database, tenant)
    for name in names:
        sources.open(app, name, audience, tenant)
    return await ingest_sources(app, sources, tenant, options)


def _default_audience(source: Source) -> str:
    """Return who can ask about a source: the members of a channel about its history, everyone about the rest."""
    return source.uri.partition(":")[2] if source.kind in ("slack", "discord") else TENANT_AUDIENCE


async def ingest_sources(
    app: App,
    sources: OpenedSources,
    tenant: str,
    options: SourceOptions = UNCHANGED,
    *,
    accept_removals: bool = False,
) -> IngestReport:
    """Ingest the sources one after the other in this process. Ctrl-C stops early; documents added so far stay."""
    from bot.cli.progress import bars, follower
    from bot.commands.ingest import combined
    from bot.ingestion import IngestRunner, SourceBusy, ingest_in_process

    runner = IngestRunner(app.database, app.ingestor, app.services.open_source, app.services.daily_limit)
    report = IngestReport(0, 0, 0, (), 0.0)
    with bars() as progress, stoppable() as stop:
        show = follower(progress)
        for source, audience in sources.opened:
            if stop.is_set():
                break
            try:
                one = await ingest_in_process(
                    runner,
                    tenant,
                    source,
                    audience=audience,
                    now=app.services.clock(),
                    options=options,
                    on_progress=show,
                    stop=stop,
                    accept_removals=accept_removals,
                )
            except SourceBusy as error:
                one = IngestReport(0, 0, 0, (Failure(source.uri, str(error)),), 0.0)
            sources.all_read &= bool(one.documents or not one.failed)
            report = combined(report, one)
    return replace(report, failed=(*sources.failed, *report.failed), stopped=report.stopped or stop.is_set())


def show_report(report: IngestReport, as_json: bool, *, here: bool, is_complete: bool) -> None:
    """Print the result of an ingestion; exit with status 1 if it was stopped or not ``is_complete``."""
    if as_json:
        print_json(report_document(report))
    else:
        from bot.commands.ingest_user_messages import ingested

        echo(ingested(report, [], here=here))
        echo(f"{report.seconds:.1f} s", err=True)
    if report.stopped or not is_complete:
        sys.exit(1)


def report_document(report: IngestReport) -> dict[str, Any]:
    """Return the result of an ingestion as the JSON document of the command line."""
    return {
        "documents": report.documents,
        "chunks": report.chunks,
        "unchanged": report.unchanged,
        "failed": [{"source": failure.source, "error": failure.error} for failure in report.failed],
        "seconds": round(report.seconds, 3),
        "deleted": report.deleted,
        "stopped": report.stopped,
        "warnings": [{"source": one.source, "warning": one.warning} for one in report.warnings],
    }


COMMANDS = (ingest,)
