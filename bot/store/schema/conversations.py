"""The tables of conversations: tenants, threads, turns, their messages and what is remembered of them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from bot.store.schema.columns import count, json_object, metadata, now, of_thread, of_turn

tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("platform", Text, nullable=False),
    Column("name", Text, nullable=False, server_default=text("''")),
    Column("timezone", Text),
    json_object("settings"),
    now("created_at"),
    count("answers_checked"),
    Column("maintain_at", DateTime(timezone=True)),
    Column("maintained_version", BigInteger),
    Column("maintained_terms", Integer),
)

channels = Table(
    "channels",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("channel_id", Text, primary_key=True),
    json_object("settings"),
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
    count("summary_upto"),
    Column("tier", Text),
    Column("quiet", Boolean, nullable=False, server_default=text("false")),
    Column("named", Boolean, nullable=False, server_default=text("false")),
    Column("pinned", Boolean, nullable=False, server_default=text("false")),
    Column("branch_of", UUID(as_uuid=True)),
    Column("branch_turn", UUID(as_uuid=True)),
    now("created_at"),
    now("updated_at"),
    Index("threads_recent", "tenant_id", "platform", "channel_id", "updated_at"),
    Index("threads_branches", "tenant_id", "branch_of", postgresql_where=text("branch_of IS NOT NULL")),
)

COPIED = "copied"
"""The kind of a turn that a branch of its conversation has a copy of. Reports leave it out."""

NO_TURN = "00000000-0000-0000-0000-000000000000"
"""The turn of a message that becomes none, such as a command."""

inbox = Table(
    "inbox",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("channel_id", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
    Column("turn_id", UUID(as_uuid=True), nullable=False),
    now("received_at"),
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
    Column("kind", Text, nullable=False, server_default=text("'mention'")),
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
    json_object("trace"),
    now("created_at"),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("withdrawn_at", DateTime(timezone=True)),
    Column("deliver_at", DateTime(timezone=True)),
    now("queued_at"),
    Column("edited_at", DateTime(timezone=True)),
    of_thread(),
    Index("turns_one_running", "tenant_id", "thread_uid", unique=True, postgresql_where=text("state = 'running'")),
    Index("turns_of_user", "tenant_id", "user_id", "seq"),
    Index("turns_of_thread", "tenant_id", "thread_uid", "seq"),
    Index("turns_copied", "tenant_id", postgresql_where=text(f"kind = '{COPIED}'")),
    Index("turns_open", "platform", "seq", postgresql_where=text("state IN ('queued', 'running')")),
    Index("turns_withdrawn", "platform", "withdrawn_at", postgresql_where=text("withdrawn_at IS NOT NULL")),
    Index("turns_undelivered", "platform", "deliver_at", postgresql_where=text("deliver_at IS NOT NULL")),
)

reply_parts = Table(
    "reply_parts",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("turn_id", UUID(as_uuid=True), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("ref", Text),
    now("recorded_at"),
    of_turn(),
    Index("reply_parts_of_ref", "tenant_id", "ref"),
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
    count("size"),
    Column("ref", Text, nullable=False, server_default=text("''")),
    Column("text", Text),
    Column("people", JSONB, nullable=False, server_default=text("'[]'")),
    now("created_at"),
    of_turn(),
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
    now("created_at"),
    of_thread(),
    Index("messages_of_turn", "tenant_id", "turn_id"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("turn_id", UUID(as_uuid=True), primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("value", SmallInteger, nullable=False),
    Column("reason", Text, nullable=False, server_default=text("''")),
    now("created_at"),
    of_turn(),
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
    now("created_at"),
    of_thread(),
    of_turn(),
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

changed_answer_notices = Table(
    "changed_answer_notices",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("turn_id", UUID(as_uuid=True), primary_key=True),
    Column("platform", Text, nullable=False),
    of_turn(),
)
