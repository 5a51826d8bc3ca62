"""The tables of the browser page: files, and the cards of commands. All web processes share them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Identity, Index, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from bot.store.schema.columns import metadata, now

page_files = Table(
    "page_files",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("file_id", Text, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("added_by", Text, nullable=False),
    now("created_at"),
)

page_commands = Table(
    "page_commands",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("command_id", Text, primary_key=True),
    Column("seq", BigInteger, Identity(always=True), nullable=False),
    Column("author_id", Text, nullable=False),
    Column("card", JSONB, nullable=False),
    Column("ended", Boolean, nullable=False),
    now("updated_at"),
    Index("page_commands_of_seq", "tenant_id", "seq"),
)
