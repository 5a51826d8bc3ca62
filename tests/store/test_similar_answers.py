"""Cached answers to reworded questions on a real database."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.commands.costs import reuse
from bot.engine.ports.stores import Stores
from bot.store.answer_cache import similar_answer_statements
from bot.store.answer_cache.similar_answers import PostgresSimilarAnswers
from bot.store.database.session import Database
from bot.types.turns import Turn
from knowledge.errors import EmbeddingError
from tests.store.test_turns import NOON, THREAD, accepted, done, store_of

VECTORS = {"What is the limit?": [1.0, 0.0, 0.0], "far": [0.0, 1.0, 0.0]}


async def encode(question: str) -> list[float]:
    if question == "broken":
        raise EmbeddingError("no model")
    return VECTORS[question]


def answers_of(database: Database) -> PostgresSimilarAnswers:
    return PostgresSimilarAnswers(database, encode, "words")


async def kept(stores: Stores, near: PostgresSimilarAnswers, message: str = "1.1") -> Turn:
    """Store an answered turn that reworded questions can find."""
    turn = await accepted(stores, message)
    lease = await stores.leases.lease(turn)
    assert lease is not None
    assert await near.near(turn, "ground") == []
    await stores.leases.finish(turn, lease, done(turn), reservation=None, cache_key="key")
    await near.keep(turn, "key", "ground")
    return turn


async def test_an_answer_is_found_on_its_own_ground_by_its_own_tenant_alone(database: Database) -> None:
    stores, near = store_of(database), answers_of(database)
    first = await kept(stores, near)
    other = await accepted(stores, "2.1", replace(THREAD, thread_id="200.1"))
    [found] = await near.near(other, "ground")
    assert (found.key, found.question, found.answer.turn_id) == ("key", "What is the limit?", first.id)
    assert found.similarity == pytest.approx(1.0, abs=1e-3)
    assert await near.near(other, "other ground") == []
    stranger = await accepted(stores, "2.1", replace(THREAD, tenant_id="slack:T2"))
    assert await near.near(stranger, "ground") == []
    assert await PostgresSimilarAnswers(database, encode, "other model").near(other, "ground") == []


async def test_what_became_of_hits_is_learned_from_thumbs_and_from_asking_afresh(database: Database) -> None:
    stores, near = store_of(database), answers_of(database)
    await kept(stores, near)
    hits = [await accepted(stores, f"{n}.1", replace(THREAD, thread_id=f"{n}.1")) for n in range(2, 6)]
    for turn in hits:
        [found] = await near.near(turn, "ground")
        await near.note(turn, found, shadow=False)
    assert (await near.near(hits[0], "ground"))[0].observed == ()
    await stores.conversation.rate(hits[0], hits[0].author, -1, "")
    await stores.conversation.rate(hits[1], hits[1].author, 1, "")
    await near.asked_afresh(hits[2])
    [found] = await near.near(hits[3], "ground")
    assert sorted(one.right for one in found.observed) == [False, False, True]
    await near.note(hits[3], found, shadow=True, right=True)
    await stores.conversation.rate(hits[3], hits[3].author, -1, "")
    async with database.tenant(THREAD.tenant_id) as session:
        tally = await similar_answer_statements.tally(
            session, tenant_id=THREAD.tenant_id, since=NOON - timedelta(days=10_000)
        )
    assert tally == similar_answer_statements.Tally(hits=3, judged=3, wrong=2, sampled=1, sampled_wrong=0)
    assert reuse(tally) == (
        "Cached answers to reworded questions: 3, rejected by users: 2. "
        "Of 1 compared with a new answer, 0 differed: at most 95.0% do."
    )
    assert reuse(similar_answer_statements.Tally(0, 0, 0, 0, 0)) == ""


async def test_one_of_many_answers_and_its_end_lets_the_next_one(database: Database) -> None:
    stores, near = store_of(database), answers_of(database)
    turns = [await accepted(stores, f"{n}.1", replace(THREAD, thread_id=f"{n}.1")) for n in range(6)]
    took = await asyncio.gather(*(near.claim_question(turn, "key") for turn in turns))
    assert sum(took) == 1
    first = turns[took.index(True)]
    waiting = turns[took.index(False)]
    assert await near.claim_question(first, "key")
    assert not await near.claim_question(waiting, "key")
    lease = await stores.leases.lease(first)
    assert lease is not None
    await stores.leases.finish(first, lease, done(first), reservation=None, cache_key="key")
    assert await near.claim_question(waiting, "key")


async def test_who_is_away_too_long_is_waited_for_no_longer(database: Database) -> None:
    stores = store_of(database)
    first, second = await accepted(stores, "1.1"), await accepted(stores, "2.1", replace(THREAD, thread_id="2.1"))

    async def take(turn: Turn, most: timedelta) -> bool:
        async with database.tenant(THREAD.tenant_id) as session:
            return await similar_answer_statements.claim_question(
                session, tenant_id=THREAD.tenant_id, key="key", turn_id=turn.id, most=most
            )

    assert await take(first, timedelta(seconds=-1))
    assert await take(second, timedelta(seconds=60))
    assert not await take(first, timedelta(seconds=60))


async def test_a_question_that_cannot_be_encoded_is_looked_up_by_nothing(database: Database) -> None:
    stores, near = store_of(database), answers_of(database)
    turn = replace(await accepted(stores, "1.1"), question="broken")
    assert await near.near(turn, "ground") == ()
