"""Fixtures of the store's tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url


@pytest.fixture
def owned_url(postgres: str) -> Iterator[str]:
    """A database with pgvector, owned by a role without any rights beside it, under a cluster role of its own name."""
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
