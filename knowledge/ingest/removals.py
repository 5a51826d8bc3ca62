"""Deletes what a source no longer has after it was read, unless that is so much that the reading is held back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from knowledge.ingest.soft_error_detection import SAME_PAGES
from knowledge.ingest.source_run import SourceRun
from knowledge.ports import Sessions
from knowledge.store import document_removals, document_writes, held_back_sources, source_records
from knowledge.types import Failure

log = logging.getLogger(__name__)

KEPT = "no longer in its source, but kept: too many were gone at once. See /docs refresh ID --accept-removals"
ACCEPT = "If this is right, run parley docs refresh ID --accept-removals with the ID of one of them."


async def delete_vanished(run: SourceRun, sessions: Sessions, clock: Callable[[], datetime]) -> None:
    """Delete the documents that are no longer in the source, and store the source's mark.

    If too many are gone, none is deleted, and the report says so. The source is held back then, and also if many of its
    pages were not replaced by what they show now.
    """
    async with sessions(run.tenant_id) as session:
        vanished = await document_removals.find_vanished(
            session,
            tenant_id=run.tenant_id,
            source_id=run.source_id,
            seen=run.seen,
            gone_before=clock() - run.keep_gone,
        )
        lost = [one.id for one in vanished if one.is_loss]
        too_many = not run.accept_removals and document_removals.is_too_much(len(lost), run.stored)
        deleted = [one.id for one in vanished if not (too_many and one.is_loss)]
        run.totals.deleted += await document_writes.delete_documents(
            session, run.tenant_id, deleted, keep_vectors=run.keep_vectors
        )
        if too_many:
            await document_removals.keep(session, tenant_id=run.tenant_id, ids=lost, reason=KEPT)
        reason = gone_reason(len(lost), run.stored) if too_many else replaced_reason(run.kept_pages, run.stored)
        await held_back_sources.set_reason(session, tenant_id=run.tenant_id, source_id=run.source_id, reason=reason)
        mark = "" if run.failed or too_many else run.mark
        await source_records.set_mark(session, tenant_id=run.tenant_id, source_id=run.source_id, mark=mark)
    if reason:
        log.warning("%s: %s", run.source.uri, reason)
    if too_many:
        run.count_failed(Failure(run.source.uri, f"{reason} {ACCEPT}"))


async def delete_gone(run: SourceRun, sessions: Sessions, clock: Callable[[], datetime]) -> None:
    """Delete the documents that are gone for long enough, when the source as a whole could not be read."""
    async with sessions(run.tenant_id) as session:
        ids = await document_removals.find_gone(
            session, tenant_id=run.tenant_id, source_id=run.source_id, gone_before=clock() - run.keep_gone
        )
        if run.accept_removals or not document_removals.is_too_much(len(ids), run.stored):
            run.totals.deleted += await document_writes.delete_documents(
                session, run.tenant_id, ids, keep_vectors=run.keep_vectors
            )


def gone_reason(removed: int, stored: int) -> str:
    """Return what users read about a reading that would have removed too many documents."""
    return f"{removed} of {stored} documents are gone from it, so nothing was removed. Check the source."


def replaced_reason(kept: int, stored: int) -> str:
    """Return what users read about pages that show a notice or a sign-in; empty if these are few."""
    if not kept or kept < min(SAME_PAGES, stored):
        return ""
    return f"{kept} of {stored} pages show a notice or a sign-in now, so their earlier text was kept. Check the source."
