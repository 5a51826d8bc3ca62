"""The table of weekly digests."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Table, Text

from bot.store.schema.columns import metadata

gap_digests = Table(
    "gap_digests",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("platform", Text, nullable=False),
    Column("channel_id", Text, nullable=False),
    Column("next_at", DateTime(timezone=True), nullable=False),
)
