"""Finds the verified answers whose questions are most similar to one that is asked, on PostgreSQL."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pgvector import HalfVector
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import for_operator
from bot.store.database.pipelined_transactions import Statement
from bot.store.database.session import Database
from bot.store.verified_answers.records import COLUMNS, STALE, answer_of
from bot.types.verified_answers import SimilarQuestion
from knowledge.embedders.cosine_scale import comparable_cosine
from knowledge.errors import KnowledgeError
from knowledge.types.scope import TENANT_AUDIENCE, Scope

log = logging.getLogger(__name__)

CANDIDATES = 8
"""Most questions that are compared word by word."""
ENCODED_AT_ONCE = 64
"""Most questions without a vector that one turn encodes."""

_ANY = "SELECT EXISTS (SELECT FROM verified_answers WHERE tenant_id = %(tenant)s AND stale = '') AS any"
_NOT_ENCODED = text("""
    SELECT answer_id, position, question FROM verified_questions
    WHERE tenant_id = :tenant AND model IS DISTINCT FROM :model
    ORDER BY answer_id, position LIMIT :most
""")
_STORE_VECTOR = text("""
    UPDATE verified_questions SET model = :model, vector = CAST(:vector AS halfvec)
    WHERE tenant_id = :tenant AND answer_id = :answer AND position = :position
""")
# An answer that cites a document of another audience is as hidden as that document.
_NEAREST = text(f"""
    SELECT {COLUMNS}, nearest.question AS asked, nearest.distance
    FROM (
        SELECT answer_id, question, vector <=> CAST(:vector AS halfvec) AS distance
        FROM verified_questions
        WHERE tenant_id = :tenant AND model = :model
    ) AS nearest
    JOIN verified_answers ON verified_answers.tenant_id = :tenant AND verified_answers.id = nearest.answer_id
    WHERE audience = ANY(:audiences) AND (NOT tenant_wide OR :tenant_wide) AND {STALE} = ''
        AND NOT EXISTS (
            SELECT FROM jsonb_object_keys(verified_answers.documents) AS cited (id)
            JOIN documents ON documents.tenant_id = :tenant
                AND documents.id = CAST(cited.id AS uuid)
            WHERE documents.audience <> ALL(:audiences)
        )
    ORDER BY distance, verified_at DESC
    LIMIT :most
""")  # noqa: S608


def any_in_force(tenant_id: str) -> Statement:
    """Return the statement whose row says as ``any`` whether the tenant has verified answers that are not stale."""
    return Statement(_ANY, {"tenant": tenant_id})


class PostgresVerifiedAnswers:
    """See ``bot.engine.ports.verified_answers.VerifiedAnswers``. ``encode`` returns a question's vector by ``model``.

    The questions of verified answers are encoded when a question is asked, so that an answer can be added without the
    embedding model, and again after the model was changed.
    """

    def __init__(self, database: Database, encode: Callable[[str], Awaitable[Sequence[float]]], model: str) -> None:
        self._database = database
        self._encode = encode
        self._model = model

    async def near(self, question: str, scope: Scope) -> Sequence[SimilarQuestion]:
        try:
            await self._encode_new(scope.tenant_id)
            vector = await self._encode(question)
        except KnowledgeError as error:
            log.warning("verified answers could not be searched: %s", for_operator(error))
            return ()
        values = {
            "tenant": scope.tenant_id,
            "model": self._model,
            "vector": _written(vector),
            "audiences": list(scope.audiences),
            "tenant_wide": TENANT_AUDIENCE in scope.audiences,
            "most": CANDIDATES,
        }
        async with self._database.tenant(scope.tenant_id) as session:
            rows = await session.execute(_NEAREST, values)
            return [
                SimilarQuestion(row.asked, comparable_cosine(self._model, 1.0 - float(row.distance)), answer_of(row))
                for row in rows
            ]

    async def _encode_new(self, tenant_id: str) -> None:
        """Store the vectors of questions that have none of the current model. Raises knowledge errors."""
        values = {"tenant": tenant_id, "model": self._model, "most": ENCODED_AT_ONCE}
        async with self._database.tenant(tenant_id) as session:
            rows: Sequence[Any] = (await session.execute(_NOT_ENCODED, values)).all()
        vectors = [_written(await self._encode(row.question)) for row in rows]
        if not rows:
            return

        async def store(session: AsyncSession) -> None:
            for row, vector in zip(rows, vectors, strict=True):
                named = {"tenant": tenant_id, "answer": row.answer_id, "position": row.position}
                await session.execute(_STORE_VECTOR, {**named, "model": self._model, "vector": vector})

        await self._database.run(tenant_id, store)


def _written(vector: Sequence[float]) -> str:
    return HalfVector(list(vector)).to_text()
