"""A database whose owner is an ordinary role: it may not create roles, and row-level security still applies to it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.engine import make_url

from bot.store import migrate
from bot.store.session import Database


@pytest.fixture
def owned_url(postgres: str) -> Iterator[str]:
    """A database with pgvector, owned by a role without any other rights, with an application role of its own name."""
    role, name = f"owner_{uuid.uuid4().hex[:8]}", f"owned_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(role)))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(role)))
        inside = make_url(postgres).set(database=name)
        with psycopg.connect(inside.render_as_string(hide_password=False), autocommit=True) as other:
            other.execute("CREATE EXTENSION IF NOT EXISTS vector")
        yield inside.set(username=role, password=role).render_as_string(hide_password=False)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


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
