"""The driver below a session: through it alone bytes travel in binary, and not as twice as many hexadecimal digits."""

from __future__ import annotations

from typing import Any

import psycopg
from sqlalchemy.ext.asyncio import AsyncSession


async def driver(session: AsyncSession) -> psycopg.AsyncConnection[Any]:
    """The driver's connection, in the session's transaction. Raises TypeError for a driver other than psycopg."""
    connection = await (await session.connection()).get_raw_connection()
    found = connection.driver_connection
    if not isinstance(found, psycopg.AsyncConnection):
        raise TypeError(f"psycopg is needed, not {type(found).__name__}")
    return found
