"""When no model can answer, the documents are quoted; it costs nothing, and only operators learn what to correct."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bot.app import App
from bot.commands import registry as commands
from bot.commands.base import Context
from bot.llm.user_messages import NO_USABLE_MODEL_INTRO, NOTHING_FOUND_WITHOUT_USABLE_MODEL, OUTAGE_INTRO
from bot.types.audience import MEMBERS
from bot.types.conversation import LOCAL_TENANT, Author
from tests.app.conftest import ask, key
from tests.app.test_answers import rows_of
from tests.doubles.models import ModelDouble, Reply

QUESTION = "What may a hotel in Lisbon cost?"
CURES = ("API_KEY", "PARLEY_", "BASE_URL", "Check", "credit", "401")


def _why(app: App, *, is_admin: bool) -> Context:
    place = key()
    author = Author("ann", "Ann", is_admin=is_admin)
    return Context(LOCAL_TENANT, "web", place.channel_id, place.thread_id, author, app.services, audience=MEMBERS)


@pytest.mark.parametrize("status", [400, 401, 402, 404, 429, 500, 529])
async def test_the_documents_are_quoted_and_nobody_pays(
    app_with_models: App, models: ModelDouble, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    models.script = lambda _: Reply(fault="status", status=status, retry_after="60")
    outcome = await ask(app_with_models, QUESTION)
    assert outcome.state == "done"
    intro = NO_USABLE_MODEL_INTRO if status in (401, 402, 404) else OUTAGE_INTRO
    assert outcome.answer.startswith(intro)
    quoted = "A hotel in Lisbon may cost 180 EUR a night. In Oslo it may cost 190 EUR."
    assert [citation.quote for citation in outcome.citations] == [quoted]
    assert not any(cure in outcome.answer for cure in CURES)
    calls = await rows_of(app_with_models, outcome)
    assert {(call.input_tokens, call.completion_tokens, call.cost_usd) for call in calls} == {(0, 0, 0)}
    assert [call.model for call in calls][-1] == "extractive"
    assert len(calls) > 1
    assert (outcome.usage.total_tokens, outcome.cost_usd) == (0, Decimal(0))
    state = await app_with_models.services.stores.budgets.budget(LOCAL_TENANT, "ann")
    assert (state.used, state.reserved) == (0, 0)
    assert models.bill == []
    assert "no model can answer, so passages are quoted" in caplog.text


async def test_only_operators_learn_what_to_correct(app_with_models: App, models: ModelDouble) -> None:
    models.anthropic_key = models.openai_key = "another"
    outcome = await ask(app_with_models, QUESTION)
    asker = await commands.run("why", outcome.turn_id, _why(app_with_models, is_admin=False))
    admin = await commands.run("why", outcome.turn_id, _why(app_with_models, is_admin=True))
    assert "rejected the key" in admin.text
    assert "No model could answer" in admin.text
    assert "No model could answer" not in asker.text
    assert "extractive, ok" in asker.text


async def test_what_a_broken_stream_cost_is_billed_and_the_rest_is_released(
    app_with_models: App, models: ModelDouble
) -> None:
    models.script = lambda _: Reply("A hotel in Lisbon may cost", fault="reset", after=1)
    outcome = await ask(app_with_models, QUESTION)
    assert outcome.answer.startswith(OUTAGE_INTRO)
    calls = await rows_of(app_with_models, outcome)
    assert sum(call.input_tokens > 0 for call in calls) == len(calls) - 1
    state = await app_with_models.services.stores.budgets.budget(LOCAL_TENANT, "ann")
    assert (state.used, state.reserved) == (outcome.usage.total_tokens, 0)


async def test_quotes_of_an_outage_are_not_given_again(app_with_models: App, models: ModelDouble) -> None:
    models.script = lambda _: Reply(fault="status", status=401)
    quoted = await ask(app_with_models, QUESTION, "t1")
    models.script = lambda _: Reply("It may cost 180 EUR a night [1].")
    written = await ask(app_with_models, QUESTION, "t2")
    assert quoted.answer.startswith(NO_USABLE_MODEL_INTRO)
    assert (written.cached, written.answer) == (False, "It may cost 180 EUR a night [1].")
    again = await ask(app_with_models, QUESTION, "t3")
    assert (again.cached, again.answer) == (True, written.answer)


async def test_where_nothing_can_be_quoted_the_asker_is_told_that_an_admin_must_act(
    app_with_models: App, models: ModelDouble
) -> None:
    models.script = lambda _: Reply(fault="status", status=401)
    outcome = await ask(app_with_models, "Who won the football cup in 1954?")
    assert outcome.answer == NOTHING_FOUND_WITHOUT_USABLE_MODEL
