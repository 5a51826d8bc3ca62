"""Indexing chunks again after the rules of the search terms changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from rank_bm25 import BM25Okapi
from sqlalchemy import text

from knowledge import bm25
from knowledge.bm25 import IndexedChunk, indexing
from knowledge.bm25.posting_codec import SEGMENT, TOP_LEVEL, base_level
from knowledge.chunking.chunk_headers import with_header
from knowledge.ingest import Ingestor, reindex
from knowledge.ports import Sessions
from knowledge.store import knowledge_version
from knowledge.text import search_terms
from knowledge.types.scope import Scope
from tests.knowledge.fakes import ListSource, markdown

PRESENT = search_terms.VERSION


def earlier_terms(body: str) -> list[str]:
    """Return the terms of rules that knew no accents: what follows an accent was a word of its own."""
    return "".join(one if one.isascii() else " " for one in body.lower()).replace(".", " ").split()


@contextmanager
def rules(version: int) -> Iterator[None]:
    """Apply the present rules, or those of an earlier version."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_terms, "VERSION", version)
        if version < PRESENT:
            patch.setattr(search_terms, "document_terms", earlier_terms)
        yield


def document(number: int) -> str:
    return f"# Note {number}\n\nThe café number{number} has résumés of group{number % 3}, and Müller{number % 2}."


async def ingest(ingestor: Ingestor, uri: str, numbers: Sequence[int], version: int, tenant: str = "t") -> None:
    source = ListSource(uri, *(markdown(f"{uri}-{number}.md", document(number)) for number in numbers))
    with rules(version):
        report = await ingestor.ingest([source], tenant_id=tenant, accept_removals=True)
    assert not report.failed


async def found(sessions: Sessions, question: str, tenant: str = "t") -> list[tuple[int, float]]:
    async with sessions(tenant) as session:
        terms = search_terms.query_weights(question)
        return (await bm25.candidates(session, terms, Scope(tenant), 200)).chunks


async def living(sessions: Sessions, tenant: str = "t") -> dict[int, list[str]]:
    """Return the terms of each chunk by the rules of its version."""
    async with sessions(tenant) as session:
        rows = await session.execute(text("SELECT chunk_id, header, text, terms_version FROM chunks ORDER BY chunk_id"))
        made = {1: earlier_terms, PRESENT: search_terms.document_terms}
        return {row.chunk_id: made[row.terms_version](with_header(row.header, row.text)) for row in rows}


async def assert_ranks_like_rank_bm25(sessions: Sessions, tenant: str = "t") -> None:
    chunks = await living(sessions, tenant)
    okapi = BM25Okapi(list(chunks.values()))
    for question in ("number3", "group1 number7", "note", "cafe", "caf müller1"):
        weights = search_terms.query_weights(question)
        scores = sum(weight * okapi.get_scores([term]) for term, weight in weights.items())
        expected = {number: round(float(score), 6) for number, score in zip(chunks, scores, strict=True) if score > 0}
        assert {number: round(score, 6) for number, score in await found(sessions, question, tenant)} == expected
    async with sessions(tenant) as session:
        state = await session.execute(text("SELECT chunks, terms FROM knowledge_state"))
        assert tuple(state.one()) == (len(chunks), sum(map(len, chunks.values())))
        counted = await session.scalar(text("SELECT sum(terms) FROM chunks"))
        assert counted == sum(map(len, chunks.values()))


async def levels(sessions: Sessions, tenant: str = "t") -> set[int]:
    async with sessions(tenant) as session:
        tables = ("postings", "posting_parts")
        return {
            level for table in tables for level in await session.scalars(text(f"SELECT DISTINCT level FROM {table}"))
        }


async def test_chunks_of_an_earlier_version_are_found_by_the_present_terms_afterwards(
    sessions: Sessions, ingestor: Ingestor
) -> None:
    await ingest(ingestor, "old", range(12), 1)
    assert not await found(sessions, "résumés")
    before = await found(sessions, "number3")
    assert await reindex.reindex(sessions, "t") == 12
    assert len(await found(sessions, "résumés")) == len(await found(sessions, "resume")) == 12
    assert (await found(sessions, "number3"))[0][0] == before[0][0]
    assert min(await levels(sessions)) >= 10
    await assert_ranks_like_rank_bm25(sessions)
    assert await reindex.reindex(sessions, "t") == 0


async def test_search_is_exact_after_every_batch(
    sessions: Sessions, ingestor: Ingestor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some chunks have old terms, some present ones; documents are added, deleted and swept meanwhile."""
    monkeypatch.setattr(indexing, "MERGE_PARTS", 3)
    monkeypatch.setattr(reindex, "BATCH", 4)
    for first in range(0, 30, 5):
        await ingest(ingestor, f"old{first}", range(first, first + 5), 1)
    for step in range(6):
        chunks = await reindex._next_batch(sessions, "t")
        await reindex._replace(sessions, "t", chunks)
        await assert_ranks_like_rank_bm25(sessions)
        if step == 1:
            await ingest(ingestor, "added", range(40, 44), PRESENT)
        if step == 3:
            await ingest(ingestor, "old0", [], PRESENT)
            await ingest(ingestor, "old10", range(10, 12), PRESENT)
        await assert_ranks_like_rank_bm25(sessions)
    await reindex.reindex(sessions, "t")
    await assert_ranks_like_rank_bm25(sessions)
    assert min(await levels(sessions)) >= 10
    async with sessions("t") as session:
        assert not (await session.scalars(text("SELECT audience FROM posting_masks WHERE audience LIKE ' %'"))).all()


async def test_interrupted_run_continues_where_it_stopped(
    sessions: Sessions, ingestor: Ingestor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reindex, "BATCH", 5)
    await ingest(ingestor, "old", range(12), 1)
    write, stopped = bm25.replace, asyncio.Event()

    async def stop_at_the_second_batch(*args: object) -> None:
        if stopped.is_set():
            raise ConnectionError
        stopped.set()
        await write(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(bm25, "replace", stop_at_the_second_batch)
        with pytest.raises(ConnectionError):
            await reindex.reindex(sessions, "t")
    await assert_ranks_like_rank_bm25(sessions)
    assert await reindex.reindex(sessions, "t") == 7
    await assert_ranks_like_rank_bm25(sessions)


async def test_chunk_that_is_deleted_while_its_batch_is_prepared_stays_deleted(
    sessions: Sessions, ingestor: Ingestor
) -> None:
    await ingest(ingestor, "old", range(6), 1)
    chunks = await reindex._next_batch(sessions, "t")
    await ingest(ingestor, "old", range(3), PRESENT)
    assert await reindex._replace(sessions, "t", chunks) == len(await living(sessions)) == 3
    await assert_ranks_like_rank_bm25(sessions)


async def test_two_runs_at_once_index_every_chunk_once(
    sessions: Sessions, ingestor: Ingestor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reindex, "BATCH", 3)
    await ingest(ingestor, "old", range(12), 1)
    done = await asyncio.gather(reindex.reindex(sessions, "t"), reindex.reindex(sessions, "t"))
    assert sum(done) == 12
    await assert_ranks_like_rank_bm25(sessions)


async def test_other_tenants_are_left_alone(sessions: Sessions, ingestor: Ingestor) -> None:
    await ingest(ingestor, "old", range(3), 1)
    await ingest(ingestor, "old", range(3), 1, tenant="other")
    assert await reindex.reindex(sessions, "t") == 3
    assert max(await levels(sessions, "other")) < 10
    await assert_ranks_like_rank_bm25(sessions, "other")


async def test_answers_from_before_are_not_given_again(sessions: Sessions, ingestor: Ingestor) -> None:
    await ingest(ingestor, "old", range(3), 1)
    async with sessions("t") as session:
        before = await knowledge_version.read_version(session, "t")
    await reindex.reindex(sessions, "t")
    async with sessions("t") as session:
        assert await knowledge_version.read_version(session, "t") > before


async def test_full_segment_becomes_one_part_again(sessions: Sessions) -> None:
    """A segment before the last one no longer grows, so that a question reads one row of each term."""
    with rules(1):
        async with sessions("t") as session:
            for first in (0, SEGMENT - 2, SEGMENT):
                await bm25.index(session, "t", [IndexedChunk(first + n, "tenant", ["old", f"w{n}"]) for n in range(2)])
    async with sessions("t") as session:
        for numbers in ((0, 1), (SEGMENT - 2, SEGMENT - 1), (SEGMENT, SEGMENT + 1)):
            await bm25.replace(session, "t", [IndexedChunk(n, "tenant", ["present", f"p{n}"]) for n in numbers], 4)
        while (segment := await bm25.replaced_segment(session, "t")) is not None:
            await bm25.delete_replaced(session, "t", segment)
        parts = (await session.execute(text("SELECT segment, level FROM posting_parts ORDER BY segment"))).all()
        base = base_level(PRESENT)
        assert [tuple(part) for part in parts] == [(0, base + TOP_LEVEL), (1, base)]
        assert not (await session.scalars(text("SELECT term FROM postings WHERE term IN ('old', 'w0', 'w1')"))).all()
        assert [number for number, _ in (await bm25.candidates(session, ["p1"], Scope("t"), 10)).chunks] == [1]
