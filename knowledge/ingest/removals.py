"""Deletes what a source no longer has after it was read, unless that is so much that the reading is held back."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.errors import EmptySourceError, SourceError
from knowledge.ingest.soft_error_detection import SAME_PAGES
from knowledge.ingest.source_run import SourceRun
from knowledge.ports import Sessions
from knowledge.store import document_removals, document_writes, held_back_sources, source_records
from knowledge.types.source_items import Failure

log = logging.getLogger(__name__)

KEPT = "no longer in its source, but kept: too many were gone at once. See /docs refresh ID --accept-removals"
ACCEPT = "If this is right, run parley docs refresh ID --accept-removals with the ID of one of them."


@dataclass(frozen=True, slots=True)
class VanishedDocuments:
    """The documents that a reading did not find, or that are gone for long. ``lost`` have text with no other name.

    ``without_text`` could never be read. ``is_held_back``: so many are lost that they must be kept.
    """

    lost: Sequence[uuid.UUID]
    renamed: Sequence[uuid.UUID]
    without_text: Sequence[uuid.UUID]
    is_held_back: bool


async def find_vanished(session: AsyncSession, run: SourceRun, seen: Sequence[str], now: datetime) -> VanishedDocuments:
    """Return the documents of the run's source that are not among the names ``seen``."""
    found = await document_removals.find_vanished(
        session, tenant_id=run.tenant_id, source_id=run.source_id, seen=seen, gone_before=now - run.keep_gone
    )
    lost = [one.id for one in found if one.is_loss]
    return VanishedDocuments(
        lost,
        [one.id for one in found if one.has_text and not one.is_loss],
        [one.id for one in found if not one.has_text],
        not run.accept_removals and document_removals.is_too_much(len(lost), run.stored),
    )


async def is_site_lost(
    run: SourceRun, changed: Sequence[str], sessions: Sessions, clock: Callable[[], datetime]
) -> bool:
    """Return whether too many pages of a crawl are gone. Then its ``changed`` pages may be notices without links."""
    if run.source.kind != "crawl" or not changed:
        return False
    async with sessions(run.tenant_id) as session:
        return (await find_vanished(session, run, [*run.seen, *changed], clock())).is_held_back


async def delete_vanished(run: SourceRun, sessions: Sessions, clock: Callable[[], datetime]) -> None:
    """Delete the documents that are no longer in the source, and store the source's mark.

    If too many are gone, none is deleted, and the report says so. The source is held back then, and also if many of its
    pages were not replaced by what they show now.
    """
    async with sessions(run.tenant_id) as session:
        vanished = await find_vanished(session, run, run.seen, clock())
        too_many = vanished.is_held_back
        await document_writes.delete_documents(session, run.tenant_id, vanished.without_text)
        run.totals.deleted += await document_writes.delete_documents(
            session,
            run.tenant_id,
            [*vanished.renamed, *(() if too_many else vanished.lost)],
            keep_vectors=run.keep_vectors,
        )
        if too_many:
            await document_removals.keep(session, tenant_id=run.tenant_id, ids=vanished.lost, reason=KEPT)
        lost = len(vanished.lost)
        reason = gone_reason(lost, run.stored) if too_many else replaced_reason(run.kept_pages, run.stored)
        await held_back_sources.set_reason(session, tenant_id=run.tenant_id, source_id=run.source_id, reason=reason)
        mark = "" if run.failed or too_many else run.mark
        await source_records.set_mark(session, tenant_id=run.tenant_id, source_id=run.source_id, mark=mark)
    if reason:
        log.warning("%s: %s", run.source.uri, reason)
    if too_many:
        run.count_failed(Failure(run.source.uri, f"{reason} {ACCEPT}"))


async def keep_unread(run: SourceRun, error: SourceError, sessions: Sessions, clock: Callable[[], datetime]) -> None:
    """Keep the documents of a source that could not be read as a whole, but those that are gone for long enough.

    The source is held back if it, or many of its pages, show something else now.
    """
    async with sessions(run.tenant_id) as session:
        ids = await document_removals.find_gone(
            session, tenant_id=run.tenant_id, source_id=run.source_id, gone_before=clock() - run.keep_gone
        )
        if run.accept_removals or not document_removals.is_too_much(len(ids), run.stored):
            run.totals.deleted += await document_writes.delete_documents(
                session, run.tenant_id, ids, keep_vectors=run.keep_vectors
            )
        reason = str(error) if error.replaced and run.stored else replaced_reason(run.kept_pages, run.stored)
        if reason:
            await held_back_sources.set_reason(session, tenant_id=run.tenant_id, source_id=run.source_id, reason=reason)
    if reason:
        log.warning("%s: %s", run.source.uri, reason)


def source_failure(run: SourceRun, error: SourceError) -> Failure:
    """Return the failure of a source that could not be read as a whole."""
    can_accept = isinstance(error, EmptySourceError) and run.stored
    return Failure(
        run.source.uri, f"{error} {ACCEPT}" if can_accept else str(error), gone=error.gone, replaced=error.replaced
    )


def gone_reason(removed: int, stored: int) -> str:
    """Return what users read about a reading that would have removed too many documents."""
    return f"{removed} of {stored} documents are gone from it, so nothing was removed. Check the source."


def replaced_reason(kept: int, stored: int) -> str:
    """Return what users read about pages that show a notice or a sign-in; empty if these are few."""
    if not kept or not stored or kept < min(SAME_PAGES, stored):
        return ""
    if stored == 1:
        return "The page shows a notice or a sign-in now, so its earlier text was kept. Check the source."
    return f"{kept} of {stored} pages show a notice or a sign-in now, so their earlier text was kept. Check the source."
