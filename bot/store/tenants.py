"""Stores tenants and channels with their settings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, fields, replace
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import and_, bindparam, exists, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.database.pipelined_transactions import Statement, Template, send
from bot.store.database.session import Database
from bot.store.schema import budgets, channels, tenants
from bot.types.conversation import LOCAL_TENANT, Platform
from bot.types.settings import ChannelSettings, TenantSettings
from knowledge.store.schema import sources
from knowledge.text import search_terms

Settings = TypeVar("Settings", ChannelSettings, TenantSettings)


async def ensure(session: AsyncSession, *, tenant_id: str, platform: Platform) -> None:
    """Insert the tenant's row if there is none."""
    await session.execute(insert(tenants).values(tenant_id=tenant_id, platform=platform).on_conflict_do_nothing())


async def every_tenant(database: Database) -> list[str]:
    """Return all tenants, always including the local tenant of the terminal."""
    async with database.queue() as session:
        stored = set(await session.scalars(select(tenants.c.tenant_id)))
    return sorted({LOCAL_TENANT, *stored})


async def with_upkeep(database: Database) -> list[str]:
    """Return the tenants that have something that needs maintenance within the hour, and the local tenant."""
    return await _named_by(database, "SELECT tenants_with_upkeep()")


async def with_new_calls(database: Database) -> list[str]:
    """Return the tenants with model calls on days that are not summed up yet, and the local tenant."""
    return await _named_by(database, "SELECT tenants_with_new_calls()")


# NULL: the tenant was never maintained. The order is that of waiting.
_DUE = text("""
    SELECT tenant_id FROM tenants
    WHERE (maintain_at IS NULL OR maintain_at <= :now OR maintained_terms < :terms)
        AND NOT tenant_id = ANY(CAST(:without AS text[]))
    ORDER BY maintain_at NULLS FIRST, tenant_id
    LIMIT :most
""")


async def due_for_maintenance(
    database: Database, *, now: datetime, most: int, without: Collection[str] = ()
) -> list[str]:
    """Return the tenants whose time for maintenance has come, those that wait longest first.

    A tenant is due too whose search terms were last looked at by earlier rules.
    """
    values = {"now": now, "terms": search_terms.VERSION, "most": most, "without": list(without)}
    async with database.queue() as session:
        return list(await session.scalars(_DUE, values))


async def with_changed_documents(database: Database, model: str) -> set[str]:
    """Return the tenants whose documents changed since their last maintenance, or that ``model`` does not serve."""
    async with database.queue() as session:
        stored = await session.execute(select(tenants.c.tenant_id, tenants.c.maintained_version))
        maintained: dict[str, int | None] = {str(tenant_id): version for tenant_id, version in stored}
        current = await session.execute(text("SELECT tenant_id, version, model, next_model FROM knowledge_versions()"))
        return {
            str(tenant_id)
            for tenant_id, version, serving, next_model in current
            if maintained.get(tenant_id) != version or next_model is not None or serving not in (None, model)
        }


async def to_refresh(database: Database, *, every_seconds: int, now: datetime) -> list[str]:
    """Return the tenants with a source that was read longer ago than its interval, and the local tenant.

    ``every_seconds`` is the interval of sources without one of their own; 0 means never.
    """
    return await _named_by(
        database, "SELECT tenants_to_refresh(CAST(:every AS integer), :at)", every=every_seconds, at=now
    )


async def _named_by(database: Database, statement: str, **values: object) -> list[str]:
    async with database.queue() as session:
        return sorted({LOCAL_TENANT, *await session.scalars(text(statement), values)})


async def has_data(session: AsyncSession, *, tenant_id: str) -> bool:
    """Return whether anything is stored for the tenant: its row, a limit or a source of documents."""
    stored = [exists().where(table.c.tenant_id == tenant_id) for table in (tenants, budgets, sources)]
    return bool(await session.scalar(select(or_(*stored))))


def zone_read(tenant_id: str) -> Statement:
    """Return the statement that reads the tenant's ``timezone``, NULL for the operator's default."""
    return _ZONE(tenant=tenant_id)


async def settings(session: AsyncSession, *, tenant_id: str) -> TenantSettings:
    """Return the settings of the whole tenant."""
    stored: dict[str, Any] | None = await session.scalar(
        select(tenants.c.settings).where(tenants.c.tenant_id == tenant_id)
    )
    return _read(TenantSettings, stored)


async def set_settings(
    session: AsyncSession, *, tenant_id: str, platform: Platform, change: Callable[[TenantSettings], TenantSettings]
) -> TenantSettings:
    """Change the tenant's settings. The row is locked during the change, so that no concurrent change is lost."""
    await ensure(session, tenant_id=tenant_id, platform=platform)
    where = tenants.c.tenant_id == tenant_id
    stored = await session.scalar(select(tenants.c.settings).where(where).with_for_update())
    changed = change(_read(TenantSettings, stored))
    await session.execute(update(tenants).where(where).values(settings=asdict(changed)))
    return changed


async def channel_settings(session: AsyncSession, *, tenant_id: str, channel_id: str) -> ChannelSettings:
    """Return the channel's settings: its own, then the tenant's, then the defaults."""
    ((row,),) = await send(session, settings_read(tenant_id, channel_id))
    return settings_in(row)


def settings_read(tenant_id: str, channel_id: str) -> Statement:
    """Return the statement whose row ``settings_in`` takes."""
    return _SETTINGS(tenant=tenant_id, channel=channel_id)


def settings_in(row: Any) -> ChannelSettings:
    """Return the channel's settings from their row."""
    own, everywhere = _read(ChannelSettings, row.own), _read(TenantSettings, row.everywhere)
    return replace(own, tier=own.tier or everywhere.tier, paused=everywhere.paused)


_CHANNEL = (channels.c.tenant_id == bindparam("tenant")) & (channels.c.channel_id == bindparam("channel"))
_TENANT = tenants.c.tenant_id == bindparam("tenant")
_ZONE = Template(select(tenants.c.timezone).where(_TENANT))
_SETTINGS = Template(
    select(
        select(channels.c.settings).where(_CHANNEL).scalar_subquery().label("own"),
        select(tenants.c.settings).where(_TENANT).scalar_subquery().label("everywhere"),
    )
)


async def set_channel_settings(
    session: AsyncSession, *, tenant_id: str, channel_id: str, change: Callable[[ChannelSettings], ChannelSettings]
) -> ChannelSettings:
    """Change the channel's own settings. The row is locked during the change, so that no concurrent change is lost."""
    key = {"tenant_id": tenant_id, "channel_id": channel_id}
    await session.execute(insert(channels).values(**key).on_conflict_do_nothing())
    where = and_(channels.c.tenant_id == tenant_id, channels.c.channel_id == channel_id)
    stored = await session.scalar(select(channels.c.settings).where(where).with_for_update())
    changed = change(_read(ChannelSettings, stored))
    await session.execute(update(channels).where(where).values(settings=_own(changed)))
    return changed


def _own(made: ChannelSettings) -> dict[str, Any]:
    """Return the settings stored for the channel itself."""
    return {name: value for name, value in asdict(made).items() if name != "paused"}


def _read(kind: type[Settings], stored: Mapping[str, Any] | None) -> Settings:
    """Return the stored values by name. Lists become tuples; names unknown to this version are skipped."""
    known = {field.name for field in fields(kind)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in (stored or {}).items()
        if name in known
    }
    return kind(**values)
