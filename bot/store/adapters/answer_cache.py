"""The exact answer cache on PostgreSQL: see ``bot.engine.ports.answer_cache.AnswerCache``."""

from __future__ import annotations

from bot.store.adapters.transactions import Transactions
from bot.store.answer_cache import answers
from bot.types.answer_cache import CachedAnswer


class PostgresAnswerCache:
    """Finds earlier answers by key."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def cached(self, tenant_id: str, key: str) -> CachedAnswer | None:
        (rows,) = await self._transactions.send(tenant_id, answers.lookup(tenant_id=tenant_id, key=key))
        return answers.found(rows)

    async def mark_current(self, tenant_id: str, known: CachedAnswer, version: int) -> None:
        current = answers.standing(tenant_id=tenant_id, turn_id=known.turn_id, evidence=known.evidence, version=version)
        await self._transactions.send(tenant_id, current)
