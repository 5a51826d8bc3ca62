"""Answers to messages that did not mention the bot, and how many of them people did not want, on a real database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from sqlalchemy import text

from bot.commands.costs import unasked
from bot.reports.unprompted_answers import UNMENTIONED, UnpromptedAnswers, tally
from bot.store import threads
from bot.store.database.session import Database
from bot.types.conversation import IncomingKind
from bot.types.turns import Turn
from tests.store.test_turns import THREAD, incoming, store_of

SINCE = datetime.now(UTC) - timedelta(days=1)


async def ask(database: Database, message_id: str, kind: IncomingKind, thread: str = "1.0") -> Turn:
    key = replace(THREAD, thread_id=thread)
    turn = await store_of(database).inbox.accept(replace(incoming(message_id, key), kind=kind))
    assert turn is not None
    return turn


async def count(database: Database) -> UnpromptedAnswers:
    async with database.tenant(THREAD.tenant_id) as session:
        return await tally(session, tenant_id=THREAD.tenant_id, since=SINCE)


async def test_only_answers_without_a_mention_count(database: Database) -> None:
    for number, kind in enumerate(get_args(IncomingKind)):
        await ask(database, f"1.{number}", kind)
    assert await count(database) == UnpromptedAnswers(len(UNMENTIONED), 0)
    assert set(UNMENTIONED) < set(get_args(IncomingKind))


async def test_stopped_and_badly_rated_answers_and_quiet_threads_are_unwanted(database: Database) -> None:
    stores = store_of(database)
    stopped, bad, good = [await ask(database, f"2.{number}", "follow_up", f"2.{number}") for number in range(3)]
    await stores.conversation.rate(bad, bad.author, -1, "")
    await stores.conversation.rate(good, good.author, 1, "")
    mentioned = await ask(database, "2.9", "mention", "2.9")
    await stores.conversation.rate(mentioned, mentioned.author, -1, "")
    async with database.tenant(THREAD.tenant_id) as session:
        await session.execute(text("UPDATE turns SET state = 'cancelled' WHERE turn_id = :id"), {"id": stopped.id})
    assert await count(database) == UnpromptedAnswers(3, 2)

    for number in range(3):
        muted = await ask(database, f"3.{number}", "follow_up", "3.0")
    async with database.tenant(THREAD.tenant_id) as session:
        assert await threads.set_quiet(session, key=muted.thread, quiet=True)
    assert await count(database) == UnpromptedAnswers(6, 3), "only the last answer in the thread led to the command"


@pytest.mark.parametrize(
    ("counted", "told"),
    [
        (UnpromptedAnswers(), ""),
        (
            UnpromptedAnswers(1200, 3),
            "Answers without a mention: 1,200. Stopped, rated down or followed by /quiet: 3.",
        ),
    ],
)
def test_costs_tell_the_count(counted: UnpromptedAnswers, told: str) -> None:
    assert unasked(counted) == told
