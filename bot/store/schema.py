"""The bot's tables. ``tenant_id`` leads every key. A test compares this file with the migrations."""

from __future__ import annotations

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from bot.store import page_schema

metadata = MetaData()


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=text("now()"))


def _json(name: str) -> Column[object]:
    return Column(name, JSONB, nullable=False, server_default=text("'{}'"))


def _thread() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["tenant_id", "thread_uid"], ["threads.tenant_id", "threads.thread_uid"], ondelete="CASCADE"
    )


def _turn() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["tenant_id", "turn_id"], ["turns.tenant_id", "turns.turn_id"], ondelete="CASCADE")


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("platform", Text, nullable=False),
    Column("name", Text, nullable=False, server_default=text("''")),
    Column("timezone", Text),
    _json("settings"),
    _now("created_at"),
)

channels = Table(
    "channels",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("channel_id", Text, primary_key=True),
    _json("settings"),
)

threads = Table(
    "threads",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("thread_uid", UUID(as_uuid=True), primary_key=True),
    Column("platform", Text, nullable=False),
    Column("channel_id", Text, nullable=False),
    Column("thread_id", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("summary", Text, nullable=False, server_default=text("''")),
    _count("summary_upto"),
    Column("tier", Text),
    Column("quiet", Boolean, nullable=False, server_default=text("false")),
    _now("created_at"),
    _now("updated_at"),
    Index("threads_recent", "tenant_id", "platform", "channel_id", "updated_at"),
)

NO_TURN = "00000000-0000-0000-0000-000000000000"
"""The turn of a message that becomes none, such as a command."""

inbox = Table(
    "inbox",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("channel_id", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
    Column("turn_id", UUID(as_uuid=True), nullable=False),
    _now("received_at"),
    Index(
        "inbox_of_prefix", "tenant_id", "channel_id", "message_id", postgresql_ops={"message_id": "text_pattern_ops"}
    ),
    Index("inbox_of_commands", "tenant_id", "received_at", postgresql_where=text(f"turn_id = '{NO_TURN}'")),
)

turns = Table(
    "turns",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("turn_id", UUID(as_uuid=True), primary_key=True),
    Column("seq", BigInteger, Identity(always=True), nullable=False),
    Column("thread_uid", UUID(as_uuid=True), nullable=False),
    Column("platform", Text, nullable=False),
    Column("channel_id", Text, nullable=False),
    Column("thread_id", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("user_role", Text, nullable=False, server_default=text("'member'")),
    Column("question", Text, nullable=False),
    Column("wish", Text),
    Column("fresh", Boolean, nullable=False),
    Column("audience", Text, nullable=False, server_default=text("'unknown'")),
    Column("tenant_wide", Boolean, nullable=False, server_default=text("true")),
    Column("state", Text, nullable=False),
    Column("fence", Integer, nullable=False, server_default=text("0")),
    Column("lease_until", DateTime(timezone=True)),
    Column("holder", Integer),
    Column("takeovers", Integer, nullable=False, server_default=text("0")),
    Column("stopping", Boolean, nullable=False, server_default=text("false")),
    Column("answer", Text, nullable=False, server_default=text("''")),
    Column("citations", JSONB, nullable=False, server_default=text("'[]'")),
    Column("cached", Boolean, nullable=False, server_default=text("false")),
    Column("refused", Text),
    _json("trace"),
    _now("created_at"),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("withdrawn_at", DateTime(timezone=True)),
    Column("deliver_at", DateTime(timezone=True)),
    _now("queued_at"),
    _thread(),
    Index("turns_one_running", "tenant_id", "thread_uid", unique=True, postgresql_where=text("state = 'running'")),
    Index("turns_of_user", "tenant_id", "user_id", "seq"),
    Index("turns_of_thread", "tenant_id", "thread_uid", "seq"),
    Index("turns_open", "platform", "seq", postgresql_where=text("state IN ('queued', 'running')")),
    Index("turns_withdrawn", "platform", "withdrawn_at", postgresql_where=text("withdrawn_at IS NOT NULL")),
    Index("turns_undelivered", "platform", "deliver_at", postgresql_where=text("deliver_at IS NOT NULL")),
)

processes = Table(
    "processes",
    metadata,
    Column("tenant_id", Text, primary_key=True, server_default=text("'*'")),
    Column("process_id", Integer, primary_key=True, autoincrement=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("platforms", Text, nullable=False, server_default=text("''")),
    Column("faults", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    _now("started_at"),
    _now("beat_at"),
)
"""Belongs to no tenant: its rows have the tenant ``*``, which ``Database.queue`` sets."""

reply_parts = Table(
    "reply_parts",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("turn_id", UUID(as_uuid=True), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("ref", Text),
    _now("recorded_at"),
    _turn(),
)

attachments = Table(
    "attachments",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("turn_id", UUID(as_uuid=True), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("content_type", Text, nullable=False, server_default=text("''")),
    _count("size"),
    Column("ref", Text, nullable=False, server_default=text("''")),
    Column("text", Text),
    Column("people", JSONB, nullable=False, server_default=text("'[]'")),
    _now("created_at"),
    _turn(),
)

messages = Table(
    "messages",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("thread_uid", UUID(as_uuid=True), primary_key=True),
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("turn_id", UUID(as_uuid=True), nullable=False),
    Column("role", Text, nullable=False),
    Column("author_id", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("tokens", Integer, nullable=False),
    _now("created_at"),
    _thread(),
    Index("messages_of_turn", "tenant_id", "turn_id"),
)

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
    _count("input_tokens"),
    _count("cached_tokens"),
    _count("cache_write_tokens"),
    _count("cache_write_long_tokens"),
    _count("completion_tokens"),
    _count("reasoning_tokens"),
    Column("cost_usd", Numeric(18, 10)),
    Column("price_version", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("latency_ms", Float, nullable=False),
    Column("ttft_ms", Float),
    Column("error", Text, nullable=False, server_default=text("''")),
    Column("budget_day", Date, nullable=False),
    _now("created_at"),
    Index("ledger_recent", "tenant_id", "created_at"),
    Index("ledger_of_turn", "tenant_id", "turn_id"),
    Index("ledger_open", "tenant_id", "turn_id", postgresql_where=text("status = 'open'")),
)

budgets = Table(
    "budgets",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("daily_tokens", BigInteger, nullable=False),
    Column("set_by", Text, nullable=False),
    _now("updated_at"),
)

budget_days = Table(
    "budget_days",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    _count("used"),
    _count("reserved"),
)

added_days = Table(
    "added_days",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    _count("bytes"),
    _count("documents"),
)

refusals = Table(
    "refusals",
    metadata,
    Column("tenant_id", Text, primary_key=True, server_default=text("'*'")),
    Column("day", Date, primary_key=True),
    Column("kind", Text, primary_key=True),
    _count("count"),
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
    _now("created_at"),
    Index("reservations_held", "tenant_id", "turn_id", postgresql_where=text("state = 'held'")),
)

answers = Table(
    "answers",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("turn_id", UUID(as_uuid=True), nullable=False),
    Column("answer", Text, nullable=False),
    Column("citations", JSONB, nullable=False),
    _now("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ground", Text),
    Column("question", Text),
    Column("model", Text),
    Column("vector", HALFVEC),
    Column("knowledge_version", BigInteger),
    Column("evidence", Text),
    Column("documents", JSONB),
    _turn(),
    Index("answers_of_turn", "tenant_id", "turn_id"),
    Index("answers_on_ground", "tenant_id", "ground", postgresql_where=text("ground IS NOT NULL")),
)

answer_hits = Table(
    "answer_hits",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("turn_id", UUID(as_uuid=True), primary_key=True),
    Column("key", Text, nullable=False),
    Column("similarity", REAL, nullable=False),
    Column("shadow", Boolean, nullable=False),
    Column("verdict", SmallInteger),
    _now("created_at"),
    _turn(),
    Index("answer_hits_of_entry", "tenant_id", "key"),
)

answer_flights = Table(
    "answer_flights",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("turn_id", UUID(as_uuid=True), nullable=False),
    Column("until", DateTime(timezone=True), nullable=False),
    _turn(),
    Index("answer_flights_of_turn", "tenant_id", "turn_id"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("turn_id", UUID(as_uuid=True), primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("value", SmallInteger, nullable=False),
    Column("reason", Text, nullable=False, server_default=text("''")),
    _now("created_at"),
    _turn(),
)

facts = Table(
    "facts",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("fact_id", UUID(as_uuid=True), primary_key=True),
    Column("thread_uid", UUID(as_uuid=True), nullable=False),
    Column("turn_id", UUID(as_uuid=True), nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("author_id", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("said_at", DateTime(timezone=True), nullable=False),
    _now("created_at"),
    _thread(),
    _turn(),
    Index("facts_of_thread", "tenant_id", "thread_uid", "said_at"),
    Index("facts_of_turn", "tenant_id", "turn_id"),
)

message_vectors = Table(
    "message_vectors",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("thread_uid", UUID(as_uuid=True), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("vector", LargeBinary, nullable=False),
    ForeignKeyConstraint(
        ["tenant_id", "thread_uid", "seq"],
        ["messages.tenant_id", "messages.thread_uid", "messages.seq"],
        ondelete="CASCADE",
    ),
)

slack_installations = Table(
    "slack_installations",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("team_id", Text, nullable=False, server_default=text("''")),
    Column("enterprise_id", Text, nullable=False, server_default=text("''")),
    Column("name", Text, nullable=False, server_default=text("''")),
    Column("app_id", Text, nullable=False, server_default=text("''")),
    Column("bot_id", Text, nullable=False, server_default=text("''")),
    Column("bot_user_id", Text, nullable=False, server_default=text("''")),
    Column("scopes", Text, nullable=False, server_default=text("''")),
    Column("installed_by", Text, nullable=False, server_default=text("''")),
    Column("installed_at", DateTime(timezone=True), nullable=False),
    Column("sealed", Text),
    Column("expires_at", DateTime(timezone=True)),
    Column("refreshed_at", DateTime(timezone=True), nullable=False),
    Column("version", Integer, nullable=False, server_default=text("1")),
    Column("removed_at", DateTime(timezone=True)),
)
"""A workspace or organization that installed the app. ``tenant_id`` is ``slack:`` and its id, wherever its documents
belong. ``sealed`` holds the encrypted tokens, NULL once the app was removed."""

oauth_states = Table(
    "oauth_states",
    metadata,
    Column("tenant_id", Text, primary_key=True, server_default=text("'*'")),
    Column("digest", Text, primary_key=True),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)
"""OAuth states that were used, as digests, until they expire."""

slack_requests = Table(
    "slack_requests",
    metadata,
    Column("tenant_id", Text, primary_key=True, server_default=text("'*'")),
    Column("digest", Text, primary_key=True),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Index("slack_requests_expired", "tenant_id", "expires_at"),
)
"""Requests that Slack sent over HTTP, as digests, while their signatures are valid."""

events_heard = Table(
    "events_heard",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("platform", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    _now("first_at"),
    _now("last_at"),
)

page_files, page_commands = page_schema.add_tables(metadata)
