"""Compares BM25 in Postgres with rank_bm25 over the whole corpus."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence

import pytest
from rank_bm25 import BM25Okapi
from sqlalchemy import text

from knowledge import bm25
from knowledge.bm25 import indexing, term_statistics
from knowledge.bm25.posting_codec import SEGMENT, IndexedChunk
from knowledge.ports import Sessions
from knowledge.types.scope import Scope

WORDS = [f"w{n}" for n in range(300)]


def corpus(random_: random.Random, size: int, first: int = 0) -> dict[int, list[str]]:
    """Return chunks of 3 to 60 words; some words are far more frequent than others."""
    weights = [1 / (rank + 1) for rank in range(len(WORDS))]
    return {first + n: random_.choices(WORDS, weights, k=random_.randint(3, 60)) for n in range(size)}


def oracle(living: Mapping[int, Sequence[str]], query: Sequence[str], visible: set[int]) -> dict[int, float]:
    """Return the score of every visible chunk by rank_bm25 over all living ones."""
    okapi = BM25Okapi([list(terms) for terms in living.values()])
    scores = dict(zip(living, okapi.get_scores(list(query)), strict=True))
    return {chunk_id: float(score) for chunk_id, score in scores.items() if chunk_id in visible and score > 0}


def audience_of(chunk_id: int) -> str:
    return "C1" if chunk_id % 7 == 0 else "tenant"


async def add(sessions: Sessions, tenant: str, chunks: Mapping[int, Sequence[str]]) -> None:
    async with sessions(tenant) as session:
        await bm25.index(
            session, tenant, [IndexedChunk(number, audience_of(number), terms) for number, terms in chunks.items()]
        )


async def drop(sessions: Sessions, tenant: str, living: dict[int, list[str]], numbers: Sequence[int]) -> None:
    gone = {number: len(living.pop(number)) for number in numbers}
    async with sessions(tenant) as session:
        await bm25.remove(session, tenant, gone)


async def assert_same(sessions: Sessions, tenant: str, living: Mapping[int, Sequence[str]], query: list[str]) -> None:
    for audiences in (("tenant", "C1"), ("tenant",), ("C1",)):
        visible = {number for number in living if audience_of(number) in audiences}
        expected = oracle(living, query, visible)
        async with sessions(tenant) as session:
            found = (await bm25.candidates(session, query, Scope(tenant, audiences), 20)).chunks
        best = sorted(expected.items(), key=lambda pair: (-round(pair[1], 9), pair[0]))[:20]
        assert [round(score, 9) for _, score in found] == [round(score, 9) for _, score in best]
        assert {number: round(score, 9) for number, score in found}.items() <= {
            number: round(score, 9) for number, score in expected.items()
        }.items()


async def test_full_segment_is_merged_into_one_part_with_same_ranking(sessions: Sessions) -> None:
    """Add the last chunks of a segment, some of them deleted, and the first of the next."""
    random_ = random.Random(3)
    living: dict[int, list[str]] = {}
    for first in (0, SEGMENT - 60, SEGMENT - 30):
        added = corpus(random_, 30, first)
        living |= added
        await add(sessions, "t", added)
    await drop(sessions, "t", living, [3, SEGMENT - 50])
    added = corpus(random_, 40, SEGMENT)
    living |= added
    await add(sessions, "t", added)
    async with sessions("t") as session:
        counted = await session.execute(text("SELECT segment, count(*) FROM posting_parts GROUP BY segment"))
        assert {row[0]: row[1] for row in counted} == {0: 1, 1: 1}
    for _ in range(6):
        await assert_same(sessions, "t", living, random_.choices(WORDS[:40], k=4))
    await drop(sessions, "t", living, [number for number in list(living) if number < SEGMENT and number % 2])
    for _ in range(6):
        await assert_same(sessions, "t", living, random_.choices(WORDS[:40], k=4))


@pytest.mark.parametrize("size", [1, 2, 5, 40, 400])
async def test_ranking_equals_rank_bm25(sessions: Sessions, size: int) -> None:
    random_ = random.Random(size)
    living = corpus(random_, size)
    await add(sessions, "t", living)
    for _ in range(12):
        await assert_same(sessions, "t", living, random_.choices(WORDS[:80], k=random_.randint(1, 8)))


async def test_ranking_stays_exact_after_inserts_deletes_and_merges(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "MERGE_PARTS", 4)
    random_ = random.Random(7)
    living: dict[int, list[str]] = {}
    following = SEGMENT - 60
    for step in range(40):
        batch = corpus(random_, random_.randint(1, 9), following)
        following += len(batch)
        living.update(batch)
        await add(sessions, "t", batch)
        if step % 3 == 2:
            await drop(sessions, "t", living, random_.sample(sorted(living), k=min(len(living) - 1, 8)))
        if step % 4 == 3:
            await assert_same(sessions, "t", living, random_.choices(WORDS[:60], k=5))
    async with sessions("t") as session:
        levels = (await session.execute(text("SELECT DISTINCT segment, level FROM postings"))).all()
    assert {segment for segment, _ in levels} == {0, 1}
    assert max(level for _, level in levels) >= 1


async def test_swept_segment_has_no_entries_of_dead_chunks(sessions: Sessions) -> None:
    await add(sessions, "t", {0: ["alpha", "beta"], 1: ["beta"], 2: ["gamma"]})
    async with sessions("t") as session:
        await bm25.remove(session, "t", {0: 2})
        terms = (await session.execute(text("SELECT term FROM postings ORDER BY term"))).scalars().all()
        assert terms == ["beta", "gamma"]
        assert (await session.execute(text("SELECT sum(dead) FROM posting_masks"))).scalar_one() == 0


async def test_concurrent_writers_lose_no_postings(sessions: Sessions) -> None:
    random_ = random.Random(3)
    batches = [corpus(random_, 10, first) for first in range(0, 200, 10)]
    await asyncio.gather(*(add(sessions, "t", batch) for batch in batches))
    living = {number: terms for batch in batches for number, terms in batch.items()}
    for _ in range(5):
        await assert_same(sessions, "t", living, random_.choices(WORDS[:50], k=4))


async def test_mean_idf_follows_a_large_corpus_whose_chunks_are_replaced_by_as_many(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(term_statistics, "LARGE_CORPUS", 50)
    random_, count = random.Random(11), text("UPDATE knowledge_state SET next_chunk = :number, version = version + 1")
    living = corpus(random_, 60) | {60: ["often"] * 3}
    living = {number: [*terms, "often"] for number, terms in living.items()}
    await add(sessions, "t", living)
    async with sessions("t") as session:
        await session.execute(count, {"number": 61})
    await assert_same(sessions, "t", living, ["often"])
    replaced = {number + 100: ["often", f"rare{number}", f"rarer{number}"] for number in range(1, 60)}
    await drop(sessions, "t", living, list(range(1, 60)))
    living |= replaced
    await add(sessions, "t", replaced)
    async with sessions("t") as session:
        await session.execute(count, {"number": 160})
    await assert_same(sessions, "t", living, ["often"])


async def test_other_tenants_do_not_change_the_ranking(sessions: Sessions) -> None:
    random_ = random.Random(5)
    mine, theirs = corpus(random_, 50), corpus(random_, 80)
    await add(sessions, "mine", mine)
    await add(sessions, "theirs", theirs)
    await assert_same(sessions, "mine", mine, WORDS[:4])
    async with sessions("mine") as session:
        assert (await bm25.candidates(session, WORDS[:4], Scope("theirs"), 20)).chunks == []


async def test_empty_corpus_or_query_finds_nothing(sessions: Sessions) -> None:
    async with sessions("t") as session:
        assert (await bm25.candidates(session, ["w1"], Scope("t"), 5)).chunks == []
    await add(sessions, "t", {0: ["w1"], 1: ["w2"], 2: ["w3"]})
    async with sessions("t") as session:
        assert (await bm25.candidates(session, ["unheard"], Scope("t"), 5)).chunks == []
        assert (await bm25.candidates(session, [], Scope("t"), 5)).chunks == []
