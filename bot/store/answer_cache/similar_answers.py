"""Finds similar answers on PostgreSQL. Uses the vector of the question that the search needs as well."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial

from bot.engine.cache.matching import Observation
from bot.engine.ports.answer_cache import SimilarAnswer
from bot.errors import for_operator
from bot.store.answer_cache import similar_answer_statements
from bot.store.database.session import Database
from bot.types.bounded_mapping import RecentEntries
from bot.types.turns import Turn
from knowledge.embedders.cosine_scale import comparable_cosine
from knowledge.errors import KnowledgeError

log = logging.getLogger(__name__)

FLIGHT = timedelta(seconds=60)
"""How long turns wait for another turn that answers the same question. The limit is for turns whose process died."""
MOST_KEPT = 256


class PostgresSimilarAnswers:
    """See ``bot.engine.ports.answer_cache.SimilarAnswers``. ``encode`` returns a question's vector by ``model``."""

    def __init__(self, database: Database, encode: Callable[[str], Awaitable[Sequence[float]]], model: str) -> None:
        self._database = database
        self._encode = encode
        self._model = model
        self._vectors: RecentEntries[str, Sequence[float]] = RecentEntries(MOST_KEPT)

    async def near(self, turn: Turn, ground: str) -> Sequence[SimilarAnswer]:
        try:
            vector = await self._encode(turn.question)
        except KnowledgeError as error:
            log.warning("turn %s: similar cached answers could not be searched: %s", turn.id, for_operator(error))
            return ()
        self._remember(turn.id, vector)
        tenant_id = turn.thread.tenant_id
        async with self._database.tenant(tenant_id) as session:
            found = await similar_answer_statements.nearest(
                session, tenant_id=tenant_id, ground=ground, model=self._model, vector=vector
            )
            judged = await similar_answer_statements.verdicts(
                session, tenant_id=tenant_id, keys=[one.key for one in found]
            )
        return [
            SimilarAnswer(
                one.key,
                one.question,
                comparable_cosine(self._model, one.similarity),
                tuple(Observation(cosine, right) for cosine, right in judged[one.key]),
                one.answer,
            )
            for one in found
        ]

    async def keep(self, turn: Turn, key: str, ground: str) -> None:
        vector = self._vectors.pop(turn.id, None)
        if vector is None:
            return
        describing = partial(
            similar_answer_statements.describe,
            tenant_id=turn.thread.tenant_id,
            key=key,
            turn_id=turn.id,
            ground=ground,
            question=turn.question,
            model=self._model,
            vector=vector,
        )
        await self._database.run(turn.thread.tenant_id, describing)

    async def note(self, turn: Turn, hit: SimilarAnswer, *, shadow: bool, right: bool | None = None) -> None:
        noting = partial(
            similar_answer_statements.note,
            tenant_id=turn.thread.tenant_id,
            turn_id=turn.id,
            key=hit.key,
            similarity=hit.similarity,
            shadow=shadow,
            right=right,
        )
        await self._database.run(turn.thread.tenant_id, noting)

    async def asked_afresh(self, turn: Turn) -> None:
        rejecting = partial(similar_answer_statements.reject_earlier, thread=turn.thread, question=turn.question)
        await self._database.run(turn.thread.tenant_id, rejecting)

    async def claim_question(self, turn: Turn, key: str) -> bool:
        claiming = partial(
            similar_answer_statements.claim_question,
            tenant_id=turn.thread.tenant_id,
            key=key,
            turn_id=turn.id,
            most=FLIGHT,
        )
        return await self._database.run(turn.thread.tenant_id, claiming)

    def _remember(self, turn_id: str, vector: Sequence[float]) -> None:
        self._vectors[turn_id] = vector
