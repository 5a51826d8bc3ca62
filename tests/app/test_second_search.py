"""A second round of searches in the whole app: every call of it is on the bill once, however the answer ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import text

from benchmarks.shared.harness import rule_passage
from bot.app import App, Overrides, open_app
from bot.commands.ask import NullSurface
from bot.config import Settings
from bot.engine.ports.budgets import Budgets
from bot.engine.ports.search import Search
from bot.engine.ports.stores import Stores
from bot.store.budgets import ledger
from bot.types.conversation import LOCAL_TENANT, Author
from bot.types.turns import Outcome, Turn
from bot.types.usage import Call, Reservation
from knowledge.types.scope import Scope
from knowledge.types.search_results import Found
from tests.app.conftest import ask, incoming, key
from tests.doubles.models import ModelDouble, Reply, Seen

QUESTION = "Who approves travel for the team that builds Heron?"
NEXT = "Who leads the Delta team?"
TEAM = rule_passage("Heron is built by the Delta team.")
LEAD = replace(rule_passage("Mira Voss leads Delta and approves its travel."), chunk_id=2, document_id="d2")
PLAN = json.dumps({"missing": "who leads Delta", "searches": [NEXT]})
ANSWER = "Mira Voss leads Delta and approves its travel [2]."


@dataclass
class GatedSearch:
    """Finds who leads the team in the second round only, which waits for ``gate``. ``reached``: it is waiting."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    queries: list[str] = field(default_factory=list)

    async def __call__(self, query: str, scope: Scope, *, k: int = 5, earlier: Sequence[str] = ()) -> Found:
        self.queries.append(query)
        if "Delta" not in query:
            return Found((TEAM,), {}, 0.9, 1, searched=query)
        self.reached.set()
        await self.gate.wait()
        return Found((LEAD,), {}, 0.9, 1, searched=query)


def is_plan(seen: Seen) -> bool:
    return "searches" in json.dumps(seen.body.get("output_config") or seen.body.get("response_format") or seen.body)


def planning(seen: Seen) -> Reply:
    return Reply(PLAN if is_plan(seen) else ANSWER)


@pytest.fixture(params=["anthropic", "openai"])
def one(request: pytest.FixtureRequest, both: Settings, models: ModelDouble) -> Settings:
    """Return settings with the key of one provider, and time for a busy machine."""
    models.script = planning
    other = "openai_api_key" if request.param == "anthropic" else "anthropic_api_key"
    return both.model_copy(update={other: None, "reranker": "none", "idle_timeout": 600, "total_timeout": 600})


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.engine.answer.second_search.SECONDS", 300.0)


def app_with(settings: Settings, search: GatedSearch, stores: Callable[[Stores], Stores] = lambda port: port) -> Any:
    replaced: Callable[[Search], Search] = lambda _: search  # noqa: E731
    return open_app(settings, overrides=Overrides(search=replaced, stores=stores))


async def rows(app: App, turn_id: str) -> list[Any]:
    async with app.database.tenant(LOCAL_TENANT) as session:
        return await ledger.of_turn(session, tenant_id=LOCAL_TENANT, turn_id=turn_id)


def figures(found: Sequence[Any]) -> list[tuple[int, int]]:
    """Return the prompt and answer tokens of ledger rows."""
    counts = [
        (row.input_tokens + row.cached_tokens + row.cache_write_tokens + row.cache_write_long_tokens, row)
        for row in found
    ]
    return sorted((prompt, row.completion_tokens) for prompt, row in counts)


def billed(models: ModelDouble) -> list[tuple[int, int]]:
    """Return the prompt and answer tokens of the provider's bill."""
    prompts = [
        (one.prompt.plain + one.prompt.read + one.prompt.written + one.prompt.written_long, one) for one in models.bill
    ]
    return sorted((prompt, one.output) for prompt, one in prompts)


async def asked(app: App, *, user: str = "ann") -> Turn:
    turn = await app.dispatcher.accept(incoming(QUESTION, key(), user=user, wish="strong"))
    assert turn is not None
    return turn


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(300):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_both_calls_are_on_the_bill_and_what_was_reserved_is_released(one: Settings, models: ModelDouble) -> None:
    search = GatedSearch()
    search.gate.set()
    async with app_with(one, search) as app:
        outcome = await ask(app, QUESTION, wish="strong")
        assert search.queries == [QUESTION, NEXT]
        assert [citation.quote for citation in outcome.citations] == [LEAD.text]
        found = await rows(app, outcome.turn_id)
        assert [row.purpose for row in found] == ["plan", "answer"]
        assert figures(found) == billed(models)
        state = await app.services.stores.budgets.budget(LOCAL_TENANT, "ann")
        assert (state.used, state.reserved) == (outcome.usage.total_tokens, 0)
        assert state.used == sum(map(sum, billed(models)))


async def test_a_stop_between_the_rounds_keeps_the_cost_of_the_plan(one: Settings, models: ModelDouble) -> None:
    search = GatedSearch()
    async with app_with(one, search) as app:
        turn = await asked(app)
        running = app.dispatcher.start(turn, NullSurface())
        await asyncio.wait_for(search.reached.wait(), 300)
        await app.dispatcher.stop(turn.id, Author("ann", "Ann"))
        outcome: Outcome = await asyncio.wait_for(running, 300)
        assert outcome.state == "cancelled"
        assert figures(await rows(app, turn.id)) == billed(models)
        assert len(models.bill) == 1
        state = await app.services.stores.budgets.budget(LOCAL_TENANT, "ann")
        assert (state.used, state.reserved) == (outcome.usage.total_tokens, 0)


async def test_a_stop_while_the_plan_is_written_costs_what_was_written(one: Settings, models: ModelDouble) -> None:
    held = asyncio.Event()
    models.script = lambda seen: Reply(PLAN, after=1, held=held) if is_plan(seen) else Reply(ANSWER)
    async with app_with(one, GatedSearch()) as app:
        turn = await asked(app)
        running = app.dispatcher.start(turn, NullSurface())
        await until(lambda: _sent(models))
        await app.dispatcher.stop(turn.id, Author("ann", "Ann"))
        outcome: Outcome = await asyncio.wait_for(running, 300)
        assert outcome.state == "cancelled"
        (row,) = await rows(app, turn.id)
        assert (row.purpose, row.status) == ("plan", "cancelled")
        state = await app.services.stores.budgets.budget(LOCAL_TENANT, "ann")
        assert (state.used, state.reserved) == (outcome.usage.total_tokens, 0)
        assert state.used > 0


async def _sent(models: ModelDouble) -> bool:
    return any(seen.pieces_sent for seen in models.requests)


@dataclass
class SpentMeanwhile:
    """Budgets of which another question takes all that is left, just before the plan's call is recorded."""

    port: Budgets

    def __getattr__(self, name: str) -> Any:
        return getattr(self.port, name)

    async def open_call(
        self, turn: Turn, call: Call, reservation: Reservation | None, *, tokens: int | None = None
    ) -> None:
        await self.port.open_call(turn, call, reservation, tokens=10**9 if call.purpose == "plan" else tokens)


async def test_a_budget_that_runs_out_before_the_plan_leaves_the_answer(one: Settings, models: ModelDouble) -> None:
    def stores(ports: Stores) -> Stores:
        return replace(ports, budgets=cast(Budgets, SpentMeanwhile(ports.budgets)))

    async with app_with(one, GatedSearch(), stores) as app:
        outcome = await ask(app, QUESTION, wish="strong")
        assert outcome.state == "done"
        found = {row.purpose: row for row in await rows(app, outcome.turn_id)}
        assert figures([found["plan"]]) == [(0, 0)], "it was refused before it was sent"
        assert figures([found["answer"]]) == billed(models)
        assert any("no second round of searches" in line for line in outcome.trace["restarts"])
        state = await app.services.stores.budgets.budget(LOCAL_TENANT, "ann")
        assert (state.used, state.reserved) == (outcome.usage.total_tokens, 0)


async def test_a_crash_between_the_rounds_leaves_one_row_for_each_call_that_was_billed(
    one: Settings, models: ModelDouble, tmp_path: Path
) -> None:
    dead, alive = GatedSearch(), GatedSearch()
    alive.gate.set()
    other = one.model_copy(update={"data_dir": tmp_path / "other"})
    async with app_with(one, dead) as first, app_with(other, alive) as second:
        turn = await asked(first)
        hung = first.dispatcher.start(turn, NullSurface())
        await asyncio.wait_for(dead.reached.wait(), 300)
        running = second.dispatcher.start(turn, NullSurface())

        async def is_taken_over() -> bool:
            async with first.database.tenant(LOCAL_TENANT) as session:
                await session.execute(text("UPDATE turns SET lease_until = now() - interval '1 s' WHERE fence = 1"))
            return bool(running.done())

        await until(is_taken_over)
        outcome: Outcome = running.result()
        assert outcome.state == "done"
        await assert_each_call_has_a_row(second, turn, models)
        hung.cancel()  # The first process was only paused, and learns that it lost the turn.
        await asyncio.wait([hung])
        await assert_each_call_has_a_row(second, turn, models)


async def assert_each_call_has_a_row(app: App, turn: Turn, models: ModelDouble) -> None:
    """Assert that two plans and one answer were billed, are in the ledger once each, and reserve nothing."""
    found = await rows(app, turn.id)
    assert len(models.bill) == 3
    assert sorted(row.purpose for row in found) == ["answer", "plan", "plan"]
    assert not [row for row in found if row.status == "open"]
    assert set(figures([row for row in found if not row.estimated])) <= set(billed(models))
    state = await app.services.stores.budgets.budget(LOCAL_TENANT, "ann")
    assert (state.used, state.reserved) == (sum(map(sum, figures(found))), 0)
