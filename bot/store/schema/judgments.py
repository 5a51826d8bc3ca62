"""The table of judged answers."""

from __future__ import annotations

from sqlalchemy import REAL, Boolean, Column, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import UUID

from bot.store.schema.columns import count, metadata, now, of_turn

judgments = Table(
    "judgments",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("turn_id", UUID(as_uuid=True), primary_key=True),
    Column("model", Text, nullable=False),
    Column("batch", Text, nullable=False),
    count("place"),
    count("tokens"),
    Column("state", Text, nullable=False),
    Column("passed", Boolean),
    Column("score", REAL),
    Column("cause", Text, nullable=False, server_default=text("''")),
    now("created_at"),
    of_turn(),
    Index("judgments_waiting", "tenant_id", "batch", postgresql_where=text("state = 'waiting'")),
    Index("judgments_recent", "tenant_id", "created_at"),
)
