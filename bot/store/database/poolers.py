"""Notices a connection pooler that keeps no session, such as PgBouncer in transaction mode."""

from __future__ import annotations

from bot.store.database import connections
from bot.store.database.connections import BoundedConnection

ROUNDS = 3
NEEDS_SESSION = (
    "The connection for notifications leads through a pooler in transaction mode, which keeps no session. "
    "Set PARLEY_LISTEN_DATABASE_URL to an address that reaches PostgreSQL directly, or the pooler in session mode."
)


async def keeps_session(connection: BoundedConnection, url: str) -> bool:
    """Return whether the connection keeps its server process while another one to ``url`` is used.

    A pooler that keeps no session gives both connections the same process, or one of them several.
    Raises psycopg.Error.
    """
    other = await connections.connect(url)
    try:
        seen = [(await _process(connection), await _process(other)) for _ in range(ROUNDS)]
    finally:
        await other.close()
    own, others = ({pids[number] for pids in seen} for number in (0, 1))
    return len(own) == 1 and not own & others


async def _process(connection: BoundedConnection) -> int:
    row = await (await connection.execute("SELECT pg_backend_pid()")).fetchone()
    assert row is not None
    return int(row[0])
