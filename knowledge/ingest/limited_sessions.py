"""Limits how many transactions one kind of work opens at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.ports import Sessions


def limited(sessions: Sessions, most: int) -> Sessions:
    """Return ``sessions`` with at most ``most`` of them open. More callers wait, and take no connection meanwhile."""
    places = asyncio.Semaphore(most)

    @asynccontextmanager
    async def opened(tenant_id: str) -> AsyncIterator[AsyncSession]:
        async with places, sessions(tenant_id) as session:
            yield session

    return opened
