"""Batches with the real SDKs: results in the order of the prompts, partial failures, half the price."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from bot.config import Settings
from bot.engine.ports.llm import Prompt
from bot.errors import LLMError, UsageError
from bot.llm.batches.batch import Batch, BatchId, Completion, Result
from bot.llm.batches.batch_anthropic import AnthropicBatch
from bot.llm.batches.batch_openai import OpenAIBatch
from bot.llm.batches.batch_sequential import SequentialBatch
from bot.llm.build import build_batch
from bot.llm.providers.anthropic import AnthropicLLM
from bot.llm.quoting.extractive import ExtractiveLLM
from bot.llm.tokens import TokenCounter
from bot.types.usage import Call
from tests.doubles.models import ModelDouble, Reply
from tests.llm.llm_requests import Adapter, anthropic, openai, passage, prompt


@pytest.fixture(params=["anthropic", "openai"])
async def adapter(request: pytest.FixtureRequest, double: ModelDouble) -> AsyncIterator[Adapter]:
    double.openai_kind = "openai"
    made: Adapter = anthropic(double) if request.param == "anthropic" else openai(double)
    yield made
    await made.aclose()


@pytest.fixture
def batch(adapter: Adapter) -> Batch:
    return AnthropicBatch(adapter) if isinstance(adapter, AnthropicLLM) else OpenAIBatch(adapter)


SEPARATORS = "\x85\u2028\u2029"
"""Characters that end a line for ``splitlines`` and not in JSON Lines."""
PROMPTS = [
    prompt(f"Is sample {n} {SEPARATORS} good?", purpose="judge", tier="strong" if n % 2 else "cheap") for n in range(5)
]


def echo(double: ModelDouble) -> None:
    double.script = lambda seen: Reply(f"About: {seen.messages[-1][1]}")


def kinds(results: list[Result]) -> list[str]:
    return [result.kind if isinstance(result, LLMError) else result.reason for result in results]


async def submitted(batch: Batch, prompts: list[Prompt] | None = None) -> BatchId:
    """Submit a batch and return its id after a round trip as text, as a job stores it."""
    return BatchId.parse(str(await batch.submit(prompts or PROMPTS)))


async def test_results_come_in_the_order_of_the_prompts_at_half_the_price(
    batch: Batch, adapter: Adapter, double: ModelDouble
) -> None:
    echo(double)
    name = await submitted(batch)
    assert (await batch.poll(name)).state == "running"
    with pytest.raises(LLMError, match="still processing") as early:
        await batch.results(name, meter=lambda _: None)
    assert (early.value.kind, early.value.retryable) == ("running", True)
    double.batches.work()
    double.batches.end()
    progress = await batch.poll(name)
    assert (progress.state, progress.total, progress.succeeded, progress.failed) == ("ended", 5, 5, 0)
    calls: list[Call] = []
    results = await batch.results(name, meter=calls.append)
    assert results == [
        Completion(f"About: {asked.question}", "complete", adapter.model(asked.tier)) for asked in PROMPTS
    ]
    billed = {(line.model, line.prompt.total, line.output, line.usd) for line in double.bill}
    booked = {(c.model, c.usage.prompt_tokens, c.usage.completion_tokens, c.cost_usd) for c in calls}
    assert booked == billed
    assert sum((c.cost_usd or Decimal(0) for c in calls), Decimal(0)) == double.dollars > 0
    assert {(c.purpose, c.status, c.estimated) for c in calls} == {("judge", "ok", False)}
    assert all(c.price_version.endswith(" batch") for c in calls)
    full = [adapter.accounting.price(c.model, c.usage).usd for c in calls]
    assert [c.cost_usd for c in calls] == [usd / 2 for usd in full if usd is not None]


async def test_some_fail_and_the_others_are_kept(batch: Batch, double: ModelDouble) -> None:
    def script(seen: object) -> Reply:
        text = str(getattr(seen, "messages")[-1][1])  # noqa: B009
        if "1" in text:
            return Reply(fault="status", status=529)
        return Reply("No.", stop="refused" if "2" in text else "cut" if "3" in text else "complete")

    double.script = script
    name = await submitted(batch)
    double.batches.work()
    double.batches.end()
    calls: list[Call] = []
    assert kinds(await batch.results(name, meter=calls.append)) == [
        "complete", "overloaded", "refused", "cut", "complete",
    ]  # fmt: skip
    failed = [call for call in calls if call.status == "error"]
    assert [(call.error, call.usage.total_tokens, call.cost_usd) for call in failed] == [("overloaded", 0, Decimal(0))]
    assert (await batch.poll(name)).failed == 1


@pytest.mark.parametrize("how", ["expired", "cancelled"])
async def test_what_was_not_reached_says_why(batch: Batch, double: ModelDouble, how: str) -> None:
    echo(double)
    name = await submitted(batch)
    double.batches.work(2)
    if how == "cancelled":
        await batch.cancel(name)
        assert (await batch.poll(name)).state == "cancelling"
    double.batches.end("cancelled" if how == "cancelled" else "expired")
    calls: list[Call] = []
    results = await batch.results(name, meter=calls.append)
    assert kinds(results) == ["complete", "complete", how, how, how]
    assert sum((call.cost_usd or Decimal(0) for call in calls), Decimal(0)) == double.dollars
    assert sum(call.usage.total_tokens > 0 for call in calls) == 2
    assert "Submit it again." in str(results[-1])


async def test_a_batch_is_found_by_its_key_in_another_process(batch: Batch, double: ModelDouble) -> None:
    echo(double)
    start, (key, other) = datetime.now(UTC), (uuid.uuid4().hex for _ in range(2))
    await batch.submit(PROMPTS)
    double.batches.work()
    double.batches.end()
    assert await batch.find(key, since=start) is None
    submitted_as = await batch.submit(PROMPTS, key=key)
    if isinstance(batch, OpenAIBatch):
        assert await batch.find(key, since=start) == submitted_as
    else:
        with pytest.raises(LLMError, match="still processing") as early:
            await batch.find(key, since=start)
        assert early.value.kind == "running"
    double.batches.work()
    double.batches.end()
    assert await batch.find(key, since=start) == submitted_as
    assert await batch.find(other, since=start) is None
    assert await batch.find(key, since=start + timedelta(hours=1)) is None
    assert kinds(await batch.results(submitted_as, meter=lambda _: None)) == ["complete"] * 5


async def test_a_schema_and_the_system_prompt_go_along(batch: Batch, double: ModelDouble) -> None:
    echo(double)
    await submitted(batch, [prompt("Rate it.", system="Be strict.", purpose="judge")])
    [row] = double.batches.jobs[0].requests.values()
    assert "Be strict." in str(row)
    assert "stream" not in row


async def test_an_unknown_model_fails_its_prompts_alone(batch: Batch, adapter: Adapter, double: ModelDouble) -> None:
    echo(double)
    double.models.discard(adapter.model("strong"))
    name = await submitted(batch)
    double.batches.work()
    double.batches.end()
    assert kinds(await batch.results(name, meter=lambda _: None)) == [
        "complete", "model", "complete", "model", "complete",
    ]  # fmt: skip


async def test_a_batch_nobody_knows(batch: Batch) -> None:
    for ask in (batch.poll(BatchId("x", "gone")), batch.cancel(BatchId("x", "gone"))):
        with pytest.raises(LLMError, match="does not have this batch") as unknown:
            await ask
        assert unknown.value.kind == "batch"


async def test_a_wrong_key_and_a_server_that_is_gone(batch: Batch, double: ModelDouble) -> None:
    double.anthropic_key = double.openai_key = "another"
    with pytest.raises(LLMError, match="rejected the key") as refused:
        await batch.submit(PROMPTS)
    assert refused.value.kind == "auth"
    await double.stop()
    with pytest.raises(LLMError) as gone:
        await batch.submit(PROMPTS)
    assert (gone.value.kind, gone.value.retryable) == ("connection", True)


async def test_a_web_page_is_no_batch(batch: Batch, web_page: str) -> None:
    double = ModelDouble(openai_kind="openai")
    llm = anthropic(double, url=web_page) if isinstance(batch, AnthropicBatch) else openai(double, url=web_page)
    there = AnthropicBatch(llm) if isinstance(llm, AnthropicLLM) else OpenAIBatch(llm)
    for ask in (there.submit(PROMPTS), there.poll(BatchId("x", "y"))):
        with pytest.raises(LLMError) as page:
            await ask
        assert page.value.kind in ("protocol", "web_page")
    await there.aclose()


async def test_results_that_were_archived(double: ModelDouble) -> None:
    llm = AnthropicBatch(anthropic(double))
    name = await llm.submit(PROMPTS)
    double.batches.end()
    double.batches.jobs[0].archived = True
    with pytest.raises(LLMError, match="not among the results"):
        await llm.results(name, meter=lambda _: None)
    await llm.aclose()


async def test_a_file_that_openai_rejects(double: ModelDouble) -> None:
    double.openai_kind = "openai"
    llm = OpenAIBatch(openai(double))
    name = await llm.submit(PROMPTS)
    double.batches.end("failed")
    assert (await llm.poll(name)).state == "ended"
    with pytest.raises(LLMError, match="Line 1 is not valid JSON") as caught:
        await llm.results(name, meter=lambda _: None)
    assert (caught.value.kind, caught.value.retryable) == ("rejected", False)
    await llm.aclose()


async def test_a_server_without_a_batch_api_says_so(double: ModelDouble) -> None:
    llm = OpenAIBatch(openai(double))
    with pytest.raises(LLMError, match="has no batch API") as none:
        await llm.submit(PROMPTS)
    assert none.value.kind == "batch"
    await llm.aclose()


async def test_nothing_and_too_much_are_refused_before_they_are_sent(batch: Batch, double: ModelDouble) -> None:
    for prompts, words in (([], "at least one"), (PROMPTS * 10_001, "at most 50000")):
        with pytest.raises(UsageError, match=words):
            await batch.submit(prompts)
    assert double.requests == []
    with pytest.raises(UsageError, match="is not a batch ID"):
        BatchId.parse("nonsense")


async def test_the_extractive_answerer_answers_at_once() -> None:
    batch = SequentialBatch(ExtractiveLLM(TokenCounter()))
    asked = prompt("How many days of leave?", passages=[passage("Everybody has thirty days of leave a year.")])
    name = await batch.submit([asked, asked])
    calls: list[Call] = []
    results = await batch.results(name, meter=calls.append)
    assert [isinstance(result, Completion) and "thirty days" in result.text for result in results] == [True, True]
    assert [call.cost_usd for call in calls] == [0, 0]
    assert (await batch.poll(name)).succeeded == 2
    other = await batch.submit([asked])
    await batch.cancel(other)
    assert kinds(await batch.results(other, meter=calls.append)) == ["cancelled"]
    with pytest.raises(LLMError, match="Submit it again"):
        await batch.results(BatchId("at-once", "99"), meter=calls.append)


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({}, SequentialBatch),
        ({"anthropic_api_key": "k"}, AnthropicBatch),
        ({"openai_api_key": "k"}, OpenAIBatch),
        (
            {"openai_base_url": "http://127.0.0.1:1/v1", "cheap_model": "llama4", "strong_model": "llama4"},
            SequentialBatch,
        ),
    ],
)
def test_which_batch_the_settings_make(tmp_path: Path, given: dict[str, str], made: type[Batch]) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, **given)  # type: ignore[arg-type]
    assert isinstance(build_batch(settings), made)
