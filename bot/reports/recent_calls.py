"""Lists single model calls, newest first, as the ledger has them: the rows behind a sum."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Text, and_, cast, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.budgets.ledger_sums import COLUMN_OF, Dimension
from bot.store.schema import ledger, turns
from bot.types.conversation import PRIVATE_THREAD


async def calls(
    session: AsyncSession,
    *,
    tenant_id: str,
    reader: str,
    start: datetime,
    by: Dimension | None = None,
    key: str = "",
    only_failed: bool = False,
    most: int = 200,
) -> Sequence[Any]:
    """Return the ledger rows since ``start``, newest first; with ``by``, those whose user, channel ... is ``key``.

    ``is_visible`` says whether ``reader`` may see the question: it is stored, and not private to another person.
    """
    public = or_(turns.c.thread_id.not_like(f"{PRIVATE_THREAD}%"), turns.c.user_id == reader)
    visible = and_(turns.c.question != "", public).label("is_visible")
    of_turn = and_(turns.c.tenant_id == ledger.c.tenant_id, turns.c.turn_id == ledger.c.turn_id)
    statement = (
        select(ledger, visible)
        .select_from(ledger.outerjoin(turns, of_turn))
        .where(ledger.c.tenant_id == tenant_id, ledger.c.created_at >= start)
    )
    if by is not None:
        statement = statement.where(cast(COLUMN_OF[by], Text) == key)
    if only_failed:
        statement = statement.where(ledger.c.status == "error")
    rows = await session.execute(statement.order_by(ledger.c.created_at.desc(), ledger.c.call_id).limit(most))
    return rows.all()
