"""What model servers do that the providers do not: their streams, their errors and their addresses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from bot.engine.ports.llm import TextDelta
from bot.errors import ContextTooLong
from bot.llm.providers.openai import OpenAILLM
from bot.llm.providers.provider_call import Timeouts
from bot.llm.resilient import ResilientLLM
from bot.llm.structured import complete
from tests.doubles.models import ModelDouble, Reply, tokens
from tests.doubles.models_replies import Fault
from tests.llm.llm_requests import ANSWER, Adapter, accounting, anthropic, ask, openai, prompt
from tests.llm.test_structured import Verdict


@pytest.fixture
async def server(double: ModelDouble) -> AsyncIterator[OpenAILLM]:
    llm = openai(double, usage_timeout=0.2)
    yield llm
    await llm.aclose()


def alone(adapter: Adapter, timeouts: Timeouts | None = None) -> ResilientLLM:
    return ResilientLLM({"cheap": [adapter], "strong": [adapter]}, timeouts or Timeouts())


# --- streams


@pytest.mark.parametrize("fault", ["empty_reasons", "no_reason", "whole"])
async def test_an_unusual_stream_is_a_whole_answer(server: OpenAILLM, double: ModelDouble, fault: Fault) -> None:
    double.script = lambda _: Reply(ANSWER, fault=fault)
    asked = await ask(server)
    assert (asked.error, asked.text) == (None, ANSWER)
    assert [ended.reason for ended in asked.ended] == ["complete"]
    [call] = asked.calls
    assert (call.status, call.estimated) == ("ok", False)
    assert call.usage.prompt_tokens == double.bill[0].prompt.total
    assert call.usage.completion_tokens == double.bill[0].output


async def test_json_instead_of_a_stream_is_an_answer_of_anthropic_as_well(double: ModelDouble) -> None:
    double.script = lambda _: Reply(ANSWER, fault="whole", stop="cut")
    llm = anthropic(double)
    asked = await ask(llm)
    await llm.aclose()
    assert (asked.error, asked.text, [ended.reason for ended in asked.ended]) == (None, ANSWER, ["cut"])
    assert not asked.calls[0].estimated


async def test_an_end_mark_without_any_text_is_no_answer(server: OpenAILLM, double: ModelDouble) -> None:
    double.script = lambda _: Reply("", fault="no_reason")
    asked = await ask(server)
    assert asked.error is not None
    assert asked.error.kind == "unfinished"


@pytest.mark.parametrize("shred", [True, False])
async def test_inline_reasoning_is_counted_and_not_shown(server: OpenAILLM, double: ModelDouble, shred: bool) -> None:
    reasoning = "The handbook says thirty. " * 5
    double.script = lambda _: Reply(f"<think>\n{reasoning}</think>\n\n{ANSWER}", shred=shred, piece=7)
    asked = await ask(server)
    assert asked.text == ANSWER
    assert len([event for event in asked.events if isinstance(event, TextDelta)]) > 3
    usage = asked.calls[0].usage
    assert usage.completion_tokens == double.bill[0].output
    assert usage.completion_tokens > usage.reasoning_tokens > tokens(reasoning) / 2


async def test_reasoning_whose_beginning_is_missing_is_discarded(server: OpenAILLM, double: ModelDouble) -> None:
    double.script = lambda _: Reply(f"I look it up.\nThen I answer.\n</think>\n\n{ANSWER}", piece=5)
    asked = await ask(alone(server))
    assert asked.text == ANSWER
    assert len(asked.calls) == 1


async def test_reasoning_alone_is_no_answer_and_is_billed(server: OpenAILLM, double: ModelDouble) -> None:
    double.script = lambda _: Reply("<think>" + "hm " * 100, stop="cut")
    asked = await ask(alone(server))
    assert asked.error is not None
    assert asked.error.kind == "thought"
    assert asked.calls[0].usage.completion_tokens == double.bill[0].output


@pytest.mark.parametrize("fault", ["reset", "stall"])
async def test_reasoning_of_a_broken_stream_is_estimated(adapter: Adapter, double: ModelDouble, fault: Fault) -> None:
    reasoning = "The handbook says thirty days of leave. " * 20
    double.script = lambda _: Reply(ANSWER, reasoning=reasoning, fault=fault, after=1)
    chain = alone(adapter, Timeouts(first_token=5.0, idle=0.3, total=20.0))
    asked = await ask(chain)
    assert asked.error is not None
    usage = asked.calls[0].usage
    assert usage.completion_tokens > usage.reasoning_tokens > tokens(reasoning) / 2


# --- refusals


async def test_a_streamed_refusal_is_a_refusal(server: OpenAILLM, double: ModelDouble) -> None:
    double.script = lambda _: Reply("I cannot help with that.", fault="refusal_field")
    asked = await ask(alone(server))
    assert (asked.text, [ended.reason for ended in asked.ended]) == ("I cannot help with that.", ["refused"])


async def test_a_refused_object_is_paid_once(server: OpenAILLM, double: ModelDouble) -> None:
    double.script = lambda _: Reply("I cannot help with that.", fault="refusal_field")
    with pytest.raises(Exception, match="declined"):
        await complete(alone(server), prompt(), Verdict, meter=lambda _: None)
    assert len(double.requests) == 1


# --- clocks


@pytest.mark.parametrize(("idle", "total"), [(0.3, 30.0), (10.0, 0.6)])
async def test_an_answer_that_waits_for_its_usage_is_not_thrown_away(
    double: ModelDouble, idle: float, total: float
) -> None:
    double.script = lambda _: Reply(ANSWER, fault="late_usage")
    adapter = openai(double, usage_timeout=1.0)
    asked = await ask(alone(adapter, Timeouts(first_token=30.0, idle=idle, total=total)))
    await adapter.aclose()
    assert (asked.error, asked.text) == (None, ANSWER)
    assert [ended.reason for ended in asked.ended] == ["complete"]
    assert [(call.status, call.estimated) for call in asked.calls] == [("ok", True)]


# --- errors in their own words


async def test_a_stream_that_is_cut_off_is_told_as_that(adapter: Adapter, double: ModelDouble) -> None:
    double.script = lambda _: Reply(ANSWER, fault="cut_off", after=2)
    asked = await ask(adapter)
    assert asked.error is not None
    assert (asked.error.kind, asked.error.retryable) == ("unfinished", True)
    assert "stopped in the middle of its answer" in str(asked.error)


EVENTS: list[dict[str, object]] = [
    {"error": {"message": "CUDA out of memory", "type": "internal_error"}},
    {"error": {"message": "CUDA out of memory", "code": 500}},
    {"error": "CUDA out of memory"},
    {"object": "error", "message": "CUDA out of memory", "type": "InternalServerError", "code": 500},
    {"error": {"type": "api_error", "message": "CUDA out of memory"}},
]


@pytest.mark.parametrize("error", EVENTS)
@pytest.mark.parametrize("after", [0, 2])
async def test_an_error_event_keeps_its_own_words(
    adapter: Adapter, double: ModelDouble, error: dict[str, object], after: int
) -> None:
    double.script = lambda _: Reply(ANSWER, fault="error_event", after=after, error=error)
    asked = await ask(adapter)
    assert asked.error is not None
    assert asked.error.kind == "server"
    assert "CUDA out of memory" in str(asked.error)


async def test_an_error_in_json_instead_of_a_stream_keeps_its_words(server: OpenAILLM, double: ModelDouble) -> None:
    double.script = lambda _: Reply(fault="status", status=200, error={"error": {"message": "model is loading"}})
    asked = await ask(server)
    assert asked.error is not None
    assert "model is loading" in str(asked.error)


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (500, {"detail": "CUDA out of memory"}, "CUDA out of memory"),
        (422, {"detail": [{"loc": ["body", "messages"], "msg": "Field required"}]}, "Field required"),
        (400, {"message": "unknown role", "type": "BadRequestError", "code": 400}, "unknown role"),
        (500, {"error": "llama runner process has terminated"}, "llama runner process has terminated"),
    ],
)
async def test_an_error_response_keeps_its_own_words(
    server: OpenAILLM, double: ModelDouble, status: int, error: dict[str, object], words: str
) -> None:
    double.script = lambda _: Reply(fault="status", status=status, error=error)
    asked = await ask(server)
    assert asked.error is not None
    assert words in str(asked.error)


async def test_a_failed_call_without_tokens_costs_nothing_even_where_the_price_is_unknown(double: ModelDouble) -> None:
    double.models.add("my-model")
    llm = OpenAILLM(
        double.openai_key, {"cheap": "my-model", "strong": "my-model"}, accounting("openai"), base_url=double.openai_url
    )
    double.script = lambda _: Reply(fault="status", status=500)
    failed = await ask(llm)
    double.script = lambda _: Reply(ANSWER)
    answered = await ask(llm)
    await llm.aclose()
    assert [call.cost_usd for call in (*failed.calls, *answered.calls)] == [Decimal(0), None]


# --- contexts

CONTEXTS: list[tuple[int, dict[str, object], int | None, int | None]] = [
    (
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size, try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 5120,
                "n_ctx": 4096,
            }
        },
        4096,
        5120,
    ),
    (400, {"error": {"message": "Requested tokens (5120) exceed context window of 4096", "code": None}}, 4096, 5120),
    (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens. However, you requested 5620 tokens "
            "(5120 in the messages, 500 in the completion).",
        },
        4096,
        5620,
    ),
    (
        400,
        {"error": {"message": "The decoder prompt (length 5120) is longer than the maximum model length of 4096."}},
        4096,
        5120,
    ),
    (
        400,
        {
            "error": "Trying to keep the first 5120 tokens when context the overflows. However, the model is loaded "
            "with context length of only 4096 tokens, which is not enough."
        },
        4096,
        5120,
    ),
    (
        422,
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5120 `inputs` "
            "tokens and 500 `max_new_tokens`",
            "error_type": "validation",
        },
        4096,
        5120,
    ),
    (
        400,
        {"error": {"type": "invalid_request_error", "message": "prompt is too long: 205,120 tokens > 200,000 maximum"}},
        200_000,
        205_120,
    ),
    (413, {"error": {"message": "Request Entity Too Large"}}, None, None),
]
"""Status and body as servers send them, the context that the words name, and the prompt that they counted."""


@pytest.mark.parametrize(("status", "error", "limit", "counted"), CONTEXTS)
async def test_the_context_is_read_from_the_error_and_nothing_is_asked_again(
    server: OpenAILLM,
    double: ModelDouble,
    status: int,
    error: dict[str, object],
    limit: int | None,
    counted: int | None,
) -> None:
    double.script = lambda _: Reply(fault="status", status=status, error=error)
    asked = await ask(alone(server))
    assert isinstance(asked.error, ContextTooLong)
    assert (asked.error.limit, asked.error.counted) == (limit, counted)
    assert len(double.requests) == 1


async def test_an_error_that_a_stream_drops_is_asked_for_without_streaming(
    server: OpenAILLM, double: ModelDouble
) -> None:
    error = {"error": {"message": "This model's maximum context length is 2048 tokens", "type": "invalid"}}
    double.script = lambda seen: (
        Reply(fault="empty_stream") if seen.body.get("stream") else Reply(fault="status", status=400, error=error)
    )
    asked = await ask(alone(server))
    assert isinstance(asked.error, ContextTooLong)
    assert asked.error.limit == 2048
    [call] = asked.calls
    assert (call.status, call.usage.total_tokens) == ("error", 0)


async def test_an_answer_that_only_comes_without_streaming_is_an_answer(server: OpenAILLM, double: ModelDouble) -> None:
    double.script = lambda seen: Reply(ANSWER, fault="empty_stream") if seen.body.get("stream") else Reply(ANSWER)
    asked = await ask(server)
    assert (asked.error, asked.text) == (None, ANSWER)
    assert asked.calls[0].usage.completion_tokens == double.bill[-1].output


@pytest.mark.parametrize(
    ("code", "kind"), [("invalid_api_key", "auth"), ("model_not_found", "model"), ("insufficient_quota", "quota")]
)
async def test_an_error_event_is_known_by_its_code(
    server: OpenAILLM, double: ModelDouble, code: str, kind: str
) -> None:
    error = {"error": {"message": "The model says no.", "type": "invalid_request_error", "code": code}}
    double.script = lambda _: Reply(ANSWER, fault="error_event", error=error)
    asked = await ask(server)
    assert asked.error is not None
    assert asked.error.kind == kind


# --- rate limits and credit

RATE_LIMIT = (
    "Rate limit reached for gpt-6-luna in organization org-1 on tokens per min (TPM): Limit 30000, Used 29000, "
    "Requested 4000. Please try again in 6s. You can increase your rate limit by adding a payment method at "
    "https://platform.openai.com/account/billing."
)
TOO_LARGE = (
    "Request too large for gpt-6-luna in organization org-1 on tokens per min (TPM): Limit 3000, Requested 4000."
)


def _limited(message: str, code: str = "rate_limit_exceeded", kind: str = "tokens") -> Reply:
    return Reply(fault="status", status=429, error={"error": {"message": message, "type": kind, "code": code}})


async def test_an_ordinary_rate_limit_that_names_the_billing_page_is_waited_out(double: ModelDouble) -> None:
    replies = iter([_limited(RATE_LIMIT), Reply(ANSWER)])
    double.script = lambda _: next(replies)

    async def no_wait(_: float) -> None:
        await asyncio.sleep(0)

    adapter = openai(double)
    llm = ResilientLLM({"cheap": [adapter], "strong": [adapter]}, Timeouts(), sleep=no_wait)
    asked = await ask(llm)
    await adapter.aclose()
    assert (asked.error, asked.text) == (None, ANSWER)
    assert asked.calls[0].error == "rate_limit (429)"


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_not_active", "billing_hard_limit_reached"])
async def test_used_up_credit_is_known_by_its_code(server: OpenAILLM, double: ModelDouble, code: str) -> None:
    double.script = lambda _: _limited("You exceeded your current quota.", code, code)
    asked = await ask(server)
    assert asked.error is not None
    assert (asked.error.kind, asked.error.retryable) == ("quota", False)


async def test_a_request_over_the_limit_per_minute_is_not_asked_again(server: OpenAILLM, double: ModelDouble) -> None:
    double.script = lambda _: _limited(TOO_LARGE)
    asked = await ask(alone(server))
    assert asked.error is not None
    assert asked.error.kind == "too_large"
    assert "Limit 3000" in str(asked.error)
    assert "PARLEY_PROMPT_TOKENS" in str(asked.error)
    assert len(double.requests) == 1


# --- addresses


async def test_an_address_without_its_version_is_told_as_that(double: ModelDouble) -> None:
    llm = openai(double, url=double.anthropic_url)
    asked = await ask(llm)
    await llm.aclose()
    assert asked.error is not None
    assert asked.error.kind == "address"
    assert "Check OPENAI_BASE_URL. It usually ends in /v1." in str(asked.error)


@pytest.mark.parametrize("path", ["/chat/completions", "/chat/completions/", "/"])
async def test_an_address_that_goes_too_far_works(double: ModelDouble, path: str) -> None:
    double.script = lambda _: Reply(ANSWER)
    llm = openai(double, url=double.openai_url + path)
    asked = await ask(llm)
    await llm.aclose()
    assert (asked.error, asked.text) == (None, ANSWER)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1", "/v1/", "/"])
async def test_an_address_of_anthropic_that_goes_too_far_works(double: ModelDouble, path: str) -> None:
    double.script = lambda _: Reply(ANSWER)
    llm = anthropic(double, url=double.anthropic_url + path)
    asked = await ask(llm)
    await llm.aclose()
    assert (asked.error, asked.text) == (None, ANSWER)
