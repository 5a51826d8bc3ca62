"""Composes the PostgreSQL implementations of the engine's storage ports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bot.config import Settings
from bot.engine.ports.stores import Stores
from bot.store.adapters.answer_cache import PostgresAnswerCache
from bot.store.adapters.attachments import PostgresAttachments
from bot.store.adapters.budget_settlement import BudgetDays
from bot.store.adapters.budgets import PostgresBudgets
from bot.store.adapters.conversation import PostgresConversation
from bot.store.adapters.inbox import PostgresInbox
from bot.store.adapters.late_replies import PostgresLateReplies
from bot.store.adapters.leases import PostgresLeases
from bot.store.adapters.retractions import PostgresRetractions
from bot.store.adapters.settings import PostgresSettings
from bot.store.adapters.transactions import RETRY_SECONDS, Transactions
from bot.store.adapters.turn_queue import PostgresTurnQueue
from bot.store.database.process_liveness import Evidence
from bot.store.database.session import Database


def _no_holder() -> int | None:
    return None


def _nothing_expected(question_tokens: int) -> int:
    return 0


def open_stores(
    database: Database,
    settings: Settings,
    *,
    count_tokens: Callable[[str], int],
    clock: Callable[[], datetime],
    holder: Callable[[], int | None] = _no_holder,
    retry_seconds: float = RETRY_SECONDS,
    evidence: Callable[[], Evidence] = Evidence,
    expected: Callable[[int], int] = _nothing_expected,
) -> Stores:
    """Return one implementation of each storage port over an open database.

    ``holder`` returns the number under which this process may hold turns now. ``retry_seconds`` is how long a running
    turn waits for an unavailable database; an acceptance waits less, because the platform does not wait long.
    ``expected`` takes the length of a question in tokens and returns the tokens to reserve for it. ``evidence`` returns
    what this process knows about the others.
    """
    transactions, days = Transactions(database, retry_seconds), BudgetDays(database, settings, clock)
    return Stores(
        inbox=PostgresInbox(transactions, days, count_tokens=count_tokens, holder=holder, expected=expected),
        queue=PostgresTurnQueue(database, holder=holder, evidence=evidence),
        leases=PostgresLeases(transactions, days, settings, count_tokens=count_tokens, holder=holder),
        conversation=PostgresConversation(transactions, days),
        budgets=PostgresBudgets(transactions, days),
        answers=PostgresAnswerCache(transactions, refresh_seconds=settings.refresh_seconds),
        settings=PostgresSettings(transactions),
        attachments=PostgresAttachments(transactions),
        retractions=PostgresRetractions(transactions, holder=holder),
        late_replies=PostgresLateReplies(transactions, holder=holder),
    )
