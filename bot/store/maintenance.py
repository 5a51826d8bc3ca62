"""Deletes expired data of one tenant and returns what else is due, in one round trip.

Most tenants need nothing most of the time; ``bot.store.tenants.with_upkeep`` names the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.store import refusals
from bot.store.answer_cache.validity import INTACT
from bot.store.browser_page import conversation_files, page_commands
from bot.store.budgets import daily_additions, ledger
from bot.store.database.pipelined_transactions import Statement
from bot.store.database.session import Database
from bot.store.schema import NO_TURN
from knowledge.bm25 import posting_codec
from knowledge.store import kept_vectors
from knowledge.store.serving_model import Serving
from knowledge.text import search_terms

RESERVATION_GRACE = timedelta(minutes=5)
OPEN_CALL_GRACE = timedelta(minutes=30)
"""Age at which an unsettled call counts as lost: longer than any provider call takes."""
RUN_RETENTION = timedelta(days=7)
COMMAND_RETENTION = timedelta(days=30)
"""How long the ids of messages that are commands are kept. No platform delivers a message again after that."""
IN_USE, IDLE = timedelta(days=1), timedelta(days=7)
"""How long after its maintenance a tenant is due again: with data that expires, and without.

IDLE is not longer than RUN_RETENTION, so what is stored meanwhile is found before it expires.
"""
PAGE_RETENTION = timedelta(days=1)
"""How long files of the browser page and replies of its commands are kept."""


@dataclass(frozen=True, slots=True)
class Found:
    """Turns whose reservations are orphaned, calls of dead processes, and the number of active ingestion runs.

    ``serving`` has the embedding models; None if the tenant has no documents. ``terms_outdated``: the search terms must
    be made again. ``version`` is the knowledge version, None if no document was ever added.
    """

    orphaned: Sequence[str]
    lost: Sequence[ledger.LostCalls]
    runs: int
    serving: Serving | None
    terms_outdated: bool
    version: int | None


_DELETE_ANSWERS = f"DELETE FROM answers WHERE tenant_id = %(tenant)s AND (expires_at < now() OR NOT {INTACT})"  # noqa: S608
"""Deletes cached answers that have expired or that cite a document which was deleted or changed."""

_DELETE_COMMANDS = f"""
DELETE FROM inbox WHERE tenant_id = %(tenant)s AND turn_id = '{NO_TURN}' AND received_at < now() - %(kept)s
"""  # noqa: S608

_DELETE_RUNS = """
DELETE FROM ingests WHERE tenant_id = %(tenant)s AND updated_at < %(before)s AND state NOT IN ('waiting', 'running')
"""

_ORPHANED = """
SELECT DISTINCT held.turn_id
FROM reservations held LEFT JOIN turns ON turns.tenant_id = held.tenant_id AND turns.turn_id = held.turn_id
WHERE held.tenant_id = %(tenant)s AND held.state = 'held' AND held.created_at < now() - %(grace)s
    AND (turns.state IS NULL OR turns.state NOT IN ('queued', 'running'))
"""
"""Finds turns that have ended or were deleted, with reservations left: their process died before the summary."""

_ACTIVE_RUNS = "SELECT count(*) AS runs FROM ingests WHERE tenant_id = %(tenant)s AND state IN ('waiting', 'running')"


_SERVING = """
SELECT model, next_model FROM knowledge_state
WHERE tenant_id = %(tenant)s AND (chunks > 0 OR next_model IS NOT NULL)
"""


_VERSION = "SELECT version FROM knowledge_state WHERE tenant_id = %(tenant)s"


_OUTDATED_TERMS = """
SELECT
    EXISTS (SELECT FROM chunks WHERE tenant_id = %(tenant)s AND terms_version < %(version)s)
    OR EXISTS (SELECT FROM posting_parts WHERE tenant_id = %(tenant)s AND level < %(level)s) AS outdated
"""
"""Tells whether chunks must be indexed again, or old entries be deleted, since the rules of the terms changed."""


_DELETE_VECTORS = """
DELETE FROM kept_vectors
USING (
    SELECT digest, model FROM kept_vectors
    WHERE tenant_id = %(tenant)s AND deleted_at < now() - %(kept)s
    LIMIT 5000
) AS old
WHERE tenant_id = %(tenant)s AND kept_vectors.digest = old.digest AND kept_vectors.model = old.model
"""


async def look(database: Database, tenant_id: str, *, now: datetime) -> Found:
    """Delete outdated answers, ended ingestion runs, old ids and old counts; return what else needs maintenance.

    Ingestion runs are deleted by the clock ``now``, everything else by the database's.
    """
    named = {"tenant": tenant_id}
    *_, orphaned, lost, ((active,),), serving, versions, ((terms_outdated,),) = await database.flush(
        tenant_id,
        Statement(_DELETE_ANSWERS, named),
        Statement(_DELETE_COMMANDS, {**named, "kept": COMMAND_RETENTION}),
        Statement(_DELETE_RUNS, {**named, "before": now - RUN_RETENTION}),
        Statement(conversation_files.DELETE_EXPIRED, {**named, "kept": PAGE_RETENTION}),
        Statement(page_commands.DELETE_EXPIRED, {**named, "kept": PAGE_RETENTION}),
        Statement(daily_additions.DELETE_OLD, {**named, "before": now.date() - daily_additions.RETENTION}),
        Statement(refusals.DELETE_OLD, {**named, "before": now.date() - refusals.RETENTION}),
        Statement(_DELETE_VECTORS, {**named, "kept": kept_vectors.KEPT}),
        Statement(_ORPHANED, {**named, "grace": RESERVATION_GRACE}),
        ledger.lost(tenant_id, OPEN_CALL_GRACE),
        Statement(_ACTIVE_RUNS, named),
        Statement(_SERVING, named),
        Statement(_VERSION, named),
        Statement(
            _OUTDATED_TERMS,
            {**named, "version": search_terms.VERSION, "level": posting_codec.base_level(search_terms.VERSION)},
        ),
    )
    calls = [ledger.LostCalls(row.user_id, row.channel_id, row.budget_day) for row in lost]
    models = next((Serving(row.model, row.next_model) for row in serving), None)
    version = next((int(row.version) for row in versions), None)
    return Found([str(row.turn_id) for row in orphaned], calls, active, models, terms_outdated, version)


# Only data that expires after days is looked for: what is short-lived is named by ``tenants_with_upkeep()``.
_SCHEDULE = f"""
UPDATE tenants
SET maintained_version = CAST(%(version)s AS bigint),
    maintained_terms = %(terms)s,
    maintain_at = CAST(%(now)s AS timestamptz) + CASE
        WHEN CAST(%(pending)s AS boolean)
            OR EXISTS (SELECT FROM inbox WHERE tenant_id = %(tenant)s AND turn_id = '{NO_TURN}')
            OR EXISTS (SELECT FROM ingests WHERE tenant_id = %(tenant)s)
            OR EXISTS (SELECT FROM kept_vectors WHERE tenant_id = %(tenant)s)
            OR CAST(%(expire)s AS boolean) AND EXISTS (SELECT FROM turns WHERE tenant_id = %(tenant)s)
        THEN CAST(%(in_use)s AS interval) ELSE CAST(%(idle)s AS interval)
    END
WHERE tenant_id = %(tenant)s
"""  # noqa: S608


async def schedule_next(
    database: Database, tenant_id: str, found: Found, *, now: datetime, retention_days: int | None
) -> None:
    """Record what the tenant's maintenance found, and when it is due next: later if nothing of it can expire."""
    values = {
        "tenant": tenant_id,
        "version": found.version,
        "terms": search_terms.VERSION,
        "now": now,
        "pending": found.terms_outdated or found.runs > 0,
        "expire": retention_days is not None,
        "in_use": IN_USE,
        "idle": IDLE if retention_days is None else min(IDLE, timedelta(days=retention_days)),
    }
    await database.flush(tenant_id, Statement(_SCHEDULE, values))
