"""``ingest``: brings documents in: addresses, uploaded files and channels; stops what is being brought in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from bot.commands import arguments
from bot.commands.base import Command, Context, Reply
from bot.errors import NotAllowed, UsageError
from bot.ingestion import Begun
from bot.types.conversation import Platform
from knowledge import ingest_runs
from knowledge.errors import KnowledgeError
from knowledge.ingest_runs import Run
from knowledge.ports import Source
from knowledge.sources import UploadSource
from knowledge.types import TENANT_AUDIENCE, Failure, IngestReport, Progress

USAGE = "[--here] ADDRESS... (or attach files) | [--tenant] #CHANNEL | stop [mine]"
SHOWN_FAILURES = 5
UNTOLD_LOOKS = 3
"""What ends within so many looks, most of a second, is told by its result alone."""
NOBODY_WORKS = "It waits for a worker, and none is running: start one with “parley worker” or “parley up”."
PAGES = frozenset(("url", "crawl", "sitemap"))
NAME_CHARS = 8
MOST_NAMED = 8
MINE = "mine"


async def run(context: Context, line: str) -> Reply:
    """Take in every address and attachment; ``--here`` keeps them to this channel. One failure stops no other."""
    given = arguments.words(line)
    if given and given[0].lower() == "stop" and not context.attachments:
        return await _stop(context, [word.lower() for word in given[1:]])
    here = arguments.take_flag(given, "--here")
    everybody = arguments.take_flag(given, "--tenant")
    if not given and not context.attachments:
        raise UsageError(f"What shall I read? Write /ingest {USAGE}.")
    named = {spec: channel_id for spec in given if (channel_id := channel_named(spec, context.platform))}
    sources, failed = await _sources(context, [spec for spec in given if spec not in named])
    wanted = [(source, context.channel_id if here else TENANT_AUDIENCE) for source in sources]
    wanted += [await _channel(context, channel_id, everybody) for channel_id in named.values()]
    begun = [
        await context.services.ingestion.begin(
            context.tenant_id, source, audience=audience, asked_by=context.author.id, files=False
        )
        for source, audience in wanted
    ]
    return await followed(context, begun, failed, here=here, who=_who(context, [to for _, to in wanted]))


_MENTIONED = re.compile(r"<#(\w+)(?:\|[^>]*)?>")
_SLACK_ID = re.compile(r"[CG][A-Z0-9]{7,31}")
_NAME = re.compile(rf"[0-9a-f-]{{{NAME_CHARS},36}}")


def channel_named(spec: str, platform: Platform) -> str:
    """The id of the channel that is mentioned; empty where none is. Slack's mentions come as bare ids."""
    mentioned = _MENTIONED.fullmatch(spec.strip())
    if mentioned:
        return mentioned[1]
    return spec if platform == "slack" and _SLACK_ID.fullmatch(spec) else ""


async def _channel(context: Context, channel_id: str, everybody: bool) -> tuple[Source, str]:
    """The history of a channel and who may ask about it: the people in it, or everybody where an admin says so."""
    if context.channels is None:
        raise UsageError("There are no channels here; write the command in Slack or Discord.")
    channel = await context.channels.readable(channel_id, context.author)
    if everybody and not context.author.is_admin:
        raise NotAllowed(f"Only an admin can open #{channel.name} to the whole workspace; leave --tenant out.")
    if everybody and not channel.public:
        raise NotAllowed(f"#{channel.name} is private, so it stays with the people in it; leave --tenant out.")
    source = context.services.open_source(f"{context.platform}:{channel.id}", files=False, tenant_id=context.tenant_id)
    return source, TENANT_AUDIENCE if everybody else channel.id


def _who(context: Context, audiences: Sequence[str]) -> str:
    """Who can ask about what is taken in, where that is not all alike."""
    if set(audiences) <= {context.channel_id, TENANT_AUDIENCE} and len(set(audiences)) < 2:
        return "People in this channel" if context.channel_id in audiences else ""
    return "People in the channels named, and everybody about the rest," if TENANT_AUDIENCE in audiences else _THERE


_THERE = "People in that channel"


async def followed(
    context: Context, begun: Sequence[Begun], failed: Sequence[Failure], *, here: bool, who: str = ""
) -> Reply:
    """Tell the chat how far the readings are until they have ended, and what came of them. What others had asked for is
    not waited for. ``who`` can ask about it; by default everybody, or the people ``here``."""
    under_way = [one.run for one in begun if not one.fresh]
    report = IngestReport(0, 0, 0, (), 0.0)
    ids = [one.run.id for one in begun if one.fresh]
    if ids:
        found: list[Run] = []
        shown, looks = ("", ""), 0
        async for found in context.services.ingestion.follow(context.tenant_id, ids):
            looks += 1
            if looks > UNTOLD_LOOKS and (now := (await _standing(context, found), _names(found))) != shown:
                shown = now
                await context.update(*shown)
        for one in found:
            report = added(report, ingest_runs.report_of(one))
    parts = [f"{one.uri} is being read already ({counted(one.progress)})." for one in under_way]
    if ids or failed:
        parts.append(told(report, failed, here=here, who=who))
    return Reply("\n".join(parts) or "There is nothing to read.", private=not (ids or failed))


async def _standing(context: Context, found: Sequence[Run]) -> str:
    lines = [f"{one.uri.removeprefix('upload:')}: {told_of(one)}" for one in found[:SHOWN_FAILURES]]
    if len(found) > SHOWN_FAILURES:
        ended = sum(not one.active for one in found)
        lines.append(f"{ended} of {len(found)} sources are read")
    if any(one.state == "waiting" for one in found) and not await context.services.ingestion.has_worker():
        lines.append(NOBODY_WORKS)
    return "\n".join(lines)


def _names(found: Sequence[Run]) -> str:
    """What ``stop`` takes to end what goes on of these, as short as a button's id has to be."""
    names = [one.id[:NAME_CHARS] for one in found if one.active and not one.stop_asked]
    return " ".join(names) if len(names) <= MOST_NAMED else MINE


def told_of(run: Run) -> str:
    """How far a reading is: ``142 of 310 pages, 2 failed``."""
    if run.state == "failed":
        return run.error
    if run.state == "waiting":
        return f"tried again soon; {run.error}" if run.error else "waiting for its turn"
    begun = run.progress.done or run.progress.failed or run.progress.total or not run.active
    return (counted(run.progress) if begun else "begun") + (", stopping" if run.stop_asked and run.active else "")


async def _sources(context: Context, given: list[str]) -> tuple[list[Source], list[Failure]]:
    services = context.services
    sources: list[Source] = []
    failed: list[Failure] = []
    for spec in given:
        try:
            address = spec.strip("<>").split("|")[0]
            sources.append(services.open_source(address, files=False, channels=False))
        except KnowledgeError as error:
            failed.append(Failure(spec, str(error)))
    for attachment in context.attachments:
        if attachment.size > services.most_bytes:
            most = services.settings.max_file_mb
            failed.append(Failure(attachment.name, f"larger than the {most} MB of PARLEY_MAX_FILE_MB"))
            continue
        sources.append(UploadSource(attachment.name, await attachment.read(), content_type=attachment.content_type))
    return sources, failed


async def _stop(context: Context, which: Sequence[str]) -> Reply:
    """Admins stop everything, others what they asked for; ``mine``, or readings by the beginnings of their ids."""
    named = [] if which == [MINE] else which
    if not all(_NAME.fullmatch(name) for name in named):
        raise UsageError("Write /ingest stop, which stops what is being read, or /ingest stop mine.")
    by = None if context.author.is_admin and which != [MINE] else context.author.id
    stopped = await context.services.ingestion.stop(context.tenant_id, asked_by=by, named=named)
    if named and not stopped:
        raise UsageError("That is not being read any more, so there is nothing to stop.")
    if not stopped:
        whose = "" if by is None else " of yours"
        raise UsageError(f"Nothing{whose} is being read, so there is nothing to stop.")
    names = ", ".join(run.uri for run in stopped[:SHOWN_FAILURES])
    more = f" and {len(stopped) - SHOWN_FAILURES} more" if len(stopped) > SHOWN_FAILURES else ""
    return Reply(f"Stopping {names}{more}. What was taken in so far stays.")


def counted(progress: Progress) -> str:
    """``142 of 310 pages, 2 failed``; of a crawl, which finds as it reads, ``142 pages, 12 more found``."""
    noun = "page" if progress.kind in PAGES else "document"
    failed = f", {progress.failed} failed" if progress.failed else ""
    if progress.kind == "crawl":
        more = max(0, (progress.total or 0) - progress.done)
        return _number(progress.done, noun) + (f", {more} more found" if more else "") + failed
    if progress.total:
        return f"{progress.done} of {_number(progress.total, noun)}{failed}"
    return _number(progress.done, noun) + failed


def told(report: IngestReport, failed: Sequence[Failure], *, here: bool, who: str = "") -> str:
    """The report in words."""
    everything = [*failed, *report.failed]
    taken = report.documents - report.unchanged
    parts = ["It was stopped before its end; what was taken in stays."] if report.stopped else []
    if taken:
        parts.append(f"Took in {_number(taken, 'document')} ({_number(report.chunks, 'passage')}).")
    if report.unchanged:
        parts.append(f"{_number(report.unchanged, 'document')} had not changed.")
    if report.deleted:
        parts.append(f"{_number(report.deleted, 'document')} had vanished and went.")
    if taken or report.unchanged:
        everybody = "People in this channel" if here else "Everybody in this workspace"
        parts.append(f"{who or everybody} can ask about it now.")
    lines = [f"- {failure.source}: {failure.error}" for failure in everything[:SHOWN_FAILURES]]
    if len(everything) > SHOWN_FAILURES:
        lines.append(f"- and {len(everything) - SHOWN_FAILURES} more; /docs shows them")
    if lines:
        parts.append(f"{_number(len(everything), 'document')} could not be read:\n" + "\n".join(lines))
    return " ".join(parts) or "There was nothing to take in."


def added(one: IngestReport, other: IngestReport) -> IngestReport:
    """Two reports as one."""
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
    )


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


COMMAND = Command("ingest", "takes documents in", USAGE, run)
