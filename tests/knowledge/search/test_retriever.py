"""Tests the retriever on a real Postgres."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge import bm25
from knowledge.bm25 import corpus
from knowledge.ingest import Ingestor
from knowledge.ports import Sessions
from knowledge.psycopg_connection import Command, send_together
from knowledge.search import ranking as ranking_module
from knowledge.search import vector_search
from knowledge.search.retriever import Retriever
from knowledge.types.scope import Scope
from knowledge.types.search_results import Passage
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown

PAGES = [markdown(f"{n}.md", f"# Page {n}\n\nThe topic{n} is about word{n % 5} and thing{n % 7}.") for n in range(30)]


async def test_passages_have_the_scores_of_both_searches(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    await ingestor.ingest([ListSource("list", *PAGES)], tenant_id="t")
    found = await Retriever(sessions, embedder)("What is topic17 about?", Scope("t"), k=3)
    best = found.passages[0]
    assert (best.title, best.source, best.heading) == ("Page 17", "17.md", ("Page 17",))
    assert None not in (best.legs.dense, best.legs.sparse, best.legs.fused)
    assert len(found.passages) == 3
    assert found.timings_ms.keys() == {"embed", "dense", "sparse", "fuse", "rerank", "total"}
    assert (found.embedding_model, found.embedding_tokens) == ("words", 5)


async def test_a_search_opens_three_transactions(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    await ingestor.ingest([ListSource("list", *PAGES)], tenant_id="t")
    opened = 0

    def counted(tenant_id: str) -> AbstractAsyncContextManager[AsyncSession]:
        nonlocal opened
        opened += 1
        return sessions(tenant_id)

    question = "What is topic17 about in all these pages of the handbook?"
    assert (await Retriever(counted, embedder)(question, Scope("t"))).passages
    assert opened == 3, "dense search with the fusion, sparse search, and passages"


@pytest.mark.parametrize("fusion", ["convex", "rrf"])
async def test_no_documents_and_empty_question(sessions: Sessions, embedder: WordEmbedder, fusion: str) -> None:
    retriever = Retriever(sessions, embedder, fusion="rrf" if fusion == "rrf" else "convex")
    for question in ("anything", ""):
        found = await retriever(question, Scope("t"))
        assert (found.passages, found.confidence, found.knowledge_version) == ((), 0.0, 0)


async def test_both_searches_respect_the_audience(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    for audience in ("tenant", "C1", "C2"):
        page = markdown("plan.md", f"# Plan {audience}\n\nThe secret plan of {audience}.")
        await ingestor.ingest([ListSource(f"list {audience}", page)], tenant_id="t", audience=audience)
    filler = [markdown(f"{n}.md", f"# Other {n}\n\nFiller number{n}.") for n in range(9)]
    await ingestor.ingest([ListSource("filler", *filler)], tenant_id="t", audience="C9")
    retriever = Retriever(sessions, embedder)
    for scope, seen in (
        (Scope.of_channel("t", "C1", tenant_wide=True), {"Plan tenant", "Plan C1"}),
        (Scope.of_channel("t", None, tenant_wide=True), {"Plan tenant"}),
        (Scope("t", ("C2",)), {"Plan C2"}),
        (Scope("t", ()), set()),
        (Scope("other"), set()),
    ):
        ranking = await retriever.rank("secret plan", scope)
        assert len(ranking.dense) == len(ranking.sparse) == len(seen)
        assert {passage.title for passage in ranking.final} == seen


async def test_neighbors_are_joined_with_exact_offsets(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    body = " ".join(f"Sentence {n} about the zebra and its stripes." for n in range(12))
    await ingestor.ingest([ListSource("list", markdown("zebra.md", f"# Zebra\n\n{body}"))], tenant_id="t")
    found = await Retriever(sessions, embedder)("zebra stripes", Scope("t"), k=5)
    assert len(found.passages) == 1
    async with sessions("t") as session:
        whole = await session.scalar(text("SELECT text FROM documents"))
        chunks = await session.scalar(text("SELECT count(*) FROM chunks"))
    passage = found.passages[0]
    assert chunks is not None
    assert chunks > 1
    assert whole is not None
    assert passage.text == whole[passage.start : passage.end] == body


async def test_joining_makes_room_for_other_passages(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    zebra = " ".join(f"Sentence {n} about the zebra and its stripes." for n in range(12))
    others = [markdown(f"{n}.md", f"A zebra was seen in town{n}.") for n in range(3)]
    await ingestor.ingest([ListSource("list", markdown("zebra.md", zebra), *others)], tenant_id="t")
    found = await Retriever(sessions, embedder)("zebra stripes", Scope("t"), k=3)
    assert len(found.passages) == 3
    assert len({passage.source for passage in found.passages}) == 3


async def test_empty_question_finds_nothing(ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder) -> None:
    await ingestor.ingest([ListSource("list", *PAGES)], tenant_id="t")
    retriever = Retriever(sessions, embedder)
    found = await retriever("  ", Scope("t"))
    assert (found.passages, found.knowledge_version) == ((), await retriever.version("t"))
    assert found.knowledge_version > 0


async def test_duplicate_text_is_shown_once(ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder) -> None:
    same = [markdown(f"{name}.md", "Vacation is thirty days a year.") for name in "abc"]
    other = markdown("d.md", "Vacation must be asked for early.")
    await ingestor.ingest([ListSource("list", *same, other)], tenant_id="t")
    found = await Retriever(sessions, embedder)("vacation days", Scope("t"), k=4)
    assert len([p for p in found.passages if "thirty" in p.text]) == 1
    assert len(found.passages) == 2


async def test_reranker_orders_the_first_passages(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    class Contrary:
        name = "contrary"

        async def score(self, query: str, passages: Sequence[Passage]) -> list[float]:
            return [100.0 if passage.title == "Page 3" else 0.0 for passage in passages]

        async def aclose(self) -> None:
            return None

    await ingestor.ingest([ListSource("list", *PAGES)], tenant_id="t")
    question = "word3 thing3 topic8"
    plain = await Retriever(sessions, embedder)(question, Scope("t"))
    again = await Retriever(sessions, embedder, Contrary())(question, Scope("t"))
    assert plain.passages[0].title != "Page 3"
    assert again.passages[0].title == "Page 3"
    assert again.passages[0].legs.rerank == 100.0


async def test_index_search_finds_what_exact_search_finds(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_ = random.Random(1)
    words = [f"w{n}" for n in range(60)]
    pages = [markdown(f"{n}.md", " ".join(random_.choices(words, k=12))) for n in range(300)]
    await ingestor.ingest([ListSource("list", *pages)], tenant_id="t")
    vector = (await embedder.encode(["w1 w2 w3 w4"], "query")).vectors[0]
    async with sessions("t") as session:
        scanned = await vector_search.nearest_chunks(session, vector, Scope("t"), 10, model="words")
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        await session.execute(text("SET LOCAL enable_sort = off"))
        monkeypatch.setattr(vector_search, "EXACT_ROWS", 0)
        indexed = await vector_search.nearest_chunks(session, vector, Scope("t"), 10, model="words")
    assert len(scanned) == 10
    assert len([score for _, score in indexed if score >= scanned[-1][1] - 0.001]) >= 9
    assert [score for _, score in indexed] == sorted((score for _, score in indexed), reverse=True)


@pytest.mark.parametrize(("chunks", "entries"), [(29, vector_search.EF_SEARCH_LARGE), (30, vector_search.EF_SEARCH)])
async def test_a_search_of_a_large_tenant_looks_at_more_entries_of_the_index(
    ingestor: Ingestor,
    sessions: Sessions,
    embedder: WordEmbedder,
    monkeypatch: pytest.MonkeyPatch,
    chunks: int,
    entries: int,
) -> None:
    await ingestor.ingest([ListSource("list", *PAGES)], tenant_id="t")
    monkeypatch.setattr(vector_search, "EXACT_ROWS", 0)
    monkeypatch.setattr(vector_search, "LARGE_TENANT", chunks)
    vector = (await embedder.encode(["topic1"], "query")).vectors[0]
    async with sessions("t") as session:
        await vector_search.nearest_chunks(session, vector, Scope("t"), 10, model="words")
        assert await session.scalar(text("SELECT current_setting('hnsw.ef_search')")) == str(entries)


async def test_confidence_separates_answerable_questions(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    await ingestor.ingest([ListSource("list", *PAGES)], tenant_id="t")
    retriever = Retriever(sessions, embedder)
    held = await retriever("What is topic17 about?", Scope("t"), k=3)
    missing = await retriever("Which vaccines does Zanzibar demand?", Scope("t"), k=3)
    assert missing.confidence < missing.decline_below < held.confidence
    assert (missing.documents, held.documents) == (len(PAGES), 0)


@pytest.mark.parametrize("module", [corpus, vector_search])
async def test_a_search_sees_one_state_of_the_documents_while_others_are_added(
    ingestor: Ingestor,
    sessions: Sessions,
    embedder: WordEmbedder,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
) -> None:
    await ingestor.ingest([ListSource("list", *PAGES[:2])], tenant_id="t")
    before = await Retriever(sessions, embedder).version("t")

    async def add_before_the_last(
        connection: psycopg.AsyncConnection[Any], *commands: Command, **options: Any
    ) -> list[list[Any]]:
        rows = await send_together(connection, *commands[:-1], **options)
        await ingestor.ingest([ListSource("more", *PAGES[2:])], tenant_id="t")
        return [*rows, *await send_together(connection, commands[-1], **options)]

    monkeypatch.setattr(module, "send_together", add_before_the_last)
    ranking = await Retriever(sessions, embedder).rank("topic1 word1 page", Scope("t"))
    assert {number for number, _ in (ranking.sparse if module is corpus else ranking.dense)} <= {0, 1}
    assert ranking.version == before
    assert await Retriever(sessions, embedder).version("t") > before


async def test_the_version_of_a_search_is_no_newer_than_what_its_dense_half_saw(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ingestor.ingest([ListSource("list", *PAGES[:2])], tenant_id="t")
    before = await Retriever(sessions, embedder).version("t")
    sparse, dense_done, near = bm25.candidates, asyncio.Event(), vector_search.search_snapshot

    async def near_then_tell(*given: Any, **named: Any) -> Any:
        found = await near(*given, **named)
        dense_done.set()
        return found

    async def late(*given: Any, **named: Any) -> Any:
        await dense_done.wait()
        await ingestor.ingest([ListSource("more", *PAGES[2:])], tenant_id="t")
        return await sparse(*given, **named)

    monkeypatch.setattr(ranking_module, "search_snapshot", near_then_tell)
    monkeypatch.setattr(bm25, "candidates", late)
    ranking = await Retriever(sessions, embedder).rank("topic9", Scope("t"))
    assert len(ranking.dense) == 2
    assert ranking.version == before
