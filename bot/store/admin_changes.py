"""Records what admins change, so that it can be told later who changed what and when."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Update, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.schema import admin_changes

AdminAction = Literal["set a budget", "retry a job", "stop a job"]


async def record(
    session: AsyncSession, *, tenant_id: str, admin_id: str, action: AdminAction, subject: str, value: str = ""
) -> None:
    """Record a change in the transaction that makes it."""
    values = {"admin_id": admin_id, "action": action, "subject": subject, "value": value}
    await session.execute(insert(admin_changes).values(tenant_id=tenant_id, change_id=uuid.uuid4(), **values))


async def newest(session: AsyncSession, *, tenant_id: str, most: int = 100) -> Sequence[Any]:
    """Return the newest changes: ``created_at``, ``admin_id``, ``action``, ``subject`` and ``value``."""
    found = await session.execute(
        select(admin_changes)
        .where(admin_changes.c.tenant_id == tenant_id)
        .order_by(admin_changes.c.created_at.desc(), admin_changes.c.change_id)
        .limit(most)
    )
    return found.all()


def forgetting(*, tenant_id: str, user_id: str, subject: str, pseudonym: str) -> dict[str, Update]:
    """Return the statements that put a pseudonym in place of a person who changed something, or whom it concerned."""
    mine = admin_changes.c.tenant_id == tenant_id
    return {
        "changes_made": update(admin_changes)
        .where(mine, admin_changes.c.admin_id == user_id)
        .values(admin_id=pseudonym),
        "changes_concerned": update(admin_changes)
        .where(mine, admin_changes.c.subject == subject)
        .values(subject=pseudonym),
    }
