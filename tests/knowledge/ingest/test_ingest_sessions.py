"""Many small documents at the same time need few connections to the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.ingest import Ingestor
from knowledge.ingest.document_pipeline import DOCUMENT_SESSIONS
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Sessions
from knowledge.types.source_items import Fetched
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown

BATCHERS = 3
"""Two batches that are encoded and one that is stored, each in a transaction of its own."""


class Counted:
    """Sessions that record how many are open at the same time."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self.open = 0
        self.most = 0

    @asynccontextmanager
    async def __call__(self, tenant_id: str) -> AsyncIterator[AsyncSession]:
        async with self._sessions(tenant_id) as session:
            self.open += 1
            self.most = max(self.most, self.open)
            try:
                yield session
            finally:
                self.open -= 1


async def test_added_unchanged_and_failed_documents_share_few_connections(
    sessions: Sessions, embedder: WordEmbedder, parser: Parser
) -> None:
    counted = Counted(sessions)
    ingestor = Ingestor(counted, embedder, parser=parser)
    source = ListSource("list", *(markdown(f"n{number}.md", f"Gate {number} is blue.") for number in range(40)))
    assert (await ingestor.ingest([source], tenant_id="t")).documents == 40
    source.items += [Fetched(f"run{number}.exe", b"MZ" + bytes(90)) for number in range(40)]
    report = await ingestor.ingest([source], tenant_id="t")
    assert (report.unchanged, len(report.failed)) == (40, 40)
    assert 1 < counted.most <= DOCUMENT_SESSIONS + BATCHERS
