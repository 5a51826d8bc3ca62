"""The tables of the browser page: files, and the cards of commands. They are shared by all web processes."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB


def add_tables(metadata: MetaData) -> tuple[Table, Table]:
    """Add the tables ``page_files`` and ``page_commands`` to the schema, and return them."""
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
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
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
        Column("updated_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
        Index("page_commands_of_seq", "tenant_id", "seq"),
    )
    return page_files, page_commands
