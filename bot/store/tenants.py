"""Tenants and their channels."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.tables import channels, tenants
from bot.types import ChannelSettings, Platform


async def ensure(session: AsyncSession, *, tenant_id: str, platform: Platform) -> None:
    """Make the tenant's row where there is none."""
    await session.execute(insert(tenants).values(tenant_id=tenant_id, platform=platform).on_conflict_do_nothing())


async def timezone(session: AsyncSession, *, tenant_id: str) -> str | None:
    """The tenant's own time zone, or None for the operator's default."""
    zone: str | None = await session.scalar(select(tenants.c.timezone).where(tenants.c.tenant_id == tenant_id))
    return zone


async def channel_settings(session: AsyncSession, *, tenant_id: str, channel_id: str) -> ChannelSettings:
    """How the bot behaves in the channel; the defaults where nothing was set."""
    stored: dict[str, Any] | None = await session.scalar(
        select(channels.c.settings).where(channels.c.tenant_id == tenant_id, channels.c.channel_id == channel_id)
    )
    known = ChannelSettings.__dataclass_fields__
    return ChannelSettings(**{name: value for name, value in (stored or {}).items() if name in known})


async def set_channel_settings(
    session: AsyncSession, *, tenant_id: str, channel_id: str, settings: ChannelSettings
) -> None:
    """Replace the channel's settings."""
    statement = insert(channels).values(tenant_id=tenant_id, channel_id=channel_id, settings=asdict(settings))
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "channel_id"], set_={"settings": statement.excluded.settings}
        )
    )
