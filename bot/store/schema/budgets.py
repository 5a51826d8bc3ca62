"""The tables of costs and limits: model calls, daily tokens, reservations, alerts, and what admins changed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, Float, Index, Integer, Numeric, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from bot.store.schema.columns import count, metadata, now

ledger = Table(
    "ledger",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("call_id", UUID(as_uuid=True), primary_key=True),
    Column("turn_id", UUID(as_uuid=True)),
    Column("thread_uid", UUID(as_uuid=True)),
    Column("platform", Text, nullable=False),
    Column("channel_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("tier", Text),
    count("input_tokens"),
    count("cached_tokens"),
    count("cache_write_tokens"),
    count("cache_write_long_tokens"),
    count("completion_tokens"),
    count("reasoning_tokens"),
    Column("cost_usd", Numeric(18, 10)),
    Column("price_version", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("latency_ms", Float, nullable=False),
    Column("ttft_ms", Float),
    Column("error", Text, nullable=False, server_default=text("''")),
    Column("budget_day", Date, nullable=False),
    now("created_at"),
    Column("summed", Text, nullable=False, server_default=text("'no'")),
    Index("ledger_recent", "tenant_id", "created_at"),
    Index("ledger_unsummed", "tenant_id", "created_at", postgresql_where=text("summed <> 'yes'")),
    Index("ledger_of_turn", "tenant_id", "turn_id"),
    Index("ledger_open", "tenant_id", "turn_id", postgresql_where=text("status = 'open'")),
)
"""``summed`` tells whether the sums of its day have a row: ``no``, ``yes``, or ``changed`` if it was changed since."""


def _sums() -> list[Column[Any]]:
    """Return the columns of a sum of ledger rows. ``cost_usd`` excludes the ``unknown_calls``, which have no price."""
    counts = ("calls", "unknown_calls", "estimated_calls", "answers", "input_tokens", "cached_tokens")
    tokens = ("cache_write_tokens", "cache_write_long_tokens", "completion_tokens", "reasoning_tokens")
    whole: list[Column[Any]] = [Column(name, BigInteger, nullable=False) for name in (*counts, *tokens)]
    return [*whole, Column("cost_usd", Numeric(28, 10), nullable=False)]


ledger_days = Table(
    "ledger_days",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("dimension", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("key", Text, primary_key=True),
    *_sums(),
)
"""The sums of one day (in UTC, by ``created_at``) for each user, channel, model, purpose and budget day."""

ledger_price_days = Table(
    "ledger_price_days",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("is_cheap_answer", Boolean, primary_key=True),
    Column("used_cache", Boolean, primary_key=True),
    Column("is_priced", Boolean, primary_key=True),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("steps", ARRAY(BigInteger), nullable=False),
    *_sums(),
)
"""The sums of one day for each group of calls that are priced alike, divided at the prompt sizes in ``steps``."""

budgets = Table(
    "budgets",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("daily_tokens", BigInteger, nullable=False),
    Column("set_by", Text, nullable=False),
    now("updated_at"),
)

budget_days = Table(
    "budget_days",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    count("used"),
    count("reserved"),
    Column("daily_limit", BigInteger),
)

reservations = Table(
    "reservations",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("reservation_id", UUID(as_uuid=True), primary_key=True),
    Column("turn_id", UUID(as_uuid=True), nullable=False),
    Column("subject", Text, primary_key=True),
    Column("day", Date, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    now("created_at"),
    Index("reservations_held", "tenant_id", "turn_id", postgresql_where=text("state = 'held'")),
)

admin_changes = Table(
    "admin_changes",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("change_id", UUID(as_uuid=True), primary_key=True),
    Column("admin_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("value", Text, nullable=False, server_default=text("''")),
    now("created_at"),
    Index("admin_changes_recent", "tenant_id", "created_at"),
)

cost_alerts = Table(
    "cost_alerts",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("level", BigInteger, primary_key=True, autoincrement=False),
    Column("amount", Numeric(28, 10), nullable=False),
    Column("usual", Numeric(28, 10), nullable=False),
    Column("told_on", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    now("created_at"),
)
"""``told_on`` are the platforms whose admins were told."""

added_days = Table(
    "added_days",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    count("bytes"),
    count("documents"),
)

token_ratios = Table(
    "token_ratios",
    metadata,
    Column("tenant_id", Text, primary_key=True, server_default=text("'*'")),
    Column("model", Text, primary_key=True),
    Column("ratio", Float(53), nullable=False),
)
"""Real tokens for each estimated one, as learned. Belongs to no tenant."""

refusals = Table(
    "refusals",
    metadata,
    Column("tenant_id", Text, primary_key=True, server_default=text("'*'")),
    Column("day", Date, primary_key=True),
    Column("kind", Text, primary_key=True),
    count("count"),
)
