"""The memory of threads on PostgreSQL: facts, and all messages with their vectors, scored against a question."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.engine.memory import Remembered, StatedFact
from bot.errors import for_operator
from bot.store.database.session import Database
from bot.store.schema import message_vectors, turns
from bot.store.schema import messages as message_table
from bot.store.threads import past_message, thread_uid
from bot.store.turns import facts
from bot.types.conversation import Fact
from bot.types.turns import Turn
from knowledge.errors import KnowledgeError
from knowledge.ports import Embedder
from knowledge.search import message_relevance
from knowledge.store.chunk_vectors import Vector
from knowledge.text.search_terms import main_terms

log = logging.getLogger(__name__)

MOST = 4000
"""Maximum number of messages of a thread that are searched, the latest first."""
AT_ONCE = 64
"""Maximum number of messages encoded after one answer. In a long thread, the rest follows after the next answers."""


class ThreadMemory:
    """See ``bot.engine.ports.memory.Memory``. If the embedder costs money, old messages are found by words alone."""

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self._database = database
        self._embedder = embedder

    async def older(self, turn: Turn, query: str) -> Sequence[Remembered]:
        async with self._database.tenant(turn.thread.tenant_id) as session:
            rows = await _messages(session, turn, self._embedder.model)
        if not rows:
            return ()
        said = [message_relevance.ConversationMessage(row.author, row.text, row.created_at) for row in rows]
        asked = await self._asked(query)
        vectors = None if asked is None else _stacked([row.vector for row in rows], len(asked))
        scores = await asyncio.to_thread(
            message_relevance.relevance,
            query,
            said,
            vectors=vectors,
            question_vector=asked,
            model=self._embedder.model,
            today=turn.created_at.date(),
        )
        return [Remembered(past_message(row), float(score)) for row, score in zip(rows, scores, strict=True)]

    async def facts(self, turn: Turn) -> Sequence[Fact]:
        async with self._database.tenant(turn.thread.tenant_id) as session:
            return await facts.current(session, thread=turn.thread)

    async def learn(self, turn: Turn, said: Sequence[StatedFact]) -> None:
        await self._database.run(turn.thread.tenant_id, partial(facts.learn, turn=turn, said=said))

    async def index(self, turn: Turn) -> None:
        if self._embedder.billed:
            return
        model = self._embedder.model
        async with self._database.tenant(turn.thread.tenant_id) as session:
            rows = [row for row in await _messages(session, turn, model, itself=True) if row.vector is None]
        if not rows:
            return
        rows = rows[-AT_ONCE:]
        lines = [message_relevance.ConversationMessage(row.author, row.text).line for row in rows]
        encoded = await self._embedder.encode(lines, "passage")

        async def keep(session: AsyncSession) -> None:
            for row, vector in zip(rows, encoded.vectors, strict=True):
                await _keep_vector(session, turn, row.seq, row.text, model, np.asarray(vector, np.float16).tobytes())

        await self._database.run(turn.thread.tenant_id, keep)

    def terms(self, text: str) -> list[str]:
        return main_terms(text)

    async def _asked(self, query: str) -> Vector | None:
        if self._embedder.billed:
            return None
        try:
            encoded = await self._embedder.encode([query], "query")
            return np.asarray(encoded.vectors[0], np.float32)
        except KnowledgeError as error:
            log.warning("old messages are searched only by BM25: %s", for_operator(error))
            return None


async def _messages(session: AsyncSession, turn: Turn, model: str, *, itself: bool = False) -> list[Any]:
    """Return the thread's messages before the turn (or up to it) in order, each with its vector or None."""
    tenant_id, uid = turn.thread.tenant_id, thread_uid(turn.thread)
    own = select(turns.c.seq).where(turns.c.tenant_id == tenant_id, turns.c.turn_id == turn.id).scalar_subquery()
    rows = await session.execute(
        select(message_table, turns.c.seq.label("turn_seq"), turns.c.tenant_wide, message_vectors.c.vector)
        .join(turns, (turns.c.tenant_id == message_table.c.tenant_id) & (turns.c.turn_id == message_table.c.turn_id))
        .outerjoin(
            message_vectors,
            (message_vectors.c.tenant_id == message_table.c.tenant_id)
            & (message_vectors.c.thread_uid == message_table.c.thread_uid)
            & (message_vectors.c.seq == message_table.c.seq)
            & (message_vectors.c.model == model),
        )
        .where(
            message_table.c.tenant_id == tenant_id,
            message_table.c.thread_uid == uid,
            turns.c.seq <= own if itself else turns.c.seq < own,
        )
        .order_by(turns.c.seq.desc(), message_table.c.seq.desc())
        .limit(MOST)
    )
    return list(reversed(rows.all()))


async def _keep_vector(session: AsyncSession, turn: Turn, seq: int, text: str, model: str, vector: bytes) -> None:
    """Store the vector of a message, unless the message is gone or has been edited."""
    tenant_id, uid = turn.thread.tenant_id, thread_uid(turn.thread)
    there = await session.scalar(
        select(message_table.c.seq)
        .where(
            message_table.c.tenant_id == tenant_id,
            message_table.c.thread_uid == uid,
            message_table.c.seq == seq,
            message_table.c.text == text,
        )
        .with_for_update(key_share=True)
    )
    if there is not None:
        await session.execute(
            insert(message_vectors)
            .values(tenant_id=tenant_id, thread_uid=uid, seq=seq, model=model, vector=vector)
            .on_conflict_do_nothing()
        )


def _stacked(packed: Sequence[bytes | None], dimensions: int) -> Any:
    """Stack vectors as rows, with zeros for a message without a vector or with one of another length."""
    vectors = np.zeros((len(packed), dimensions), np.float32)
    for row, stored in enumerate(packed):
        if stored is not None and len(stored) == 2 * dimensions:
            vectors[row] = np.frombuffer(stored, np.float16)
    return vectors
