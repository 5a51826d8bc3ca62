"""Exact token counts near the context limit, with the real SDKs: only near it, and before anything is charged."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from bot.errors import ContextTooLong
from bot.llm.prices import Prices
from bot.llm.providers.anthropic import AnthropicLLM
from bot.llm.providers.call_metering import estimate_prompt
from bot.llm.providers.openai import OpenAILLM
from bot.llm.providers.provider_call import Timeouts
from bot.llm.resilient import ResilientLLM
from bot.llm.tokens import TokenCounter, max_tokens_per_character
from tests.doubles.models import ModelDouble, Reply
from tests.doubles.models_http import closed_port
from tests.llm.llm_requests import ANSWER, ANTHROPIC_MODELS, OPENAI_MODELS, accounting, ask, openai, prompt

LONG = prompt("The handbook says a word or two about every day of leave. " * 40)


def counting(double: ModelDouble, limit: int, *, url: str | None = None, patience: float = 60.0) -> AnthropicLLM:
    small = replace(accounting("anthropic"), context=lambda _: limit)
    where = url or double.anthropic_url
    return AnthropicLLM(double.anthropic_key, ANTHROPIC_MODELS, small, base_url=where, connect_timeout=patience)


def paths(double: ModelDouble) -> list[str]:
    return [seen.path.rpartition("/")[2] for seen in double.requests]


def estimate() -> int:
    return estimate_prompt(LONG, ANTHROPIC_MODELS["cheap"], TokenCounter())


async def test_far_from_the_limit_nobody_is_asked(double: ModelDouble) -> None:
    double.script = lambda _: Reply(ANSWER)
    llm = counting(double, estimate() * 2)
    assert (await ask(llm, LONG)).text == ANSWER
    await llm.aclose()
    assert paths(double) == ["messages"]


async def test_near_the_limit_the_exact_count_lets_through_what_fits(double: ModelDouble) -> None:
    """The estimate is too high: without an exact count the prompt would not fit."""
    double.script = lambda _: Reply(ANSWER)
    llm = counting(double, estimate() - 1)
    assert (await ask(llm, LONG)).text == ANSWER
    exact = await llm.count(LONG)
    await llm.aclose()
    assert paths(double) == ["count_tokens", "messages", "count_tokens"]
    assert exact == double.bill[0].prompt.total < estimate()


async def test_what_does_not_fit_is_not_sent_and_costs_nothing(double: ModelDouble) -> None:
    llm = counting(double, 300)
    asked = await ask(llm, LONG)
    await llm.aclose()
    assert isinstance(asked.error, ContextTooLong)
    assert paths(double) == ["count_tokens"]
    assert double.bill == []
    assert [(call.usage.total_tokens, call.status) for call in asked.calls] == [(0, "error")]


async def test_a_count_teaches_the_estimate(double: ModelDouble) -> None:
    llm = counting(double, 10**6)
    before = estimate_prompt(LONG, ANTHROPIC_MODELS["cheap"], llm.accounting.counter)
    exact = await llm.count(LONG) or 0
    await llm.aclose()
    after = estimate_prompt(LONG, ANTHROPIC_MODELS["cheap"], llm.accounting.counter)
    assert abs(after - exact * 1.05) < abs(before - exact * 1.05)


@pytest.mark.parametrize("how", ["closed", "page", "key"])
async def test_a_count_that_fails_is_nothing(double: ModelDouble, web_page: str, how: str) -> None:
    url = {"closed": f"http://127.0.0.1:{closed_port()}", "page": web_page, "key": double.anthropic_url}[how]
    llm = counting(double, 300, url=url)
    double.anthropic_key = "another"
    assert await llm.count(LONG) is None
    await llm.aclose()


async def test_a_silent_count_is_not_waited_for(double: ModelDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(exchange: object, seen: object) -> None:
        await exchange.wait(60)  # type: ignore[attr-defined]

    monkeypatch.setattr(double, "_count", silent)
    double.script = lambda _: Reply(ANSWER)
    llm = counting(double, estimate() - 1, patience=0.2)
    assert (await ask(llm, LONG)).text == ANSWER
    await llm.aclose()


async def test_where_nobody_counts_the_provider_has_the_last_word(double: ModelDouble) -> None:
    small = replace(accounting("openai"), context=lambda _: 300)
    llm = OpenAILLM(double.openai_key, OPENAI_MODELS, small, base_url=double.openai_url)
    double.context_limit = 300
    asked = await ask(llm, LONG)
    assert await llm.count(LONG) is None
    await llm.aclose()
    assert isinstance(asked.error, ContextTooLong)
    assert double.bill == []


def test_contexts_are_listed_and_unknown_ones_unknown() -> None:
    context = partial(Prices().context, "anthropic")
    assert context("claude-haiku-5-5") == 1_000_000
    assert context("claude-of-nobody") is None


@pytest.mark.parametrize("text", ["a", "…", "東", "é", "1", "🙂", "\n"])
def test_no_character_is_counted_higher_than_the_first_look_assumes(text: str) -> None:
    counter = TokenCounter()
    for _ in range(50):
        counter.learn("m", counter.count(text * 50, "m"), 10**6)
    assert counter.count(text * 50, "m") <= 50 * max_tokens_per_character() + 1


async def test_the_resilient_llm_counts_with_whom_it_asks_first(double: ModelDouble) -> None:
    first, second = counting(double, 10**6), openai(double)
    assert await ResilientLLM({"cheap": [first, second]}, Timeouts()).count(LONG) == await first.count(LONG)
    assert await ResilientLLM({"cheap": [second, first]}, Timeouts()).count(LONG) is None
    await first.aclose()
    await second.aclose()
