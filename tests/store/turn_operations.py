"""Builds a thread with questions in every state, and names the operations that change it, for tests of locks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from bot.engine.memory import StatedFact
from bot.engine.ports.stores import Stores
from bot.errors import LeaseLost
from bot.jobs import maintenance
from bot.store import threads
from bot.store.answer_cache import similar_answer_statements
from bot.store.browser_page import conversation_branches, page_conversations
from bot.store.budgets import ledger_days
from bot.store.database.session import Database
from bot.store.maintenance import look
from bot.store.privacy import erasure, retention
from bot.store.turns import facts, turn_queue
from bot.store.turns.thread_memory import ThreadMemory
from bot.types.audience import MEMBERS
from bot.types.conversation import Author, StoredAttachment, ThreadKey
from bot.types.turns import Lease, Turn
from bot.types.usage import Reservation
from tests.knowledge.fakes import WordEmbedder
from tests.store.test_turns import NOON, THREAD, call, done, incoming, store_of

TENANT = THREAD.tenant_id


@dataclass(slots=True)
class Scene:
    """A thread with an answered question of U1, another of U2, one that is answered now, and one that waits.

    The replies of the answered questions are late.
    """

    database: Database
    stores: Stores
    thread: ThreadKey
    first: Turn
    second: Turn
    running: Turn
    lease: Lease
    reservation: Reservation
    waiting: Turn


Operation = Callable[[Scene], Awaitable[object]]


async def _accept(scene: Scene) -> None:
    asked = replace(incoming("new", scene.thread), author=Author("U2", "Bob"))
    await scene.stores.inbox.accept(asked)


async def _lease(scene: Scene) -> None:
    await _hand_back(scene)
    with suppress(LeaseLost):
        await scene.stores.leases.lease(scene.running)


async def _finish(scene: Scene) -> None:
    outcome = done(scene.running, call(100))
    with suppress(LeaseLost):
        await scene.stores.leases.finish(scene.running, scene.lease, outcome, reservation=None, cache_key="key 1")


async def _hand_back(scene: Scene) -> None:
    with suppress(LeaseLost):
        await scene.stores.leases.hand_back(scene.running, scene.lease, [call(50)], reservation=None)


async def _edit(scene: Scene) -> None:
    await scene.stores.inbox.replace_question(scene.first, "And by train?", MEMBERS)


async def _forget(turn: str, scene: Scene) -> None:
    await scene.stores.retractions.forget(getattr(scene, turn))


async def _erase(user: str, scene: Scene) -> None:
    await scene.database.run(TENANT, partial(erasure.erase, tenant_id=TENANT, user_id=user))


async def _expire(scene: Scene) -> None:
    await retention.delete_expired(scene.database, TENANT, before=NOON + timedelta(days=9000))


async def _summarize(scene: Scene) -> None:
    due = (await scene.stores.conversation.history(scene.running)).messages
    if due:
        await scene.stores.conversation.summarize(scene.running, since=0, due=due, summary="They asked.")


async def _learn(scene: Scene) -> None:
    fact = StatedFact("note", "a" * 64, "The limit is 5")
    await ThreadMemory(scene.database, WordEmbedder()).learn(scene.first, [fact])


async def _rate(scene: Scene) -> None:
    with suppress(IntegrityError):  # An erasure or the retention was faster: the turn is gone.
        await scene.stores.conversation.rate(scene.first, scene.second.author, 1, "")


async def _withdraw_rating(scene: Scene) -> None:
    await scene.stores.conversation.withdraw_rating(scene.first, scene.second.author, 1)


async def _keep_house(scene: Scene) -> None:
    found = await look(scene.database, TENANT, now=NOON)
    await maintenance.release_reservations(scene.database, TENANT, found.orphaned)
    await maintenance.charge_lost_calls(scene.database, TENANT, found.lost)


async def _sum_up(scene: Scene) -> None:
    async with scene.database.tenant(TENANT) as session:
        first = "SELECT CAST(min(created_at) AT TIME ZONE 'UTC' AS date) FROM ledger WHERE tenant_id = :tenant"
        day = await session.scalar(text(first), {"tenant": TENANT})
        await ledger_days.sum_up(session, tenant_id=TENANT, day=day, price_steps=[200_000])


async def _reserve(scene: Scene) -> None:
    await scene.stores.budgets.reserve(scene.waiting, 100)


async def _resize(scene: Scene) -> None:
    await scene.stores.budgets.change_reservation(scene.running, scene.reservation, 900)


async def _open_call(scene: Scene) -> None:
    opened = replace(call(80), status="open", id="1" * 32)
    await scene.stores.budgets.open_call(scene.running, opened, scene.reservation, tokens=100)


async def _bill(scene: Scene) -> None:
    ended = replace(call(200), id="0" * 32)
    await scene.stores.budgets.bill(scene.second, [ended, replace(call(40), id="2" * 32)], None)


async def _renew(scene: Scene) -> None:
    with suppress(LeaseLost):
        await scene.stores.leases.renew(scene.running, scene.lease)


async def _record_part(scene: Scene) -> None:
    with suppress(LeaseLost):
        await scene.stores.leases.record_part(scene.running, scene.lease, 0, "1700000000.1")


async def _offer_part(scene: Scene) -> None:
    await scene.stores.retractions.offer_part(scene.running, 0, "1700000000.2")


async def _mark_removed(scene: Scene) -> None:
    await scene.stores.retractions.mark_removed(scene.first)


async def _tell_to_wait(scene: Scene) -> None:
    with suppress(LeaseLost):
        await scene.stores.queue.record_waiting(scene.waiting, 0, "1700000000.3")


async def _release(scene: Scene) -> None:
    await scene.stores.queue.release(scene.waiting)


async def _stop(scene: Scene) -> None:
    await scene.stores.queue.ask_to_stop(scene.running)


async def _free(scene: Scene) -> None:
    left = [
        turn_queue.Left(TENANT, turn.id, "slack", fence, suspect=False, charged=True)
        for turn, fence in ((scene.waiting, 0), (scene.running, scene.lease.fence))
    ]
    await scene.database.run(TENANT, partial(turn_queue.set_free, tenant_id=TENANT, left=left))


async def _show_late(scene: Scene) -> None:
    for turn in (scene.second, scene.first):
        await scene.stores.late_replies.hurry(turn)
    claimed = await scene.stores.late_replies.claim("slack")
    for reply in claimed.due:
        with suppress(LeaseLost):
            await scene.stores.late_replies.end(reply.turn, reply.lease)


async def _keep_attachment(scene: Scene) -> None:
    attached = StoredAttachment(scene.running.id, 0, "file", "plan.txt", text="By train.")
    await scene.stores.attachments.keep_attachment(scene.running, attached)


async def _note_command(scene: Scene) -> None:
    await scene.stores.inbox.note_command(scene.thread, "a command")


async def _claim_question(scene: Scene) -> None:
    claiming = partial(similar_answer_statements.claim_question, tenant_id=TENANT, key="key", most=timedelta(minutes=1))
    for turn in (scene.running, scene.waiting):
        await scene.database.run(TENANT, partial(claiming, turn_id=turn.id))


async def _note_hit(scene: Scene) -> None:
    hit = partial(similar_answer_statements.note, key="key 1", similarity=0.9, shadow=False)
    await scene.database.run(TENANT, partial(hit, tenant_id=TENANT, turn_id=scene.first.id))


async def _reject_earlier(scene: Scene) -> None:
    question = scene.first.question
    await scene.database.run(
        TENANT, partial(similar_answer_statements.reject_earlier, thread=scene.thread, question=question)
    )


async def _index(turn: str, scene: Scene) -> None:
    await ThreadMemory(scene.database, WordEmbedder()).index(getattr(scene, turn))


async def _forget_facts(scene: Scene) -> None:
    await scene.database.run(TENANT, partial(facts.forget, thread=scene.thread, subjects=["a" * 64]))


async def _rename(scene: Scene) -> None:
    await scene.database.run(TENANT, partial(page_conversations.rename, thread=scene.thread, title="Trains"))


async def _branch(scene: Scene) -> None:
    branch = replace(scene.thread, thread_id=f"{scene.thread.thread_id}-branch")
    begin = partial(conversation_branches.begin, turn_id=scene.waiting.id, branch=branch, question="By train?")
    assert await scene.database.run(TENANT, begin)
    await scene.database.run(TENANT, partial(conversation_branches.remove_empty, branch=branch))


async def _set_quiet(scene: Scene) -> None:
    await scene.database.run(TENANT, partial(threads.set_quiet, key=scene.thread, quiet=True))


OPERATIONS: dict[str, Operation] = {
    "accept": _accept,
    "lease": _lease,
    "finish": _finish,
    "hand back": _hand_back,
    "edit": _edit,
    "delete the first": partial(_forget, "first"),
    "delete the second": partial(_forget, "second"),
    "delete the running": partial(_forget, "running"),
    "erase U1": partial(_erase, "U1"),
    "erase U2": partial(_erase, "U2"),
    "expire": _expire,
    "summarize": _summarize,
    "learn": _learn,
    "rate": _rate,
    "keep house": _keep_house,
    "sum up a day": _sum_up,
}
"""Operations that lock several rows. ``test_lock_order`` lets every two of them meet."""
SHORT_OPERATIONS: dict[str, Operation] = {
    "withdraw a rating": _withdraw_rating,
    "reserve": _reserve,
    "resize": _resize,
    "open a call": _open_call,
    "bill": _bill,
    "renew": _renew,
    "record a part": _record_part,
    "offer a part": _offer_part,
    "mark removed": _mark_removed,
    "tell to wait": _tell_to_wait,
    "release": _release,
    "stop": _stop,
    "free": _free,
    "show late": _show_late,
    "keep an attachment": _keep_attachment,
    "note a command": _note_command,
    "claim the question": _claim_question,
    "note a hit": _note_hit,
    "reject earlier": _reject_earlier,
    "index": partial(_index, "waiting"),
    "forget facts": _forget_facts,
    "rename": _rename,
    "branch": _branch,
    "quiet": _set_quiet,
}
"""The other operations that change rows of a conversation."""


async def _answered(stores: Stores, message: str, thread: ThreadKey, user: str) -> Turn:
    turn = await stores.inbox.accept(replace(incoming(message, thread), author=Author(user, user)))
    assert turn is not None
    lease = await stores.leases.lease(turn)
    assert lease is not None
    outcome = replace(done(turn, call(100)), trace={"query": "words", "notes": ["<@U1> may know"]})
    await stores.leases.finish(turn, lease, outcome, reservation=None, cache_key=f"key {message}")
    return turn


async def build_scene(database: Database, name: str) -> Scene:
    """Empty the database and build the thread."""
    async with database.tenant(TENANT) as session:
        for table in ("threads", "inbox", "ledger", "reservations", "budget_days"):
            await session.execute(text(f"DELETE FROM {table}"))
    stores, thread = store_of(database), replace(THREAD, thread_id=name)
    first, second = [await _answered(stores, str(n), thread, f"U{n}") for n in (1, 2)]
    running = await stores.inbox.accept(replace(incoming("3", thread), author=Author("U1", "Ann")))
    assert running is not None
    lease = await stores.leases.lease(running)
    assert lease is not None
    reservation = await stores.budgets.reserve(second, 500)
    await stores.budgets.open_call(second, replace(call(80), status="open", id="0" * 32), reservation)
    reservation = await stores.budgets.reserve(running, 500)
    waiting = await stores.inbox.accept(replace(incoming("4", thread), author=Author("U2", "Bob")))
    assert waiting is not None
    async with database.tenant(TENANT) as session:
        for table in ("ledger", "reservations"):
            await session.execute(text(f"UPDATE {table} SET created_at = now() - interval '1 day'"))
        late = "UPDATE turns SET deliver_at = now() + interval '1 hour' WHERE turn_id = CAST(:turn AS uuid)"
        for turn in (first, second):
            await session.execute(text(late), {"turn": turn.id})
    scene = Scene(database, stores, thread, first, second, running, lease, reservation, waiting)
    for derived in (_learn, partial(_index, "first"), _rate, _note_hit, _claim_question, _keep_attachment):
        await derived(scene)
    return scene
