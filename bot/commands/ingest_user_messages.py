"""Text about ingestion for users: progress, results and errors of ``/ingest`` and ``parley ingest``."""

from __future__ import annotations

from collections.abc import Sequence

from bot.commands import help_text
from bot.commands.user_messages import number
from knowledge.types.ingest_reports import IngestReport, Progress
from knowledge.types.source_items import Failure

MAX_LISTED = 5
_PAGE_KINDS = frozenset(("url", "crawl", "sitemap"))
"""Kinds of sources whose documents are called pages."""

STOP_USAGE = "Write /ingest stop to stop what is being added, or /ingest stop mine to stop only what you added."
NO_CHANNELS = "There are no channels here. Use this command in Slack or Discord."
NO_WORKER = "No worker is running. Start one with “parley worker” or “parley up”."
NOTHING_TO_INGEST = "There is nothing to add."
NOT_RUNNING = "That ingestion has already ended, so there is nothing to stop."
THIS_CHANNEL = "People in this channel"
THAT_CHANNEL = "People in that channel"
MIXED_AUDIENCES = "People in each channel (about its history) and everyone (about the other sources)"
_EVERYONE = "Everyone in this workspace"


def nothing_given() -> str:
    return f"What should I add? Write /ingest {help_text.INGEST_USAGE}."


def open_channel_admin(channel: str) -> str:
    return f"Only an admin can open #{channel} to the whole workspace. Leave out --tenant."


TENANT_DOCUMENTS_ADMIN = (
    "Only an admin can add documents for everyone. Leave out --tenant to add them for this channel, or ask an admin."
)


PRIVATE_THREAD = (
    "Documents cannot be added in a private thread, because everyone in the channel could ask about them. Add them in "
    "the channel itself, or attach them to your question here."
)


def private_channel(channel: str) -> str:
    return f"#{channel} is private, so only its members may ask about it. Leave out --tenant."


def already_running(uri: str, progress: Progress) -> str:
    return f"{uri} is already being added ({counted(progress)})."


def sources_done(done: int, total: int) -> str:
    return f"{done} of {total} sources done"


def too_large(megabytes: int) -> str:
    return f"larger than {megabytes} MB, the limit set by PARLEY_MAX_FILE_MB"


def nothing_to_stop(own: bool) -> str:
    return f"{'You are not adding anything' if own else 'Nothing is being added'}, so there is nothing to stop."


def stopping(uris: Sequence[str]) -> str:
    names = ", ".join(uris[:MAX_LISTED])
    more = f" and {len(uris) - MAX_LISTED} more" if len(uris) > MAX_LISTED else ""
    return f"Stopping {names}{more}. Documents added so far stay."


def ingested(report: IngestReport, failed: Sequence[Failure], *, here: bool, audience: str = "") -> str:
    """Return the result of an ingestion.

    ``failed`` are sources that could not be opened. ``audience`` says who can ask; by default everyone, or with
    ``here`` the people in the channel.
    """
    failures = [*failed, *report.failed]
    added = report.documents - report.unchanged
    parts = ["Stopped early. Documents added so far stay."] if report.stopped else []
    if added:
        parts.append(f"Added {number(added, 'document')} ({number(report.chunks, 'passage')}).")
    if report.unchanged:
        parts.append(f"{number(report.unchanged, 'document')} unchanged.")
    if report.deleted:
        parts.append(f"{number(report.deleted, 'document')} removed, because the source no longer has them.")
    if added or report.unchanged:
        parts.append(f"{audience or (THIS_CHANNEL if here else _EVERYONE)} can ask about this now.")
    lists = []
    if failures:
        lines = _listed([f"{failure.source}: {failure.error}" for failure in failures])
        lists.append(f"{number(len(failures), 'document')} could not be read:\n{lines}")
    if report.warnings:
        lines = _listed([f"{one.source}: {one.warning}" for one in report.warnings])
        lists.append(f"Left out or read by OCR:\n{lines}")
    return " ".join([*parts, "\n".join(lists)] if lists else parts) or NOTHING_TO_INGEST


def _listed(lines: Sequence[str]) -> str:
    """Return the first lines as a list that says how many more there are."""
    more = [f"and {len(lines) - MAX_LISTED} more. /docs lists them"] if len(lines) > MAX_LISTED else []
    return "\n".join(f"- {line}" for line in (*lines[:MAX_LISTED], *more))


def counted(progress: Progress) -> str:
    """Return the progress of one source: ``142 of 310 pages, 2 failed``.

    A crawl finds pages while it reads, so it shows ``142 pages, 12 more found``.
    """
    noun = "page" if progress.kind in _PAGE_KINDS else "document"
    failed = f", {progress.failed} failed" if progress.failed else ""
    if progress.kind == "crawl":
        more = max(0, (progress.total or 0) - progress.done)
        return number(progress.done, noun) + (f", {more} more found" if more else "") + failed
    if progress.total:
        return f"{progress.done} of {number(progress.total, noun)}{failed}"
    return number(progress.done, noun) + failed


def waiting(error: str) -> str:
    return f"{error.rstrip('.')}. Retrying soon." if error else "waiting for a worker"


STARTED = "started"
STOPPING = ", stopping"
