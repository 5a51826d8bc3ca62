"""Records which kinds of events a platform has sent, and when last, so that missing subscriptions can be found."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.schema import events_heard
from bot.types.conversation import Platform


async def note(session: AsyncSession, *, tenant_id: str, platform: Platform, kind: str) -> None:
    """Record that an event of this kind arrived."""
    key = {"tenant_id": tenant_id, "platform": platform, "kind": kind}
    heard = insert(events_heard).values(**key)
    await session.execute(
        heard.on_conflict_do_update(index_elements=list(key), set_={"last_at": heard.excluded.last_at})
    )


async def heard(session: AsyncSession, *, tenant_id: str, platform: Platform) -> dict[str, datetime]:
    """Return when each kind of event last arrived, without kinds that never arrived."""
    found = await session.execute(
        select(events_heard.c.kind, events_heard.c.last_at).where(
            events_heard.c.tenant_id == tenant_id, events_heard.c.platform == platform
        )
    )
    return {row.kind: row.last_at for row in found}
