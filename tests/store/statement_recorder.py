"""Records the statements that the connections of the stores send, as PostgreSQL gets them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg._queries import PostgresQuery
from psycopg.adapt import Transformer

from bot.store.database.connections import BoundedConnection
from bot.store.database.session import NO_TENANT

_BINDING = re.compile(r"SET LOCAL parley\.tenant_id = '(.*)'")


class Sent(NamedTuple):
    """A statement with ``$n`` placeholders, the types of its parameters (0 if the server infers them), and whether its
    transaction has a tenant.
    """

    sql: str
    types: tuple[int, ...]
    has_tenant: bool


@contextmanager
def recorded_statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[Sent]]:
    """Yield the set of statements that are sent during the body; the bodies of functions are not among them."""
    found: set[Sent] = set()
    bound_to: dict[int, str] = {}
    execute = psycopg.AsyncCursor.execute

    async def recorded(self: psycopg.AsyncCursor[Any], query: Any, params: Any = None, **more: Any) -> Any:
        if isinstance(self.connection, BoundedConnection):
            sent = PostgresQuery(Transformer.from_context(self.connection))
            sent.convert(query, params)
            statement = sent.query.decode()
            if binding := _BINDING.fullmatch(statement):
                bound_to[id(self.connection)] = binding[1]
            has_tenant = bound_to.get(id(self.connection), NO_TENANT) != NO_TENANT
            found.add(Sent(statement, tuple(sent.types or ()), has_tenant))
        return await execute(self, query, params, **more)

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.AsyncCursor, "execute", recorded)
        yield found
