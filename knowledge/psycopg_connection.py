"""Gives access to the psycopg connection below a SQLAlchemy session.

SQLAlchemy transfers bytes as hexadecimal text, twice their size; psycopg's own cursors can transfer them in binary.
"""

from __future__ import annotations

from typing import Any

import psycopg
from sqlalchemy.ext.asyncio import AsyncSession


async def psycopg_connection(session: AsyncSession) -> psycopg.AsyncConnection[Any]:
    """Return the driver's connection, inside the session's transaction. Raises TypeError for other drivers."""
    connection = await (await session.connection()).get_raw_connection()
    driver = connection.driver_connection
    if not isinstance(driver, psycopg.AsyncConnection):
        raise TypeError(f"psycopg is needed, not {type(driver).__name__}")
    return driver
