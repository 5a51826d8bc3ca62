"""Reads the turns, the ledger and the reserved tokens of all tenants after a chaos run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from bot.engine.user_messages import NOT_SHOWABLE, not_shown
from bot.llm.user_messages import NOTHING_FOUND_IN_OUTAGE, OUTAGE_INTRO
from bot.store.database.connections import driver_url

_TURNS = text(
    "SELECT turn_id::text AS turn_id, thread_uid::text AS thread_uid, message_id, question, state, seq, fence,"
    " CASE WHEN jsonb_exists(trace -> 'notes', :not_shown) THEN :told"
    " WHEN starts_with(answer, :quoted) THEN :quoted WHEN starts_with(answer, :nothing) THEN :nothing"
    " ELSE refused END AS refused,"
    " created_at, started_at, finished_at, deliver_at IS NOT NULL AS late, withdrawn_at IS NOT NULL AS withdrawn,"
    " trace -> 'shown_after_s' IS NOT NULL AS shown_late FROM turns ORDER BY seq"
).bindparams(not_shown=not_shown(NOT_SHOWABLE), told=NOT_SHOWABLE, quoted=OUTAGE_INTRO, nothing=NOTHING_FOUND_IN_OUTAGE)
"""The turns. ``refused`` is also the line that an asker gets instead of an answer: while no model can answer, or if the
reply kept crashing the processes that showed it."""
_OPEN = text("SELECT count(*) FROM turns WHERE state IN ('queued', 'running') OR deliver_at IS NOT NULL")
_RESERVED = text("SELECT coalesce(sum(reserved), 0)::bigint FROM budget_days")
_LEDGER = text(
    "SELECT provider, model, input_tokens, cached_tokens, cache_write_tokens, cache_write_long_tokens,"
    " completion_tokens, status = 'open' AS is_open, estimated FROM ledger"
)


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """The turns, the ledger and the reserved tokens of the database."""

    turns: Sequence[Any]
    ledger: Sequence[Any]
    reserved: int


def read_database(url: str, *, tries: int = 20) -> DatabaseState:
    """Read the database as the superuser, who sees every tenant. Retry each second while it cannot be reached."""
    for _ in range(tries - 1):
        try:
            return _read_database(url)
        except OperationalError:
            time.sleep(1.0)
    return _read_database(url)


def count_open(url: str) -> int:
    """Return the number of questions whose answer is not shown yet. Raises OperationalError."""
    engine = create_engine(driver_url(url))
    try:
        with engine.connect() as connection:
            return int(connection.scalar(_OPEN) or 0)
    finally:
        engine.dispose()


def _read_database(url: str) -> DatabaseState:
    engine = create_engine(driver_url(url))
    try:
        with engine.connect() as connection:
            turns = list(connection.execute(_TURNS))
            ledger = list(connection.execute(_LEDGER))
            return DatabaseState(turns, ledger, int(connection.scalar(_RESERVED) or 0))
    finally:
        engine.dispose()
