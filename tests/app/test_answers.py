"""Tests answers of the whole app, with real SDKs and the provider double."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from bot.app import App
from bot.commands.ask import NullSurface
from bot.engine import user_messages
from bot.errors import NotAllowed, UsageError
from bot.platforms.web.history import message_views
from bot.store import tenants
from bot.store.browser_page import page_conversations
from bot.store.budgets import ledger
from bot.types.audience import MEMBERS
from bot.types.conversation import LOCAL_TENANT, Author
from bot.types.settings import TenantSettings
from bot.types.turns import Outcome, Turn
from bot.types.usage import Tier
from tests.app.conftest import ask, incoming, key
from tests.doubles.models import ModelDouble, Reply, Seen


async def rows_of(app: App, outcome: Outcome) -> Sequence[Any]:
    async with app.database.tenant(LOCAL_TENANT) as session:
        return await ledger.of_turn(session, tenant_id=LOCAL_TENANT, turn_id=outcome.turn_id)


async def everything_billed(app: App) -> tuple[int, Decimal]:
    async with app.database.tenant(LOCAL_TENANT) as session:
        row = (
            await session.execute(
                text(
                    "SELECT coalesce(sum(input_tokens + cached_tokens + cache_write_tokens + cache_write_long_tokens"
                    " + completion_tokens), 0)::bigint AS tokens, coalesce(sum(cost_usd), 0) AS usd FROM ledger"
                )
            )
        ).one()
    return row.tokens, row.usd


def bill_of(models: ModelDouble) -> int:
    return sum(line.prompt.total + line.output for line in models.bill)


async def test_a_model_writes_with_citations_that_hold(app_with_models: App, models: ModelDouble) -> None:
    models.script = lambda _: Reply("A hotel in Lisbon may cost 180 EUR a night [1]. Bring a towel [9].")
    outcome = await ask(app_with_models, "What may a hotel in Lisbon cost?")
    assert outcome.answer == "A hotel in Lisbon may cost 180 EUR a night [1]. Bring a towel."
    (citation,) = outcome.citations
    assert citation.quote == "A hotel in Lisbon may cost 180 EUR a night."
    assert outcome.route is not None
    assert (outcome.route.tier, outcome.route.model) == ("cheap", "claude-haiku-5-5")


async def test_the_ledger_is_the_providers_bill_to_the_token(app_with_models: App, models: ModelDouble) -> None:
    for question in ("What may a hotel in Lisbon cost?", "And in Oslo?", "Who may bring dogs, and when?"):
        await ask(app_with_models, question)
    billed, usd = await everything_billed(app_with_models)
    assert billed == bill_of(models) > 0
    assert round(usd, 9) == round(models.dollars, 9)
    state = await app_with_models.services.stores.budgets.budget(LOCAL_TENANT, "ann")
    assert (state.used, state.reserved) == (billed, 0)


async def test_a_thread_reads_its_prefix_from_the_cache(app_with_models: App, models: ModelDouble) -> None:
    outcomes = [await ask(app_with_models, f"What about rule number {n} of the hotels?") for n in range(4)]
    assert outcomes[0].usage.cached_tokens == 0
    assert outcomes[0].usage.cache_write_long_tokens > 0
    reads = [outcome.usage.cached_tokens for outcome in outcomes]
    assert reads[1] > 0
    assert reads == sorted(reads)
    seen = models.requests[-1]
    assert any("rule number 0" in said for _, said in seen.messages)
    assert sum("<passages " in said for _, said in seen.messages) == 1


async def test_complex_questions_and_explicit_requests_use_the_strong_model(app_with_models: App) -> None:
    complex_question = "Compare the rules for leave and for dogs, and explain step by step why they differ."
    outcome = await ask(app_with_models, complex_question, "a")
    assert outcome.route is not None
    assert outcome.route.model == "claude-sonnet-5-5"
    wished = await ask(app_with_models, "When may dogs come?", "b", wish="strong")
    assert wished.route is not None
    assert (wished.route.model, wished.route.reason) == ("claude-sonnet-5-5", "asked for the strong model")


async def test_a_double_click_asks_again_once(app: App) -> None:
    first = await ask(app, "What may a hotel in Lisbon cost?")

    async def click(wish: Tier | None = None, by: str = "ann") -> Turn | UsageError:
        person = Author(by, by.title())
        try:
            return await app.dispatcher.repeat(
                first.turn_id, person, tenant_id=LOCAL_TENANT, wish=wish, audience=MEMBERS
            )
        except UsageError as refused:
            return refused

    clicked = await asyncio.gather(click(), click(), click(by="bob"), click("strong"))
    accepted = [turn for turn in clicked if isinstance(turn, Turn)]
    assert sorted(turn.wish or "" for turn in accepted) == ["", "strong"]
    assert {str(one) for one in clicked if isinstance(one, UsageError)} == {user_messages.ASKED_AGAIN}
    assert isinstance(await click(), UsageError), "it is still being answered"
    # All at once: each waits for those that were accepted before it.
    answers = await asyncio.gather(*(app.dispatcher.start(turn, NullSurface()) for turn in accepted))
    assert [answer.refused for answer in answers] == [None, None]
    await app.dispatcher.settled()
    later = await click()
    assert isinstance(later, Turn), "an answer can be asked for again"
    assert (await app.dispatcher.start(later, NullSurface())).refused is None
    await app.dispatcher.settled()


async def test_the_other_provider_answers_when_a_stream_breaks(app_with_models: App, models: ModelDouble) -> None:
    def script(seen: Seen) -> Reply:
        if seen.provider == "anthropic":
            return Reply("Half of an answ", fault="reset")
        return Reply("Dogs are welcome in the office on Fridays [1].")

    models.script = script
    outcome = await ask(app_with_models, "When may dogs come?")
    assert outcome.state == "done"
    assert outcome.answer == "Dogs are welcome in the office on Fridays [1]."
    calls = await rows_of(app_with_models, outcome)
    assert {(row.provider, row.status) for row in calls} >= {("anthropic", "error"), ("openai", "ok")}
    assert all(row.estimated for row in calls if row.status == "error")


async def test_a_stopped_answer_is_billed_as_an_estimate(app_with_models: App, models: ModelDouble) -> None:
    models.script = lambda _: Reply("Dogs are welcome. " * 200, after=10, held=asyncio.Event())
    turn = await app_with_models.dispatcher.accept(incoming("When may dogs come?", key()))
    assert turn is not None
    task = app_with_models.dispatcher.start(turn, NullSurface())
    while not (models.requests and models.requests[-1].pieces_sent == 10):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    await app_with_models.dispatcher.stop(turn.id, Author("ann", "Ann"))
    outcome = await task
    assert outcome.state == "cancelled"
    async with app_with_models.database.tenant(LOCAL_TENANT) as session:
        stored = await page_conversations.messages(session, tenant_id=LOCAL_TENANT, thread=turn.thread)
    answer = message_views("thread", stored, [], strong_model=None)[-1]
    assert (answer.role, "Dogs are welcome." in answer.blocks[0], "Stopped." in answer.blocks[-1]) == (
        "assistant",
        True,
        True,
    )
    (row,) = await rows_of(app_with_models, outcome)
    assert (row.status, row.estimated) == ("cancelled", True)
    assert row.input_tokens + row.cached_tokens + row.cache_write_tokens > 0
    assert row.completion_tokens > 0
    state = await app_with_models.services.stores.budgets.budget(LOCAL_TENANT, "ann")
    assert state.reserved == 0
    assert state.used == outcome.usage.total_tokens


SUMMARY_REQUEST = "You keep the memory of this conversation"
"""A part of every summary request."""


async def test_a_long_thread_is_summarized_and_later_prompts_use_the_summary(
    app_with_models: App, models: ModelDouble
) -> None:
    def script(seen: Seen) -> Reply:
        if SUMMARY_REQUEST in seen.messages[-1][1]:
            return Reply("They spoke of hotels at length.")
        return Reply("Many words about hotels. " * 60 + "[1]")

    models.script = script
    for n in range(9):
        await ask(app_with_models, f"Tell me more about hotels, part {n}, please.")
    async with app_with_models.database.tenant(LOCAL_TENANT) as session:
        summary, upto = (await session.execute(text("SELECT summary, summary_upto FROM threads"))).one()
        purposes = set(await session.scalars(text("SELECT purpose FROM ledger")))
    assert "They spoke of hotels at length." in summary
    assert upto > 0
    assert purposes == {"answer", "summary"}
    last = [seen for seen in models.requests if SUMMARY_REQUEST not in seen.messages[-1][1]][-1]
    assert any("They spoke of hotels at length." in said for _, said in last.messages)
    billed, _ = await everything_billed(app_with_models)
    assert billed == bill_of(models)


async def test_with_no_key_the_answer_quotes_and_says_so(app: App) -> None:
    outcome = await ask(app, "When are dogs welcome in the office?")
    assert "No model is configured" in outcome.answer
    assert "Fridays" in outcome.answer
    assert outcome.citations
    for citation in outcome.citations:
        assert citation.quote
    assert outcome.cost_usd == 0


async def test_two_concurrent_questions_are_answered_in_order(app: App) -> None:
    first = await app.dispatcher.accept(incoming("When are dogs welcome?", key()))
    second = await app.dispatcher.accept(incoming("And on a lead?", key()))
    assert first is not None
    assert second is not None
    late, early = app.dispatcher.start(second, NullSurface()), app.dispatcher.start(first, NullSurface())
    await asyncio.gather(late, early)
    async with app.database.tenant(LOCAL_TENANT) as session:
        finished = list(await session.scalars(text("SELECT turn_id::text FROM turns ORDER BY finished_at")))
    assert finished == [first.id, second.id]


async def test_an_orphaned_question_is_answered(app: App) -> None:
    turn = await app.services.stores.inbox.accept(incoming("When are dogs welcome?", key()))
    assert turn is not None
    async with app.database.tenant(LOCAL_TENANT) as session:
        await session.execute(text("UPDATE turns SET holder = NULL"))
    assert await app.dispatcher.resume("web", lambda _: NullSurface()) == 0
    async with app.database.tenant(LOCAL_TENANT) as session:
        await session.execute(text("UPDATE turns SET queued_at = now() - interval '1 minute'"))
    assert await app.dispatcher.resume("web", lambda _: NullSurface()) == 1
    await app.dispatcher.settled()
    async with app.database.tenant(LOCAL_TENANT) as session:
        assert await session.scalar(text("SELECT state FROM turns")) == "done"


async def test_only_the_asker_and_admins_can_stop(app_with_models: App, models: ModelDouble) -> None:
    models.script = lambda _: Reply("Dogs are welcome. " * 100, after=10, held=asyncio.Event())
    turn = await app_with_models.dispatcher.accept(incoming("When may dogs come?", key()))
    assert turn is not None
    task = app_with_models.dispatcher.start(turn, NullSurface())
    with pytest.raises(NotAllowed, match="Only the asker or an admin can stop"):
        await app_with_models.dispatcher.stop(turn.id, Author("bob", "Bob"))
    await app_with_models.dispatcher.stop(turn.id, Author("boss", "Boss", is_admin=True))
    assert (await task).state == "cancelled"


async def test_an_admin_of_the_workspace_can_stop_and_forget(app_with_models: App, models: ModelDouble) -> None:
    models.script = lambda _: Reply("Dogs are welcome. " * 100, after=10, held=asyncio.Event())
    turn = await app_with_models.dispatcher.accept(incoming("When may dogs come?", key()))
    assert turn is not None
    task, bob = app_with_models.dispatcher.start(turn, NullSurface()), Author("bob", "Bob")
    for doing in (app_with_models.dispatcher.stop(turn.id, bob), _forgotten(app_with_models, turn.id, bob)):
        with pytest.raises(NotAllowed):
            await doing
    async with app_with_models.database.tenant(LOCAL_TENANT) as session:
        made = TenantSettings(admins=("bob",))
        await tenants.set_settings(session, tenant_id=LOCAL_TENANT, platform="web", change=lambda _: made)
    await app_with_models.dispatcher.stop(turn.id, bob)
    assert (await task).state == "cancelled"
    assert [gone.id for gone in await _forgotten(app_with_models, turn.id, bob)] == [turn.id]


async def _forgotten(app: App, turn_id: str, by: Author) -> Sequence[Turn]:
    return await app.dispatcher.forget(turn_id, by, tenant_id=LOCAL_TENANT, surface_for=lambda _: NullSurface())


async def test_background_tasks_can_be_cancelled_early_and_their_errors_are_only_logged(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    async def refused() -> None:
        raise NotAllowed("not now")

    async def broken() -> None:
        raise RuntimeError("by surprise")

    app.dispatcher._runner._in_background(broken(), "never begun")
    (task,) = app.dispatcher._runner._background
    task.cancel()
    del task
    await app.dispatcher.settled()
    gc.collect()
    assert _runner_log(caplog) == set()
    app.dispatcher._runner._in_background(refused(), "first")
    app.dispatcher._runner._in_background(broken(), "second")
    await app.dispatcher.settled()
    assert _runner_log(caplog) == {"first: not now", "second failed"}


def _runner_log(caplog: pytest.LogCaptureFixture) -> set[str]:
    return {record.getMessage() for record in caplog.records if record.name == "bot.engine.dispatch.turn_runner"}
