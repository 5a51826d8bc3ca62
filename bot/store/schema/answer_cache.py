"""The tables of the answer cache: answers, their use, and questions that are being answered."""

from __future__ import annotations

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import REAL, BigInteger, Boolean, Column, DateTime, Index, SmallInteger, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, UUID

from bot.store.schema.columns import metadata, now, of_turn

answers = Table(
    "answers",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("turn_id", UUID(as_uuid=True), nullable=False),
    Column("answer", Text, nullable=False),
    Column("citations", JSONB, nullable=False),
    now("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ground", Text),
    Column("question", Text),
    Column("model", Text),
    Column("vector", HALFVEC),
    Column("knowledge_version", BigInteger),
    Column("evidence", Text),
    Column("documents", JSONB),
    of_turn(),
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
    now("created_at"),
    of_turn(),
    Index("answer_hits_of_entry", "tenant_id", "key"),
)

answer_flights = Table(
    "answer_flights",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("turn_id", UUID(as_uuid=True), nullable=False),
    Column("until", DateTime(timezone=True), nullable=False),
    of_turn(),
    Index("answer_flights_of_turn", "tenant_id", "turn_id"),
)
