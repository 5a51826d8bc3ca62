"""Stores which channel of a tenant gets the weekly digest, and when the next one is due.

Every function runs inside its caller's transaction, and all but ``due`` inside its tenant.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.schema import gap_digests

EVERY = timedelta(days=7)


async def turn_on(session: AsyncSession, *, tenant_id: str, platform: str, channel_id: str, next_at: datetime) -> None:
    """Post the digest in this channel from now on, in place of any other."""
    values = {"platform": platform, "channel_id": channel_id, "next_at": next_at}
    await session.execute(
        insert(gap_digests)
        .values(tenant_id=tenant_id, **values)
        .on_conflict_do_update(index_elements=["tenant_id"], set_=values)
    )


async def turn_off(session: AsyncSession, *, tenant_id: str) -> None:
    """Post no digest any more."""
    await session.execute(delete(gap_digests).where(gap_digests.c.tenant_id == tenant_id))


async def channel(session: AsyncSession, *, tenant_id: str) -> str | None:
    """Return the channel that gets the digest; None if there is none."""
    found: str | None = await session.scalar(
        select(gap_digests.c.channel_id).where(gap_digests.c.tenant_id == tenant_id)
    )
    return found


async def due(session: AsyncSession, *, tenants: Sequence[str], platform: str, now: datetime) -> list[str]:
    """Return those of the tenants whose digest is due. Runs in a transaction without a tenant."""
    found = gap_digests.c
    return list(
        await session.scalars(
            select(found.tenant_id)
            .where(found.tenant_id.in_(tenants), found.platform == platform, found.next_at <= now)
            .order_by(found.tenant_id)
        )
    )


_CLAIM = text("""
    UPDATE gap_digests SET next_at = greatest(next_at + CAST(:every AS interval), CAST(:now AS timestamptz))
    WHERE tenant_id = :tenant AND platform = :platform AND next_at <= :now
    RETURNING channel_id
""")


async def claim(session: AsyncSession, *, tenant_id: str, platform: str, now: datetime) -> str | None:
    """Schedule the next digest, and return the channel that gets this one; None if it is not due any more."""
    values = {"tenant": tenant_id, "platform": platform, "now": now, "every": EVERY}
    found: str | None = await session.scalar(_CLAIM, values)
    return found


async def postpone(session: AsyncSession, *, tenant_id: str, until: datetime) -> None:
    """Try again at this time, because the digest could not be posted."""
    await session.execute(update(gap_digests).where(gap_digests.c.tenant_id == tenant_id).values(next_at=until))
