"""The ``ingest`` command: adds web addresses, uploaded files and channel history, and stops running ingestions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from bot.commands import arguments, help_text, ingest_user_messages, user_messages
from bot.commands.base import Command, Context, Reply
from bot.errors import NotAllowed, ParleyError, StoreAway, UsageError
from bot.ingestion import RequestedRun
from knowledge import refusal_counts
from knowledge.errors import KnowledgeError
from knowledge.ports import Source
from knowledge.sources.files import UploadSource
from knowledge.store import ingest_runs
from knowledge.store.ingest_runs import Run
from knowledge.text.numbered_names import numbered
from knowledge.text.secret_redaction import redact
from knowledge.types.ingest_reports import IngestReport
from knowledge.types.scope import TENANT_AUDIENCE
from knowledge.types.source_items import Failure

POLLS_WITHOUT_PROGRESS = 3
"""Number of polls, less than a second in all, before progress is shown. Most uploads end earlier."""
ID_PREFIX_CHARS = 8
MAX_NAMED_RUNS = 8
"""Most run id prefixes in one button's id, which has at most 80 characters."""
MINE = "mine"

_RUN_ID_PREFIX = re.compile(rf"[0-9a-f-]{{{ID_PREFIX_CHARS},36}}")


async def run(context: Context, line: str) -> Reply:
    """Ingest every address, attachment and channel that is named. A source that fails does not stop the others.

    ``--here`` limits the documents to this channel, ``--tenant`` opens them to everyone. Without either, an admin's
    documents are for everyone and a member's for this channel, unless PARLEY_TENANT_DOCUMENTS lets members decide. In a
    private thread, which fewer people read than its channel, no document can be limited to "here".
    """
    given = arguments.parse(line, flags=("here", "tenant"))
    words, here, for_everyone = given.words, given.flag("here"), given.flag("tenant")
    if here and for_everyone:
        raise UsageError(user_messages.wrong_usage("ingest", help_text.INGEST_USAGE))
    if words and words[0].lower() == "stop" and not context.attachments:
        return await _stop(context, [word.lower() for word in words[1:]])
    if not words and not context.attachments:
        raise UsageError(ingest_user_messages.nothing_given())
    channels = {
        spec: channel_id for spec in words if (channel_id := arguments.mentioned_channel(spec, context.platform))
    }
    sources, failed = await _sources(context, [spec for spec in words if spec not in channels])
    if sources and _only_admins_open(context):
        if for_everyone:
            raise NotAllowed(ingest_user_messages.TENANT_DOCUMENTS_ADMIN)
        here = True
    if sources and here and context.private_thread:
        raise NotAllowed(ingest_user_messages.PRIVATE_THREAD)
    wanted = [(source, context.channel_id if here else TENANT_AUDIENCE) for source in sources]
    wanted += [await _channel_history(context, channel_id, for_everyone) for channel_id in channels.values()]
    requested: list[RequestedRun] = []
    for source, audience in wanted:
        try:
            requested.append(await _begin(context, source, audience))
        except StoreAway:
            raise
        except ParleyError as refused:
            failed.append(Failure(source.uri.removeprefix("upload:"), str(refused)))
    audience = _describe_audience(context, {audience for _, audience in wanted})
    return await follow_runs(context, requested, failed, here=here, audience=audience)


async def _begin(context: Context, source: Source, audience: str) -> RequestedRun:
    """Start the ingestion of a source. Raises OverDailyLimit, StoreAway, and the errors of an upload's download."""
    return await context.services.ingestion.begin(
        context.tenant_id,
        source,
        audience=audience,
        asked_by=context.author.id,
        replaces_others=context.author.is_admin,
        limited=not context.author.is_admin,
    )


def _only_admins_open(context: Context) -> bool:
    """Return whether the user may add documents for their channel only."""
    return not context.author.is_admin and context.services.settings.tenant_documents == "admins"


async def _channel_history(context: Context, channel_id: str, for_everyone: bool) -> tuple[Source, str]:
    """Return the history of a channel and its audience: the channel's members, or everyone if an admin asks for it."""
    if context.channels is None:
        raise UsageError(ingest_user_messages.NO_CHANNELS)
    channel = await context.channels.readable(channel_id, context.author)
    if for_everyone and not context.author.is_admin:
        raise NotAllowed(ingest_user_messages.open_channel_admin(channel.name))
    if for_everyone and not channel.public:
        raise NotAllowed(ingest_user_messages.private_channel(channel.name))
    source = context.services.open_source(f"{context.platform}:{channel.id}", files=False, tenant_id=context.tenant_id)
    return source, TENANT_AUDIENCE if for_everyone else channel.id


def _describe_audience(context: Context, audiences: set[str]) -> str:
    """Return who can ask about the documents; empty if everyone can."""
    if audiences <= {context.channel_id, TENANT_AUDIENCE} and len(audiences) < 2:
        return ingest_user_messages.THIS_CHANNEL if context.channel_id in audiences else ""
    return ingest_user_messages.MIXED_AUDIENCES if TENANT_AUDIENCE in audiences else ingest_user_messages.THAT_CHANNEL


async def follow_runs(
    context: Context, requested: Sequence[RequestedRun], failed: Sequence[Failure], *, here: bool, audience: str = ""
) -> Reply:
    """Show the progress of ingestion runs until they end, and return the result.

    Runs that another person started are only named, not followed. ``failed`` are sources that could not be opened.
    ``audience`` says who can ask; by default everyone, or with ``here`` the people in the channel.
    """
    report = IngestReport(0, 0, 0, (), 0.0)
    ids = [request.run.id for request in requested if request.new]
    if ids:
        runs: list[Run] = []
        shown, polls = ("", ""), 0
        async for runs in context.services.ingestion.follow(context.tenant_id, ids):
            polls += 1
            if polls > POLLS_WITHOUT_PROGRESS and (now := (await _progress(context, runs), _stop_names(runs))) != shown:
                shown = now
                await context.update(*shown)
        for ended in runs:
            report = combined(report, ingest_runs.report_of(ended))
    running = [request.run for request in requested if not request.new]
    parts = [ingest_user_messages.already_running(one.uri, one.progress) for one in running]
    if ids or failed:
        parts.append(ingest_user_messages.ingested(report, failed, here=here, audience=audience))
    return Reply("\n".join(parts) or ingest_user_messages.NOTHING_TO_INGEST, private=not (ids or failed))


async def _progress(context: Context, runs: Sequence[Run]) -> str:
    shown = runs[: ingest_user_messages.MAX_LISTED]
    lines = [f"{one.uri.removeprefix('upload:')}: {describe_run(one)}" for one in shown]
    if len(runs) > len(shown):
        lines.append(ingest_user_messages.sources_done(sum(not one.active for one in runs), len(runs)))
    if any(one.state == "waiting" for one in runs) and not await context.services.ingestion.has_worker():
        lines.append(ingest_user_messages.NO_WORKER)
    return "\n".join(lines)


def _stop_names(runs: Sequence[Run]) -> str:
    """Return the arguments of ``/ingest stop`` that stop the active runs; they must fit into a button's id."""
    names = [one.id[:ID_PREFIX_CHARS] for one in runs if one.active and not one.stop_asked]
    return " ".join(names) if len(names) <= MAX_NAMED_RUNS else MINE


def describe_run(run: Run) -> str:
    """Return the state of an ingestion run: ``142 of 310 pages, 2 failed``."""
    if run.state == "failed":
        return run.error
    if run.state == "waiting":
        return ingest_user_messages.waiting(run.error)
    has_progress = run.progress.done or run.progress.failed or run.progress.total or not run.active
    state = ingest_user_messages.counted(run.progress) if has_progress else ingest_user_messages.STARTED
    return state + (ingest_user_messages.STOPPING if run.stop_asked and run.active else "")


async def _sources(context: Context, specs: list[str]) -> tuple[list[Source], list[Failure]]:
    """Open the named addresses and the attachments. Return the sources, and what could not be opened."""
    services = context.services
    sources: list[Source] = []
    failed: list[Failure] = []
    for spec in specs:
        try:
            address = spec.strip("<>").split("|")[0]
            sources.append(services.open_source(address, files=False, channels=False))
        except KnowledgeError as error:
            failed.append(Failure(redact(spec), str(error)))
    named = Counter[str]()
    for attachment in context.attachments:
        if attachment.size > services.max_file_bytes:
            refusal_counts.count("upload", context.tenant_id)
            failed.append(Failure(attachment.name, ingest_user_messages.too_large(services.settings.max_file_mb)))
            continue
        # Pictures that are pasted into one message often have the same name.
        named[attachment.name] += 1
        name = numbered(attachment.name, named[attachment.name])
        sources.append(UploadSource(name, attachment.read, content_type=attachment.content_type))
    return sources, failed


async def _stop(context: Context, words: Sequence[str]) -> Reply:
    """Stop ingestion runs: all for an admin, otherwise the user's own.

    ``mine`` stops the user's own runs; prefixes of run ids stop only these runs.
    """
    prefixes = [] if words == [MINE] else words
    if not all(_RUN_ID_PREFIX.fullmatch(prefix) for prefix in prefixes):
        raise UsageError(ingest_user_messages.STOP_USAGE)
    asked_by = None if context.author.is_admin and words != [MINE] else context.author.id
    stopped = await context.services.ingestion.stop(context.tenant_id, asked_by=asked_by, named=prefixes)
    if prefixes and not stopped:
        raise UsageError(ingest_user_messages.NOT_RUNNING)
    if not stopped:
        raise UsageError(ingest_user_messages.nothing_to_stop(own=asked_by is not None))
    return Reply(ingest_user_messages.stopping([run.uri for run in stopped]))


def combined(one: IngestReport, other: IngestReport) -> IngestReport:
    """Return the sum of two reports."""
    return replace(
        one,
        documents=one.documents + other.documents,
        chunks=one.chunks + other.chunks,
        unchanged=one.unchanged + other.unchanged,
        failed=(*one.failed, *other.failed),
        seconds=one.seconds + other.seconds,
        deleted=one.deleted + other.deleted,
        embedding_model=other.embedding_model or one.embedding_model,
        embedding_tokens=one.embedding_tokens + other.embedding_tokens,
        stopped=one.stopped or other.stopped,
        warnings=(*one.warnings, *other.warnings),
    )


COMMAND = Command("ingest", help_text.INGEST_SUMMARY, help_text.INGEST_USAGE, run, members=True)
