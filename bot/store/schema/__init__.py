"""The bot's tables. ``tenant_id`` leads every key. A test compares them with the migrations."""

from __future__ import annotations

from bot.store.schema.answer_cache import answer_flights, answer_hits, answers
from bot.store.schema.browser_page import page_commands, page_files
from bot.store.schema.budgets import (
    added_days,
    admin_changes,
    budget_days,
    budgets,
    cost_alerts,
    ledger,
    ledger_days,
    ledger_price_days,
    refusals,
    reservations,
    token_ratios,
)
from bot.store.schema.columns import metadata
from bot.store.schema.conversations import (
    COPIED,
    NO_TURN,
    attachments,
    changed_answer_notices,
    channels,
    facts,
    feedback,
    inbox,
    message_vectors,
    messages,
    reply_parts,
    tenants,
    threads,
    turns,
)
from bot.store.schema.gap_digests import gap_digests
from bot.store.schema.judgments import judgments
from bot.store.schema.processes import events_heard, oauth_states, processes, slack_installations, slack_requests
from bot.store.schema.verified_answers import verified_answers, verified_questions

__all__ = [
    "COPIED",
    "NO_TURN",
    "added_days",
    "admin_changes",
    "answer_flights",
    "answer_hits",
    "answers",
    "attachments",
    "budget_days",
    "budgets",
    "changed_answer_notices",
    "channels",
    "cost_alerts",
    "events_heard",
    "facts",
    "feedback",
    "gap_digests",
    "inbox",
    "judgments",
    "ledger",
    "ledger_days",
    "ledger_price_days",
    "message_vectors",
    "messages",
    "metadata",
    "oauth_states",
    "page_commands",
    "page_files",
    "processes",
    "refusals",
    "reply_parts",
    "reservations",
    "slack_installations",
    "slack_requests",
    "tenants",
    "threads",
    "token_ratios",
    "turns",
    "verified_answers",
    "verified_questions",
]
