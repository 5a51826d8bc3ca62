"""The number of database round trips between a question and its model call: counted, not timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from bot.config import Settings
from bot.engine.engine import Engine
from bot.store.database import pipelined_transactions
from bot.store.database.pipelined_transactions import Statement
from bot.store.database.session import Database
from bot.store.stores import open_stores
from bot.types.usage import Call, Usage
from tests.engine.fakes import Library, Screen, Writer, passage, says
from tests.store.test_turns import THREAD, incoming

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


ELSEWHERE = replace(THREAD, thread_id="another")
OPENED = Call("answer", "p", "m", "cheap", Usage(100), None, "", "open", 0.0, id="1" * 32)


class Trips:
    """Records every round trip, by the first words of its statements."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[str] = []
        sent = pipelined_transactions._sent

        async def counted(
            connection: Any, before: Sequence[str], statements: Sequence[Statement], after: Sequence[str]
        ) -> list[list[Any]]:
            self.made.append(" + ".join(" ".join(one.sql.split()[:3]) for one in statements))
            return await sent(connection, before, statements, after)

        monkeypatch.setattr(pipelined_transactions, "_sent", counted)

        @event.listens_for(database.engine.sync_engine, "before_cursor_execute")
        def executed(connection: Any, cursor: Any, statement: str, *_: object) -> None:
            self.made.append(statement)


async def test_a_question_reaches_its_model_in_five_round_trips(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Settings(_env_file=None, answer_cache_hours=0)
    stores = open_stores(database, made, count_tokens=len, clock=lambda: NOW, expected=lambda _: 5000)
    await stores.inbox.accept(incoming("0"))
    trips = Trips(database, monkeypatch)
    asked: list[int] = []

    class Opens(Writer):
        async def stream(self, prompt: Any, *, meter: Any) -> Any:
            await meter.opens(OPENED)
            asked.append(len(trips.made))
            async for one in super().stream(prompt, meter=meter):
                yield one

    engine = Engine(
        stores=stores,
        search=Library((passage("Thirty days."),)),
        llm=Opens([lambda _: says("Thirty days [1].")]),
        settings=made,
        count_tokens=len,
    )
    turn = await stores.inbox.accept(incoming("1", ELSEWHERE))
    assert turn is not None
    assert len(trips.made) == 1, trips.made
    outcome = await engine.handle(turn, Screen())
    assert outcome.state == "done", outcome.refused
    assert asked == [5], trips.made
    assert len(trips.made) == 8, f"two store the answer, one records that it is shown: {trips.made}"
