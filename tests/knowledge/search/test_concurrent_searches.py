"""Searches that begin together share few connections, and none waits for one that another search keeps."""

from __future__ import annotations

import asyncio

from knowledge.ingest import Ingestor
from knowledge.ingest.limited_sessions import limited
from knowledge.ports import Sessions
from knowledge.search.retriever import Retriever
from knowledge.types.scope import Scope
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown


async def test_more_searches_than_connections_all_end(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    await ingestor.ingest([ListSource("list", markdown("a.md", "# A\n\nAlpha rules."))], tenant_id="t")
    search = Retriever(limited(sessions, 3), embedder)
    async with asyncio.timeout(60):
        found = await asyncio.gather(*(search("alpha", Scope("t")) for _ in range(12)))
    assert [[passage.title for passage in one.passages] for one in found] == [["A"]] * 12
