"""A database whose owner is an ordinary role: it may not create roles, and row-level security still applies to it."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.engine import make_url

from bot.store.database import migrate
from bot.store.database.session import Database


async def test_the_owner_is_bound_too(owned_url: str) -> None:
    migrate.upgrade(owned_url)
    database = Database(owned_url)
    try:
        for tenant in ("slack:A", "slack:B"):
            async with database.tenant(tenant) as session:
                await session.execute(
                    text("INSERT INTO tenants (tenant_id, platform) VALUES (:tenant, 'slack')"), {"tenant": tenant}
                )
        async with database.tenant("slack:A") as session:
            assert await session.scalar(text("SELECT current_user")) == make_url(owned_url).username
            assert list(await session.scalars(text("SELECT tenant_id FROM tenants"))) == ["slack:A"]
        async with database.engine.connect() as connection:
            assert (await connection.execute(text("SELECT tenant_id FROM tenants"))).all() == []
    finally:
        await database.aclose()
    migrate.downgrade(owned_url)
