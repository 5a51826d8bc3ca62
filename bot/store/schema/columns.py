"""The schema that the tables belong to, and the columns and references that many of them have."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, ForeignKeyConstraint, MetaData, text
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()


def now(name: str) -> Column[object]:
    """Return a column with the time at which the row is inserted."""
    return Column(name, DateTime(timezone=True), nullable=False, server_default=text("now()"))


def json_object(name: str) -> Column[object]:
    """Return a column with a JSON object, empty by default."""
    return Column(name, JSONB, nullable=False, server_default=text("'{}'"))


def count(name: str) -> Column[int]:
    """Return a column with a number, 0 by default."""
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def of_thread() -> ForeignKeyConstraint:
    """Return the reference to the thread of the row, which is deleted with it."""
    return ForeignKeyConstraint(
        ["tenant_id", "thread_uid"], ["threads.tenant_id", "threads.thread_uid"], ondelete="CASCADE"
    )


def of_turn() -> ForeignKeyConstraint:
    """Return the reference to the turn of the row, which is deleted with it."""
    return ForeignKeyConstraint(["tenant_id", "turn_id"], ["turns.tenant_id", "turns.turn_id"], ondelete="CASCADE")
