"""Tests the router in the whole app: by the question, by a model, or set by the operator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from bot.app import App
from bot.config import Settings
from bot.types.conversation import LOCAL_TENANT
from bot.types.turns import Outcome
from knowledge.ports import EncodeKind
from tests.app.conftest import ask, open_ingested_app
from tests.doubles.models import ModelDouble, Reply, Seen

HARD = "Compare the rules for leave and for dogs, and explain step by step why they differ."
EASY = "When may dogs come?"

Encode = Callable[[Sequence[str], EncodeKind], Awaitable[object]]


@pytest.fixture
async def app(both: Settings, handbook: Path, request: pytest.FixtureRequest) -> AsyncIterator[App]:
    """Yield the app with both providers and the settings of the test."""
    async for made in open_ingested_app(both.model_copy(update=request.param), handbook):
        yield made


def routed(outcome: Outcome) -> tuple[str, str]:
    """Return the tier and the reason of an answer."""
    assert outcome.route is not None
    return outcome.route.tier, outcome.route.reason


@pytest.mark.parametrize("app", [{}], indirect=True)
async def test_meaning_and_form_decide_the_tier_and_the_trace_gives_the_reason(app: App) -> None:
    for question, tier, words in (
        (EASY, "cheap", "looks simple: its score"),
        (HARD, "strong", "looks hard: its score"),
    ):
        outcome = await ask(app, question, question)
        assert routed(outcome)[0] == tier
        assert words in routed(outcome)[1]
        assert "form alone" not in routed(outcome)[1]
        assert outcome.trace["route"]["reason"] == routed(outcome)[1]


@pytest.mark.parametrize("app", [{}], indirect=True)
async def test_a_question_is_encoded_once_for_router_and_search(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def watched(encode: Encode) -> Encode:
        async def encode_and_note(texts: Sequence[str], kind: EncodeKind) -> object:
            asked.extend(texts if kind == "query" else ())
            return await encode(texts, kind)

        return encode_and_note

    for name in ("encode", "encode_tokens"):
        monkeypatch.setattr(app.embedder, name, watched(getattr(app.embedder, name)))
    outcome = await ask(app, EASY)
    assert outcome.trace["passages"]
    assert "form alone" not in routed(outcome)[1]
    assert asked == [EASY]


@pytest.mark.parametrize("app", [{"router": "strong"}], indirect=True)
async def test_the_operator_can_set_one_tier(app: App) -> None:
    assert routed(await ask(app, EASY)) == ("strong", "the operator has set every question to the strong model")


@pytest.mark.parametrize("app", [{"router": "model"}], indirect=True)
async def test_the_cheap_model_can_route_and_is_billed_with_the_answer(app: App, models: ModelDouble) -> None:
    def script(seen: Seen) -> Reply:
        rating = any("<question>" in said for _, said in seen.messages)
        return Reply('{"difficulty": 4}' if rating else "Dogs are welcome in the office on Fridays [1].")

    models.script = script
    outcome = await ask(app, EASY)
    assert routed(outcome)[0] == "strong"
    assert "rates the question hard: 4 of 5" in routed(outcome)[1]
    assert [call.purpose for call in outcome.calls] == ["route", "answer"]
    state = await app.services.stores.budgets.budget(LOCAL_TENANT, "ann")
    assert (state.used, state.reserved) == (outcome.usage.total_tokens, 0)
