"""Routing by the cheap model, with both providers; if it fails, the local router decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.engine.ports.classifier import Verdict
from bot.engine.ports.llm import Event, Meter, Prompt
from bot.engine.routing.local_classifier import LocalClassifier
from bot.llm.model_classifier import RATED_CHARS, ModelClassifier
from bot.types.usage import Call, Tier
from tests.doubles.models import ModelDouble, Reply
from tests.engine.fakes import Writer
from tests.llm.llm_requests import Adapter

LOCAL = LocalClassifier(0.5)
QUESTION = "When may dogs come?"


@pytest.mark.parametrize(
    ("rated", "tier", "sure"), [(1, "cheap", False), (3, "cheap", False), (4, "strong", False), (5, "strong", True)]
)
async def test_the_rating_decides(adapter: Adapter, double: ModelDouble, rated: int, tier: Tier, sure: bool) -> None:
    double.script = lambda _: Reply(f'{{"difficulty": {rated}}}')
    calls: list[Call] = []
    verdict = await ModelClassifier(adapter, LOCAL)(QUESTION, query=QUESTION, meter=calls.append)
    assert (verdict.tier, verdict.sure) == (tier, sure)
    assert f"rates the question {'hard' if tier == 'strong' else 'simple'}: {rated} of 5" in verdict.reason
    assert [(call.purpose, call.tier) for call in calls] == [("route", "cheap")]
    assert calls[0].usage.total_tokens > 0
    assert double.requests[0].model == adapter.model("cheap")


async def test_a_long_question_is_cut_for_the_judge(adapter: Adapter, double: ModelDouble) -> None:
    double.script = lambda _: Reply('{"difficulty": 2}')
    await ModelClassifier(adapter, LOCAL)("y" * 3 * RATED_CHARS, query="", meter=lambda _: None)
    said = double.requests[0].messages[-1][1]
    assert "y" * RATED_CHARS in said
    assert "y" * (RATED_CHARS + 1) not in said


@pytest.mark.parametrize(
    "reply", [Reply("I would say it is hard."), Reply('{"difficulty": 9}'), Reply("x", fault="reset")]
)
async def test_what_fails_is_decided_locally_and_billed(adapter: Adapter, double: ModelDouble, reply: Reply) -> None:
    double.script = lambda _: reply
    calls: list[Call] = []
    verdict = await ModelClassifier(adapter, LOCAL)(QUESTION, query=QUESTION, meter=calls.append)
    assert verdict.tier == LOCAL.judge(QUESTION).tier
    assert verdict.reason.startswith("the question looks simple")
    assert "(the routing model failed: " in verdict.reason
    assert {call.purpose for call in calls} == {"route"}


async def silent(_: Prompt) -> AsyncIterator[str | Event]:
    """A provider that never responds."""
    await asyncio.Event().wait()
    yield ""


async def test_a_judge_that_says_nothing_is_not_waited_for() -> None:
    calls: list[Call] = []
    judge = ModelClassifier(Writer([silent]), LOCAL, timeout=0.05)
    verdict = await judge(QUESTION, query=QUESTION, meter=calls.append)
    assert verdict.tier == "cheap"
    assert verdict.reason.endswith("(the routing model failed: no answer within 0.05 s)")
    assert [call.status for call in calls] == ["cancelled"]


async def test_a_cancelled_question_is_not_answered_by_the_fallback() -> None:
    async def never(question: str, *, query: str, meter: Meter) -> Verdict:
        raise AssertionError("asked in vain")

    judge, calls = ModelClassifier(Writer([silent]), never), list[Call]()
    task = asyncio.create_task(judge(QUESTION, query=QUESTION, meter=calls.append))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [call.status for call in calls] == ["cancelled"]
