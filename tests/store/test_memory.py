"""Facts and vectors of old messages on a real database: stored, superseded, deleted with their message."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import text

from bot.engine.memory import StatedFact
from bot.store.database.session import Database
from bot.store.privacy import data_export, erasure
from bot.store.turns import facts
from bot.store.turns.thread_memory import ThreadMemory
from bot.types.audience import MEMBERS
from bot.types.turns import Turn
from tests.knowledge.fakes import WordEmbedder
from tests.store.test_turns import THREAD, accepted, done, incoming, store_of

DEADLINE = "deadlin"


def said(text: str, subject: str = DEADLINE) -> list[StatedFact]:
    return [StatedFact("note", subject, text)]


async def rows(database: Database, table: str, tenant: str = THREAD.tenant_id) -> int:
    async with database.tenant(tenant) as session:
        return int(await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


async def told(database: Database, turn: Turn) -> list[str]:
    return [fact.text for fact in await ThreadMemory(database, WordEmbedder()).facts(turn)]


async def finished(database: Database, message: str, question: str, answer: str = "Yes.") -> Turn:
    stores = store_of(database)
    turn = await stores.inbox.accept(incoming(message, text=question))
    assert turn is not None
    lease = await stores.leases.lease(turn)
    assert lease is not None
    await stores.leases.finish(turn, lease, replace(done(turn), answer=answer), reservation=None, cache_key=None)
    return turn


async def test_a_later_fact_supersedes_and_comes_back_when_the_later_one_goes(database: Database) -> None:
    memory = ThreadMemory(database, WordEmbedder())
    first = await finished(database, "1", "Remember that the deadline is Friday")
    second = await finished(database, "2", "Remember that the deadline is Monday")
    await memory.learn(first, said("the deadline is Friday"))
    await memory.learn(second, said("the deadline is Monday"))
    assert await told(database, second) == ["the deadline is Monday"]
    await store_of(database).retractions.forget(second)
    assert await told(database, first) == ["the deadline is Friday"]


async def test_forgetting_a_fact_takes_what_it_superseded(database: Database) -> None:
    memory = ThreadMemory(database, WordEmbedder())
    for n, day in enumerate(("Friday", "Monday")):
        await memory.learn(await finished(database, str(n), day), said(f"the deadline is {day}"))
    async with database.tenant(THREAD.tenant_id) as session:
        assert await facts.forget(session, thread=THREAD, subjects=[DEADLINE]) == 2
    assert await rows(database, "facts") == 0


async def test_learning_a_turn_again_replaces_what_it_stated(database: Database) -> None:
    memory, turn = ThreadMemory(database, WordEmbedder()), await finished(database, "1", "x")
    await memory.learn(turn, said("the deadline is Friday"))
    await memory.learn(turn, said("we moved", "office"))
    assert await told(database, turn) == ["we moved"]
    await memory.learn(turn, [])
    assert await rows(database, "facts") == 0


async def test_an_edited_question_takes_its_facts_and_vectors_along(database: Database) -> None:
    memory, turn = ThreadMemory(database, WordEmbedder()), await finished(database, "1", "Remember the zebra")
    await memory.learn(turn, said("the zebra"))
    await memory.index(turn)
    assert await rows(database, "message_vectors") == 2
    assert await store_of(database).inbox.replace_question(turn, "Remember the lion", MEMBERS)
    assert (await rows(database, "facts"), await rows(database, "message_vectors")) == (0, 0)


async def test_old_messages_are_weighed_with_their_authors_and_vectors(database: Database) -> None:
    memory = ThreadMemory(database, WordEmbedder())
    for n in range(6):
        topic = "the zebra escaped" if n == 2 else f"topic{n} matter{n}"
        await memory.index(await finished(database, str(n), topic, f"noted {n}"))
    asked = await accepted(store_of(database), "9")
    older = await memory.older(asked, "Where is the zebra?")
    assert len(older) == 12
    assert max(older, key=lambda one: one.relevance).message.text == "the zebra escaped"
    assert [one.message.seq for one in older] == sorted(one.message.seq for one in older)


async def test_other_threads_and_tenants_are_never_recalled(database: Database) -> None:
    memory = ThreadMemory(database, WordEmbedder())
    turn = await finished(database, "1", "the zebra")
    await memory.learn(turn, said("the zebra"))
    for thread in (replace(THREAD, thread_id="200.1"), replace(THREAD, tenant_id="slack:T2")):
        other = await accepted(store_of(database), "1.9", thread)
        assert (list(await memory.older(other, "zebra")), list(await memory.facts(other))) == ([], [])


async def test_privacy_hands_over_and_erases_facts(database: Database) -> None:
    memory = ThreadMemory(database, WordEmbedder())
    turn = await finished(database, "1", "Remember that the deadline is Friday")
    await memory.learn(turn, said("the deadline is Friday"))
    await memory.index(turn)
    async with database.tenant(THREAD.tenant_id) as session:
        kept = await data_export.export(session, tenant_id=THREAD.tenant_id, user_id="U1")
        assert [fact["text"] for fact in kept["facts"]] == ["the deadline is Friday"]
        await erasure.erase(session, tenant_id=THREAD.tenant_id, user_id="U1")
    assert (await rows(database, "facts"), await rows(database, "message_vectors")) == (0, 0)


async def test_a_paid_embedder_is_not_asked_for_old_messages(database: Database) -> None:
    class Paid(WordEmbedder):
        billed = True

    memory = ThreadMemory(database, Paid())
    turn = await finished(database, "1", "the zebra")
    await memory.index(turn)
    assert await rows(database, "message_vectors") == 0
    asked = await accepted(store_of(database), "2")
    assert (await memory.older(asked, "zebra"))[0].message.text == "the zebra"
