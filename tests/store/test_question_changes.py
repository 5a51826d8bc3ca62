"""An edited or deleted question: nothing of the first version stays except its cost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from bot.engine.ports.stores import Stores
from bot.errors import LeaseLost
from bot.store.budgets import ledger
from bot.store.database.session import Database
from bot.store.privacy import erased_documents
from bot.types.audience import MEMBERS
from bot.types.conversation import StoredAttachment
from bot.types.turns import Turn
from tests.store.test_turns import THREAD, accepted, call, done, incoming, store_of
from tests.superuser_access import until_blocked


async def answered(stores: Stores, message: str) -> Turn:
    turn = await accepted(stores, message)
    lease = await stores.leases.lease(turn)
    assert lease is not None
    await stores.leases.record_part(turn, lease, 0, "m0")
    await stores.leases.finish(turn, lease, done(turn, call(100)), reservation=None, cache_key=f"key {message}")
    return turn


async def said(stores: Stores, before: Turn) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in (await stores.conversation.history(before)).messages]


async def test_a_changed_question_is_asked_again_in_its_place(database: Database) -> None:
    stores = store_of(database)
    turn = await answered(stores, "1")
    later = await accepted(stores, "2")
    changed = await stores.inbox.replace_question(turn, "What is the new limit?", MEMBERS)
    assert changed is not None
    assert (changed.id, changed.question, changed.parts) == (turn.id, "What is the new limit?", ("m0",))
    assert await said(stores, later) == [("user", "What is the new limit?")]
    assert await stores.answers.cached("slack:T1", "key 1") is None
    lease = await stores.leases.lease(changed)
    assert lease is not None
    await stores.leases.finish(changed, lease, done(changed, call(50)), reservation=None, cache_key=None)
    assert await said(stores, later) == [("user", "What is the new limit?"), ("assistant", "It is 5 [1].")]
    assert (await stores.budgets.budget("slack:T1", "U1")).used == 150


async def test_a_change_that_says_the_same_changes_nothing(database: Database) -> None:
    stores = store_of(database)
    turn = await answered(stores, "1")
    assert await stores.inbox.replace_question(turn, turn.question, MEMBERS) is None
    assert await stores.answers.cached("slack:T1", "key 1") is not None


@pytest.mark.parametrize("deleted", [True, False], ids=["deleted", "edited"])
async def test_a_changed_question_takes_the_notice_about_its_answer_along(database: Database, deleted: bool) -> None:
    stores = store_of(database)
    turn = await answered(stores, "1")
    async with database.tenant(turn.thread.tenant_id) as session:
        await session.execute(text("INSERT INTO changed_answer_notices SELECT tenant_id, turn_id, 'slack' FROM turns"))
    if deleted:
        await stores.retractions.forget(turn)
    else:
        assert await stores.inbox.replace_question(turn, "What is the new limit?", MEMBERS) is not None
    async with database.tenant(turn.thread.tenant_id) as session:
        assert list(await session.scalars(text("SELECT turn_id FROM changed_answer_notices"))) == []


FIRST, SECOND = datetime(2026, 3, 2, 9, 0, 0, 1, tzinfo=UTC), datetime(2026, 3, 2, 9, 0, 0, 2, tzinfo=UTC)


@pytest.mark.parametrize("last", ["And by train?", ""], ids=["another text", "the text as it was sent"])
async def test_an_edit_that_arrives_after_a_later_one_changes_nothing(database: Database, last: str) -> None:
    stores = store_of(database)
    turn = await answered(stores, "1")
    await stores.inbox.replace_question(turn, last or turn.question, MEMBERS, SECOND)
    assert await stores.inbox.replace_question(turn, "And by car?", MEMBERS, FIRST) is None
    kept = await stores.inbox.turn(turn.thread.tenant_id, turn.id)
    assert kept is not None
    assert kept.question == (last or turn.question)


async def test_an_edit_that_arrives_first_is_not_replaced_by_an_earlier_one(database: Database) -> None:
    stores = store_of(database)
    turn = await stores.inbox.accept(replace(incoming("1"), edited_at=SECOND))
    assert turn is not None
    assert await stores.inbox.replace_question(turn, "And by car?", MEMBERS, FIRST) is None
    assert await stores.inbox.replace_question(turn, "And by bus?", MEMBERS, SECOND) is not None


async def test_whoever_answers_the_first_question_has_lost_it(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    old = await stores.leases.lease(turn)
    assert old is not None
    changed = await stores.inbox.replace_question(turn, "Something else?", MEMBERS)
    assert changed is not None
    with pytest.raises(LeaseLost):
        await stores.leases.finish(turn, old, done(turn, call(100)), reservation=None, cache_key="k")
    assert (await stores.budgets.budget("slack:T1", "U1")).used == 100
    assert await stores.leases.lease(changed) is not None


async def test_a_deleted_question_leaves_nothing_but_its_cost(database: Database) -> None:
    stores = store_of(database)
    turn = await answered(stores, "1")
    later = await stores.inbox.accept(incoming("2", text="What is the  later\n limit?"))
    assert later is not None
    due = (await stores.conversation.history(later)).messages
    assert await stores.conversation.summarize(later, since=0, due=due, summary="They asked of limits.")
    await stores.retractions.forget(turn)
    assert await stores.retractions.mark_removed(turn)
    history = await stores.conversation.history(later)
    assert (history.summary, history.messages) == ("", ())
    assert await stores.answers.cached("slack:T1", "key 1") is None
    assert await stores.retractions.is_forgotten(turn)
    async with database.tenant("slack:T1") as session:
        row = (await session.execute(text("SELECT * FROM turns WHERE message_id = '1'"))).one()
        left = await session.scalar(text("SELECT count(*) FROM reply_parts"))
        rows = await ledger.of_turn(session, tenant_id="slack:T1", turn_id=turn.id)
        title = await session.scalar(text("SELECT title FROM threads"))
    assert (row.question, row.answer, row.citations, row.trace, row.state) == ("", "", [], {}, "cancelled")
    assert (left, len(rows)) == (0, 1)
    assert title == "What is the later limit?"
    assert await stores.inbox.accept(incoming("1")) is None, "it does not come back by a redelivery"


async def test_a_deleted_question_that_waits_is_not_answered(database: Database) -> None:
    stores = store_of(database)
    first, second = await accepted(stores, "1"), await accepted(stores, "2")
    await stores.retractions.forget(first)
    with pytest.raises(LeaseLost):
        await stores.leases.lease(first)
    assert await stores.leases.lease(second) is not None


async def test_what_asked_the_message_again_is_known_with_it(database: Database) -> None:
    stores = store_of(database)
    turn, again = await accepted(stores, "1.5"), await accepted(stores, "1.5:again")
    await accepted(stores, "1.55")
    assert [found.id for found in await stores.inbox.turns_of(THREAD, "1.5")] == [turn.id, again.id]


async def test_a_file_that_is_read_after_its_question_was_deleted_is_not_stored(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    read = StoredAttachment(turn.id, 0, "file", "pay.txt", ref="F1", text="Salaries", own=True)
    await stores.retractions.forget(turn)
    await stores.attachments.keep_attachment(turn, read)
    async with database.tenant("slack:T1") as session:
        assert await session.scalar(text("SELECT count(*) FROM attachments")) == 0


_VECTOR = text(
    "INSERT INTO message_vectors SELECT tenant_id, thread_uid, seq, 'm', '' FROM messages WHERE role = :role "
    "FOR NO KEY UPDATE"
)


async def test_no_vector_of_the_first_question_outlives_an_edit(database: Database) -> None:
    stores = store_of(database)
    turn = await answered(stores, "1")
    async with database.tenant("slack:T1") as session:
        await session.execute(_VECTOR, {"role": "user"})
        changing = asyncio.create_task(stores.inbox.replace_question(turn, "Something else?", MEMBERS))
        await until_blocked(database)
    assert await changing is not None
    async with database.tenant("slack:T1") as session:
        assert await session.scalar(text("SELECT count(*) FROM message_vectors")) == 0


async def test_no_vector_of_an_answer_outlives_the_document_that_it_cites(database: Database) -> None:
    stores = store_of(database)
    await answered(stores, "1")
    async with database.tenant("slack:T1") as session:
        cited = '[{"source": "pay.txt"}]'
        await session.execute(text("UPDATE turns SET citations = CAST(:cited AS jsonb)"), {"cited": cited})

    async def forget() -> int:
        async with database.tenant("slack:T1") as session:
            return await erased_documents.forget_quotes(session, tenant_id="slack:T1", names=["pay.txt"])

    async with database.tenant("slack:T1") as session:
        await session.execute(_VECTOR, {"role": "assistant"})
        forgetting = asyncio.create_task(forget())
        await until_blocked(database)
    assert await forgetting == 1
    async with database.tenant("slack:T1") as session:
        assert await session.scalar(text("SELECT count(*) FROM message_vectors")) == 0


@pytest.mark.parametrize("deleted", [False, True])
async def test_a_change_waits_for_a_later_answer_that_is_being_stored_without_locking_its_thread(
    database: Database, deleted: bool
) -> None:
    stores = store_of(database)
    turn = await answered(stores, "1")
    await answered(stores, "2")
    async with database.tenant("slack:T1") as session:
        await session.execute(text("UPDATE turns SET trace = jsonb_build_object('query', 'old words')"))
    async with database.tenant("slack:T1") as session:
        await session.execute(text("UPDATE turns SET answer = 'It is 6.' WHERE message_id = '2'"))
        change = stores.retractions.forget(turn) if deleted else stores.inbox.replace_question(turn, "Else?", MEMBERS)
        changing = asyncio.create_task(change)
        await until_blocked(database)
        await session.execute(text("SET LOCAL lock_timeout = '2s'"))
        await session.execute(text("UPDATE threads SET tier = 'cheap'"))
    await changing
    async with database.tenant("slack:T1") as session:
        assert await session.scalar(text("SELECT trace FROM turns WHERE message_id = '2'")) == {}


async def test_the_messages_that_a_wish_for_a_summary_was_about_are_not_those_of_its_new_text(
    database: Database,
) -> None:
    stores = store_of(database)
    turn = await answered(stores, "1")
    wish = StoredAttachment(turn.id, 0, "messages", "this thread", text="Ann: hi")
    for kept in (wish, StoredAttachment(turn.id, 1, "file", "a.txt", text="About dogs")):
        await stores.attachments.keep_attachment(turn, kept)
    assert await stores.inbox.replace_question(turn, "What is the new limit?", MEMBERS) is not None
    async with database.tenant("slack:T1") as session:
        assert list(await session.scalars(text("SELECT kind FROM attachments"))) == ["file"]
