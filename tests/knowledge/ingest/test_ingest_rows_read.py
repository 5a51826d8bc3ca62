"""The rows of vectors that an ingestion reads grow with its documents, not with their square, even without statistics.

Postgres collects statistics a minute after the first rows. Until then it takes every table for nearly empty.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Sessions
from tests.knowledge.fakes import ListSource, markdown
from tests.knowledge.search.test_sentence_vectors import SentenceEmbedder

DOCUMENTS = 400
ROWS_PER_DOCUMENT = 10
"""Most rows with vectors that one transaction may read for each document. A product of two tables has 400 and more."""

_ROWS_READ = text(
    "SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0) FROM pg_stat_xact_user_tables"
    " WHERE relname IN ('embeddings', 'token_signs', 'sentence_vectors', 'kept_vectors')"
)


class RowsRead:
    """Sessions that record how many rows each transaction read."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self.rows: list[int] = []

    @asynccontextmanager
    async def __call__(self, tenant_id: str) -> AsyncIterator[AsyncSession]:
        async with self._sessions(tenant_id) as session:
            before = int(await session.scalar(_ROWS_READ) or 0)
            yield session
            self.rows.append(int(await session.scalar(_ROWS_READ) or 0) - before)


async def test_rows_read_by_a_transaction_do_not_multiply(sessions: Sessions, parser: Parser) -> None:
    counted = RowsRead(sessions)
    ingestor = Ingestor(counted, SentenceEmbedder(), parser=parser)
    for uri in ("list", "copies"):
        notes = (markdown(f"n{number}.md", f"Gate {number} is blue.") for number in range(DOCUMENTS))
        assert (await ingestor.ingest([ListSource(uri, *notes)], tenant_id="t")).documents == DOCUMENTS
    assert 0 < max(counted.rows) < ROWS_PER_DOCUMENT * DOCUMENTS
