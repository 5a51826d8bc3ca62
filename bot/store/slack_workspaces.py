"""Stores Slack workspaces that installed the app themselves, and used OAuth states. Tokens arrive here encrypted.

The name of a workspace's row is ``slack:T...`` or, if an organization installed the app org-wide, ``slack:E...``. The
row stays after the app is removed, without its tokens.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store import tenants
from bot.store.database.session import ANY_TENANT, Database
from bot.store.schema import oauth_states, slack_installations
from bot.store.schema import tenants as tenants_table


@dataclass(frozen=True, slots=True)
class Installed:
    """One installation. ``sealed`` is None once the app was removed, ``expires_at`` if its token never expires."""

    tenant_id: str
    team_id: str
    enterprise_id: str
    name: str
    app_id: str
    bot_id: str
    bot_user_id: str
    scopes: str
    installed_by: str
    installed_at: datetime
    sealed: str | None
    expires_at: datetime | None
    refreshed_at: datetime
    version: int = 1
    removed_at: datetime | None = None


async def save(session: AsyncSession, made: Installed) -> None:
    """Store an installation, replacing an earlier one of the workspace."""
    await tenants.ensure(session, tenant_id=made.tenant_id, platform="slack")
    values = asdict(made)
    anew = {name: value for name, value in values.items() if name not in ("tenant_id", "version")}
    await session.execute(
        insert(slack_installations)
        .values(**values)
        .on_conflict_do_update(
            index_elements=["tenant_id"], set_={**anew, "version": slack_installations.c.version + 1}
        )
    )


async def get(session: AsyncSession, tenant_id: str) -> Installed | None:
    """Return the installation of a workspace, even if the app was removed since."""
    row = (
        await session.execute(select(slack_installations).where(slack_installations.c.tenant_id == tenant_id))
    ).one_or_none()
    return Installed(**row._mapping) if row else None


async def renew(session: AsyncSession, made: Installed) -> bool:
    """Store new tokens, which follow the stored version. Return False if there is another version by now."""
    done = await session.execute(
        update(slack_installations)
        .where(
            slack_installations.c.tenant_id == made.tenant_id,
            slack_installations.c.version == made.version - 1,
            slack_installations.c.sealed.is_not(None),
        )
        .values(sealed=made.sealed, expires_at=made.expires_at, refreshed_at=made.refreshed_at, version=made.version)
        .returning(slack_installations.c.version)
    )
    return done.first() is not None


async def remove(session: AsyncSession, tenant_id: str, *, told_at: datetime, now: datetime) -> bool:
    """Delete the tokens unless the app was reinstalled after ``told_at``. Return whether there were tokens."""
    done = await session.execute(
        update(slack_installations)
        .where(
            slack_installations.c.tenant_id == tenant_id,
            slack_installations.c.sealed.is_not(None),
            slack_installations.c.installed_at <= told_at,
        )
        .values(sealed=None, expires_at=None, removed_at=now, version=slack_installations.c.version + 1)
        .returning(slack_installations.c.version)
    )
    return done.first() is not None


async def every(database: Database) -> list[Installed]:
    """Return all installations, including removed ones, by name."""
    async with database.queue() as session:
        names = await session.scalars(select(tenants_table.c.tenant_id).where(tenants_table.c.platform == "slack"))
        known = list(names)
    found: list[Installed] = []
    for tenant_id in sorted(known):
        async with database.tenant(tenant_id) as session:
            made = await get(session, tenant_id)
        if made is not None:
            found.append(made)
    return found


async def was_removed(session: AsyncSession, tenant_id: str) -> bool:
    """Return whether the workspace had the app and removed it."""
    made = await get(session, tenant_id)
    return made is not None and made.sealed is None


async def use_state(session: AsyncSession, digest: str, *, expires_at: datetime, now: datetime) -> bool:
    """Store that the state was used, and delete expired ones. Return False if it was used before."""
    await session.execute(
        delete(oauth_states).where(oauth_states.c.tenant_id == ANY_TENANT, oauth_states.c.expires_at < now)
    )
    added = await session.execute(
        insert(oauth_states)
        .values(tenant_id=ANY_TENANT, digest=digest, expires_at=expires_at)
        .on_conflict_do_nothing()
        .returning(oauth_states.c.digest)
    )
    return added.first() is not None
