"""Counts where answers come from: which model wrote them, and how many were reused from the answer cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.llm.prices import Prices
from bot.reports import costs
from bot.store.answer_cache import similar_answer_statements
from bot.store.answer_cache.similar_answer_statements import Tally

_CACHED = text("""
    SELECT count(*) FROM turns
    WHERE tenant_id = :tenant AND created_at >= :start AND cached AND kind <> 'copied' AND state = 'done'
        AND refused IS NULL
""")


@dataclass(frozen=True, slots=True)
class AnswerSources:
    """Numbers of answers: written, by model, and reused. ``tally`` counts answers reused for reworded questions."""

    by_model: Mapping[str, int]
    cached: int
    tally: Tally

    @property
    def total(self) -> int:
        """The number of all answers."""
        return sum(self.by_model.values()) + self.cached


async def answer_sources(session: AsyncSession, *, tenant_id: str, start: datetime, prices: Prices) -> AnswerSources:
    """Return where a tenant's answers since ``start`` come from."""
    rows = await costs.sums(session, tenant_id=tenant_id, start=start, by="model", prices=prices)
    cached = await session.scalar(_CACHED, {"tenant": tenant_id, "start": start})
    tally = await similar_answer_statements.tally(session, tenant_id=tenant_id, since=start)
    return AnswerSources({row.key: row.answers for row in rows if row.answers}, int(cached or 0), tally)
