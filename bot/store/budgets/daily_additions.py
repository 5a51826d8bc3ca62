"""Enforces the daily limits of bytes and documents that one person adds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

RETENTION = timedelta(days=31)

DELETE_OLD = "DELETE FROM added_days WHERE tenant_id = %(tenant)s AND day < %(before)s"


@dataclass(frozen=True, slots=True)
class AddedLimits:
    """The most that one person may add in a day; 0 means no limit."""

    size: int
    documents: int


# Another transaction that adds for the same person waits for this one, so that both together keep the limit.
_ADD = text("""
    INSERT INTO added_days (tenant_id, user_id, day, bytes, documents)
    SELECT :tenant, :user, :day, :size, :documents
    WHERE (:max_size = 0 OR :size <= :max_size) AND (:max_documents = 0 OR :documents <= :max_documents)
    ON CONFLICT (tenant_id, user_id, day) DO UPDATE SET
        bytes = added_days.bytes + excluded.bytes,
        documents = added_days.documents + excluded.documents
    WHERE (:max_size = 0 OR added_days.bytes + excluded.bytes <= :max_size)
        AND (:max_documents = 0 OR added_days.documents + excluded.documents <= :max_documents)
    RETURNING true
""")


async def add(
    session: AsyncSession, *, tenant_id: str, user_id: str, day: date, size: int, documents: int, limits: AddedLimits
) -> bool:
    """Count documents of ``size`` bytes together. Return False, and count nothing, if that would exceed a limit."""
    return bool(
        await session.scalar(
            _ADD,
            {
                "tenant": tenant_id,
                "user": user_id,
                "day": day,
                "size": size,
                "documents": documents,
                "max_size": limits.size,
                "max_documents": limits.documents,
            },
        )
    )
