"""The exact answer cache on PostgreSQL: see ``bot.engine.ports.answer_cache.AnswerCache``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.adapters.transactions import Transactions
from bot.store.answer_cache import answers
from bot.types.answer_cache import CachedAnswer
from knowledge import document_states


class PostgresAnswerCache:
    """Finds earlier answers by key. ``refresh_seconds`` is as in ``document_states.shown_titles``."""

    def __init__(self, transactions: Transactions, *, refresh_seconds: int = 0) -> None:
        self._transactions = transactions
        self._refresh_seconds = refresh_seconds

    async def cached(self, tenant_id: str, key: str) -> CachedAnswer | None:
        (rows,) = await self._transactions.send(tenant_id, answers.lookup(tenant_id=tenant_id, key=key))
        return answers.found(rows)

    async def titles(self, tenant_id: str, documents: Sequence[str]) -> Mapping[str, str]:
        async def read(session: AsyncSession, again: bool) -> Mapping[str, str]:
            return await document_states.shown_titles(
                session, tenant_id=tenant_id, ids=documents, refresh_seconds=self._refresh_seconds
            )

        return await self._transactions.session(tenant_id, read)

    async def mark_current(self, tenant_id: str, known: CachedAnswer, version: int) -> None:
        current = answers.standing(tenant_id=tenant_id, turn_id=known.turn_id, evidence=known.evidence, version=version)
        await self._transactions.send(tenant_id, current)
