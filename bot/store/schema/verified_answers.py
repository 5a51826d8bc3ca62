"""The tables of verified answers and of the questions that they answer."""

from __future__ import annotations

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import BigInteger, Boolean, Column, DateTime, ForeignKeyConstraint, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, UUID

from bot.store.schema.columns import json_object, metadata, now

verified_answers = Table(
    "verified_answers",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("answer", Text, nullable=False),
    Column("citations", JSONB, nullable=False, server_default=text("'[]'")),
    json_object("documents"),
    Column("audience", Text, nullable=False),
    Column("tenant_wide", Boolean, nullable=False),
    Column("platform", Text, nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("owner_name", Text, nullable=False),
    Column("turn_id", UUID(as_uuid=True)),
    now("verified_at"),
    Column("expires_at", DateTime(timezone=True)),
    Column("stale", Text, nullable=False, server_default=text("''")),
    Column("told", Boolean, nullable=False, server_default=text("false")),
    Index("verified_answers_not_told", "tenant_id", postgresql_where=text("stale <> '' AND NOT told")),
    Index("verified_answers_of_turn", "tenant_id", "turn_id", unique=True),
)

verified_questions = Table(
    "verified_questions",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("answer_id", UUID(as_uuid=True), primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("question", Text, nullable=False),
    Column("model", Text),
    Column("vector", HALFVEC),
    ForeignKeyConstraint(
        ["tenant_id", "answer_id"], ["verified_answers.tenant_id", "verified_answers.id"], ondelete="CASCADE"
    ),
)
