"""Small documents are encoded and stored together, and only so many are in memory at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from knowledge.embedders.micro_batching import MicroBatcher
from knowledge.ingest import Ingestor, ingestor
from knowledge.ingest.chunk_embedding import ChunkBatch
from knowledge.ingest.in_flight_limit import InFlightLimit
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Encoded, EncodeKind, Sessions
from knowledge.store import document_writes
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown

DOCUMENTS = 40


class Gates:
    """Holds the model and the store until all documents have come to them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.came = {True: 0, False: 0}
        self.all_came = {True: asyncio.Event(), False: asyncio.Event()}
        self.stored: list[int] = []
        put, replace = MicroBatcher.put, document_writes.replace_documents

        async def counted_put(batcher: Any, item: Any, weight: int) -> Any:
            is_chunks = isinstance(item, ChunkBatch)
            self.came[is_chunks] += 1
            if self.came[is_chunks] == DOCUMENTS:
                self.all_came[is_chunks].set()
            return await put(batcher, item, weight)

        async def counted_replace(*args: Any, documents: Sequence[Any], **values: Any) -> None:
            self.stored.append(len(documents))
            await self.all_came[False].wait()
            await replace(*args, documents=documents, **values)

        monkeypatch.setattr(MicroBatcher, "put", counted_put)
        monkeypatch.setattr(document_writes, "replace_documents", counted_replace)


class GatedEmbedder(WordEmbedder):
    """Records how many texts each call encodes."""

    def __init__(self, gates: Gates) -> None:
        super().__init__()
        self.gates = gates
        self.calls: list[int] = []

    async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
        self.calls.append(len(texts))
        await self.gates.all_came[True].wait()
        return await super().encode(texts, kind)


async def test_documents_are_encoded_in_few_calls_and_stored_in_few_transactions(
    sessions: Sessions, parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two batches are encoded and one is stored at the same time; what comes meanwhile is the next batch."""
    gates = Gates(monkeypatch)
    embedder = GatedEmbedder(gates)
    source = ListSource("list", *(markdown(f"n{number}.md", f"Gate {number} is blue.") for number in range(DOCUMENTS)))
    async with asyncio.timeout(120):
        report = await Ingestor(sessions, embedder, parser=parser).ingest([source], tenant_id="t")
    assert report.documents == sum(embedder.calls) == sum(gates.stored) == DOCUMENTS
    assert len(embedder.calls) <= 3
    assert len(gates.stored) <= 2


async def test_no_more_documents_than_allowed_are_in_memory(
    sessions: Sessions, embedder: WordEmbedder, parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingestor, "MAX_IN_FLIGHT", 3)
    parse, fetched, most = parser.parse, [0], [0]

    class Counting(ListSource):
        async def fetch(self, *args: Any) -> Any:
            async for item in super().fetch(*args):
                fetched[0] += 1
                yield item

    done = [0]

    async def counted(item: Fetched, *, include_hidden: bool = False) -> Document:
        document = await parse(item, include_hidden=include_hidden)
        most[0] = max(most[0], fetched[0] - done[0])
        done[0] += 1
        return document

    monkeypatch.setattr(parser, "parse", counted)
    source = Counting("list", *(markdown(f"n{number}.md", f"Gate {number} is blue.") for number in range(20)))
    assert (await Ingestor(sessions, embedder, parser=parser).ingest([source], tenant_id="t")).documents == 20
    assert most[0] <= 4  # Three are processed, and the next one waits for its place.


async def admitted(limit: InFlightLimit, *sizes: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(limit.acquire(size)) for size in sizes]
    for _ in range(len(sizes) + 1):
        await asyncio.sleep(0)
    return tasks


async def test_documents_wait_for_a_place_and_for_room() -> None:
    few = await admitted(InFlightLimit(2, 1000), 1, 1, 1)
    assert [task.done() for task in few] == [True, True, False]
    few[2].cancel()
    limit = InFlightLimit(9, 100)
    large = await admitted(limit, 60, 60)
    assert [task.done() for task in large] == [True, False]
    limit.release(60)
    async with asyncio.timeout(60):
        await large[1]


async def test_a_document_that_is_larger_than_the_room_is_admitted_alone() -> None:
    limit = InFlightLimit(9, 100)
    tasks = await admitted(limit, 5000, 1)
    assert [task.done() for task in tasks] == [True, False]
    limit.release(5000)
    async with asyncio.timeout(60):
        await tasks[1]
