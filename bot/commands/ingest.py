"""``ingest``: brings documents in: addresses and uploaded files."""

from __future__ import annotations

import asyncio

from bot.commands import arguments
from bot.commands.base import Command, Context, Reply
from bot.errors import UsageError
from knowledge.errors import KnowledgeError
from knowledge.ports import Source
from knowledge.sources import UploadSource, open_source
from knowledge.types import TENANT_AUDIENCE, Failure, IngestReport, Progress

USAGE = "[--here] ADDRESS... (or attach files)"
SHOWN_FAILURES = 5
UPDATE_EVERY = 1.0


async def run(context: Context, line: str) -> Reply:
    """Take in every address and attachment; ``--here`` keeps them to this channel. One failure stops no other."""
    given = arguments.words(line)
    here = arguments.take_flag(given, "--here")
    if not given and not context.attachments:
        raise UsageError(f"What shall I read? Write /ingest {USAGE}.")
    sources, failed = await _sources(context, given)
    audience = context.channel_id if here else TENANT_AUDIENCE
    report = await _with_updates(context, sources, audience)
    return Reply(told(report, failed, here=here), private=False)


async def _sources(context: Context, given: list[str]) -> tuple[list[Source], list[Failure]]:
    settings = context.services.settings
    most = settings.max_file_mb * 1_000_000
    sources: list[Source] = []
    failed: list[Failure] = []
    for spec in given:
        try:
            address = spec.strip("<>").split("|")[0]
            sources.append(open_source(address, fetch_allow=settings.fetch_allow, max_bytes=most, files=False))
        except KnowledgeError as error:
            failed.append(Failure(spec, str(error)))
    for attachment in context.attachments:
        if attachment.size > most:
            failed.append(Failure(attachment.name, f"larger than the {settings.max_file_mb} MB of PARLEY_MAX_FILE_MB"))
            continue
        sources.append(UploadSource(attachment.name, await attachment.read(), content_type=attachment.content_type))
    return sources, failed


async def _with_updates(context: Context, sources: list[Source], audience: str) -> IngestReport:
    """Ingest, and tell the chat once a second how far it is."""
    latest = ""

    def note(progress: Progress) -> None:
        nonlocal latest
        latest = progress_line(progress)

    work = asyncio.ensure_future(
        context.services.ingestor.ingest(sources, tenant_id=context.tenant_id, audience=audience, on_progress=note)
    )
    shown = ""
    try:
        while not (await asyncio.wait({work}, timeout=UPDATE_EVERY))[0]:
            if latest != shown:
                shown = latest
                await context.update(shown)
    finally:
        work.cancel()
    return await work


def progress_line(progress: Progress) -> str:
    """``handbook: 142 of 310 pages, 2 failed``"""
    count = f"{progress.done} of {progress.total}" if progress.total else str(progress.done)
    failed = f", {progress.failed} failed" if progress.failed else ""
    return f"{progress.source}: {count} documents{failed}"


def told(report: IngestReport, failed: list[Failure], *, here: bool) -> str:
    """The report in words."""
    everything = [*failed, *report.failed]
    taken = report.documents - report.unchanged
    parts = []
    if taken:
        parts.append(f"Took in {_number(taken, 'document')} ({_number(report.chunks, 'passage')}).")
    if report.unchanged:
        parts.append(f"{_number(report.unchanged, 'document')} had not changed.")
    if report.deleted:
        parts.append(f"{_number(report.deleted, 'document')} had vanished and went.")
    if taken or report.unchanged:
        who = "People in this channel" if here else "Everybody in this workspace"
        parts.append(f"{who} can ask about it now.")
    lines = [f"- {failure.source}: {failure.error}" for failure in everything[:SHOWN_FAILURES]]
    if len(everything) > SHOWN_FAILURES:
        lines.append(f"- and {len(everything) - SHOWN_FAILURES} more; /docs shows them")
    if lines:
        parts.append(f"{_number(len(everything), 'document')} could not be read:\n" + "\n".join(lines))
    return " ".join(parts) or "There was nothing to take in."


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


COMMAND = Command("ingest", "takes documents in", USAGE, run)
