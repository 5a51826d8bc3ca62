"""Structured output with both providers: enforced by the provider if it can, otherwise corrected by a retry."""

from __future__ import annotations

import json
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from bot.errors import LLMError
from bot.llm.quoting.extractive import ExtractiveLLM
from bot.llm.structured import complete, strict
from bot.llm.tokens import TokenCounter
from bot.types.usage import Call
from tests.doubles.models import ModelDouble, Reply, Seen
from tests.llm.llm_requests import Adapter, openai, prompt


class Reason(BaseModel):
    quote: str = Field(max_length=100)


class Verdict(BaseModel):
    """A verdict on an answer."""

    score: int = Field(ge=1, le=5)
    kind: Literal["right", "wrong"] = "right"
    reasons: list[Reason] = []
    note: str | None = None


GOOD = json.dumps({"score": 4, "kind": "right", "reasons": [{"quote": "thirty days"}], "note": None})


async def test_a_fitting_answer_is_the_value(adapter: Adapter, double: ModelDouble) -> None:
    double.script = lambda _: Reply(GOOD)
    calls: list[Call] = []
    verdict = await complete(adapter, prompt(), Verdict, meter=calls.append)
    assert verdict == Verdict(score=4, reasons=[Reason(quote="thirty days")])
    assert len(calls) == 1


async def test_fences_are_taken_off(adapter: Adapter, double: ModelDouble) -> None:
    double.script = lambda _: Reply(f"```json\n{GOOD}\n```\n")
    assert (await complete(adapter, prompt(), Verdict, meter=lambda _: None)).score == 4


@pytest.mark.parametrize("wrong", ["It is fine.", '{"score": 9}', '{"score": 4, "reasons": [{"quote": 5}]}', ""])
async def test_the_model_is_shown_its_fault(adapter: Adapter, double: ModelDouble, wrong: str) -> None:
    double.script = lambda seen: Reply(GOOD if len(seen.messages) > 1 else wrong)
    calls: list[Call] = []
    verdict = await complete(adapter, prompt(), Verdict, meter=calls.append)
    assert verdict.score == 4
    assert len(calls) == 2
    role, words = double.requests[-1].messages[-1]
    assert (role, words.startswith("That does not fit: ")) == ("user", True)


async def test_after_two_corrections_it_is_an_error(adapter: Adapter, double: ModelDouble) -> None:
    double.script = lambda _: Reply('{"score": 0}')
    calls: list[Call] = []
    with pytest.raises(LLMError, match="score: Input should be greater") as caught:
        await complete(adapter, prompt(), Verdict, meter=calls.append)
    assert (caught.value.kind, len(calls)) == ("schema", 3)


@pytest.mark.parametrize("stop", ["cut", "refused"])
async def test_cut_and_refused_answers_are_not_parsed(adapter: Adapter, double: ModelDouble, stop: str) -> None:
    double.script = lambda _: Reply(GOOD, stop="cut" if stop == "cut" else "refused")
    with pytest.raises(LLMError) as caught:
        await complete(adapter, prompt(), Verdict, meter=lambda _: None)
    assert caught.value.kind == stop


async def test_openai_is_held_to_the_schema_and_a_compatible_server_is_told() -> None:
    bodies: list[Seen] = []
    for kind in ("openai", "compatible"):
        async with ModelDouble(openai_kind="openai" if kind == "openai" else "compatible") as double:
            double.script = lambda _: Reply(GOOD)
            llm = openai(double)
            await complete(llm, prompt(), Verdict, meter=lambda _: None)
            await llm.aclose()
            bodies += double.requests
    own, compatible = bodies
    assert own.body["response_format"]["json_schema"]["strict"] is True
    assert "JSON schema" not in own.system
    assert "response_format" not in compatible.body
    assert '"score"' in compatible.system


async def test_without_a_model_it_is_an_error() -> None:
    with pytest.raises(LLMError):
        await complete(ExtractiveLLM(TokenCounter()), prompt(), Verdict, meter=lambda _: None)


def test_bounds_and_defaults_are_left_out_and_checked_afterwards() -> None:
    made = strict(Verdict.model_json_schema())
    assert made["required"] == ["score", "kind", "reasons", "note"]
    assert made["properties"]["score"] == {"type": "integer"}
    assert made["$defs"]["Reason"]["additionalProperties"] is False
