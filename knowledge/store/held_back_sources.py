"""Reads and writes the sources whose last reading was held back, and on which platforms people were told.

Every function runs inside its caller's transaction, and all but ``tenants_not_told`` inside its tenant.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A source whose last reading would have removed too much. ``added_by`` is a person's ID, None if unknown."""

    source_id: str
    uri: str
    reason: str
    added_by: str | None = None


# A source that is no longer held back is told about again the next time.
_SET = text("""
    WITH held AS (
        UPDATE sources SET held_back = :reason WHERE tenant_id = :tenant AND id = :source
        RETURNING id
    )
    DELETE FROM held_back_notices USING held
    WHERE tenant_id = :tenant AND source_id = held.id AND :reason = ''
""")


async def set_reason(session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID, reason: str) -> None:
    """Store why the last reading of the source removed nothing; empty if the reading was complete."""
    await session.execute(_SET, {"tenant": tenant_id, "source": source_id, "reason": reason})


async def is_held_back(session: AsyncSession, *, tenant_id: str, source_id: str) -> bool:
    """Return whether the last reading of the source was held back; False if there is no such source."""
    found = await session.scalar(
        text("SELECT held_back FROM sources WHERE tenant_id = :tenant AND CAST(id AS text) = :source"),
        {"tenant": tenant_id, "source": source_id},
    )
    return bool(found)


# Audiences that are NULL match every source.
_LIST = text("""
    SELECT CAST(id AS text), uri, held_back, added_by
    FROM sources
    WHERE tenant_id = :tenant AND held_back <> ''
        AND (CAST(:audiences AS text[]) IS NULL OR audience = ANY(:audiences))
    ORDER BY uri
""")


async def list_sources(
    session: AsyncSession, *, tenant_id: str, audiences: Sequence[str] | None = None
) -> list[HeldBack]:
    """Return the sources that are held back and that these audiences may read, by their uri; None lists all."""
    values = {"tenant": tenant_id, "audiences": None if audiences is None else list(audiences)}
    return [HeldBack(*row) for row in await session.execute(_LIST, values)]


_IS_NOT_TOLD = """held_back <> '' AND NOT EXISTS (
    SELECT FROM held_back_notices
    WHERE held_back_notices.tenant_id = sources.tenant_id AND source_id = sources.id AND platform = :platform
)"""
_NOT_TOLD = text(f"""
    SELECT CAST(id AS text), uri, held_back, added_by
    FROM sources
    WHERE tenant_id = :tenant AND {_IS_NOT_TOLD}
    ORDER BY uri
""")  # noqa: S608
_TENANTS_NOT_TOLD = text(f"""
    SELECT DISTINCT tenant_id
    FROM sources
    WHERE tenant_id = ANY(:tenants) AND {_IS_NOT_TOLD}
    ORDER BY tenant_id
""")  # noqa: S608


async def tenants_not_told(session: AsyncSession, *, tenants: Sequence[str], platform: str) -> list[str]:
    """Return those of the tenants that have sources about which nobody was told on the platform.

    Runs in a transaction without a tenant, which sees no other sources than those that are held back.
    """
    return list(await session.scalars(_TENANTS_NOT_TOLD, {"tenants": list(tenants), "platform": platform}))


async def not_told(session: AsyncSession, *, tenant_id: str, platform: str) -> list[HeldBack]:
    """Return the sources that are held back and about which nobody was told on the platform."""
    rows = await session.execute(_NOT_TOLD, {"tenant": tenant_id, "platform": platform})
    return [HeldBack(*row) for row in rows]


_TELL = text("""
    INSERT INTO held_back_notices (tenant_id, source_id, platform)
    SELECT tenant_id, id, :platform FROM sources WHERE tenant_id = :tenant AND id = :source AND held_back <> ''
    ON CONFLICT DO NOTHING
""")


async def mark_told(session: AsyncSession, *, tenant_id: str, source_id: str, platform: str) -> None:
    """Record that people on the platform were told about the source."""
    await session.execute(_TELL, {"tenant": tenant_id, "source": uuid.UUID(source_id), "platform": platform})
