"""The provider adapters with the real SDKs and a real socket: text, endings, usage, cost, cancellation."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from decimal import Decimal

import pytest

from bot.engine.ports.llm import CacheLife, Ended, Message, TextDelta
from bot.types.usage import Call, Usage
from tests.doubles.models import ModelDouble, Reply
from tests.doubles.models_replies import Fault, Stop
from tests.llm.llm_requests import ANSWER, Adapter, anthropic, ask, openai, prompt


async def test_text_arrives_in_pieces_and_ends_once(adapter: Adapter, double: ModelDouble) -> None:
    double.script = lambda _: Reply(ANSWER)
    asked = await ask(adapter)
    assert asked.text == ANSWER
    assert len([event for event in asked.events if isinstance(event, TextDelta)]) > 3
    assert asked.events[-1] == Ended("complete", adapter.model("cheap"), adapter.info.name)
    assert len(asked.ended) == 1


async def test_the_connection_is_used_again(adapter: Adapter, double: ModelDouble) -> None:
    double.script = lambda _: Reply(ANSWER)
    for _ in range(3):
        await ask(adapter)
    assert double.connections == 1


async def test_ledger_row_equals_the_bill(adapter: Adapter, double: ModelDouble) -> None:
    double.script = lambda _: Reply(ANSWER)
    for tier in ("cheap", "strong"):
        asked = await ask(adapter, prompt(tier="cheap" if tier == "cheap" else "strong", system="Be brief. " * 400))
        [call] = asked.calls
        line = double.bill[-1]
        assert call.status == "ok"
        assert not call.estimated
        assert call.model == line.model
        assert call.usage.prompt_tokens == line.prompt.total
        assert call.usage.completion_tokens == line.output
        assert call.cost_usd == line.usd
        assert call.price_version.startswith("genai-prices")
        assert call.ttft_ms is not None
        assert call.ttft_ms <= call.latency_ms


@pytest.mark.parametrize("stop", ["complete", "cut", "refused"])
async def test_how_it_ended(adapter: Adapter, double: ModelDouble, stop: Stop) -> None:
    double.script = lambda _: Reply("Some text.", stop=stop)
    assert [ended.reason for ended in (await ask(adapter)).ended] == [stop]


async def test_max_tokens_cuts(adapter: Adapter, double: ModelDouble) -> None:
    double.script = lambda _: Reply("one two three four five six seven eight nine ten " * 20)
    asked = await ask(adapter, prompt(max_tokens=50))
    assert [ended.reason for ended in asked.ended] == ["cut"]
    assert asked.calls[0].usage.completion_tokens == 50


async def test_torn_characters_and_lines_come_out_whole(adapter: Adapter, double: ModelDouble) -> None:
    double.script = lambda _: Reply(ANSWER, shred=True)
    assert (await ask(adapter)).text == ANSWER


async def test_a_giant_line_passes(adapter: Adapter, double: ModelDouble) -> None:
    giant = "wort " * 60_000
    double.script = lambda _: Reply(giant, piece=len(giant))
    assert (await ask(adapter, prompt(max_tokens=100_000))).text == giant


async def test_unknown_events_are_ignored(adapter: Adapter, double: ModelDouble) -> None:
    double.script = lambda _: Reply(ANSWER, fault="unknown_events")
    asked = await ask(adapter)
    assert (asked.text, asked.calls[0].estimated) == (ANSWER, False)


@pytest.mark.parametrize("fault", ["no_usage", "absurd_usage"])
async def test_usage_that_is_missing_or_absurd_is_estimated(
    adapter: Adapter, double: ModelDouble, fault: Fault
) -> None:
    double.script = lambda _: Reply(ANSWER, fault=fault)
    asked = await ask(adapter)
    [call] = asked.calls
    assert asked.text == ANSWER
    assert (call.status, call.estimated) == ("ok", True)
    assert call.usage.input_tokens > 0
    assert call.usage.completion_tokens >= double.bill[0].output


async def test_usage_that_never_comes_does_not_hold_the_answer(double: ModelDouble) -> None:
    double.script = lambda _: Reply(ANSWER, fault="late_usage")
    llm = openai(double, usage_timeout=0.05)
    asked = await ask(llm)
    await llm.aclose()
    assert asked.ended[0].reason == "complete"
    assert asked.calls[0].estimated


async def test_closing_early_closes_the_socket_and_is_metered(adapter: Adapter, double: ModelDouble) -> None:
    double.script = lambda _: Reply(ANSWER * 50, pause=0.01)
    calls: list[Call] = []
    async with aclosing(adapter.stream(prompt(), meter=calls.append)) as events:
        async for event in events:
            assert isinstance(event, TextDelta)
            break
    await asyncio.wait_for(double.requests[0].closed.wait(), 60)
    [call] = calls
    assert (call.status, call.estimated) == ("cancelled", True)
    assert call.usage.prompt_tokens >= 0.9 * double.bill[0].prompt.total > 0
    assert call.usage.completion_tokens > 0
    assert double.requests[0].pieces_sent < 10


@pytest.mark.parametrize("fault", ["deaf", "silence", "stall"])
async def test_a_cancelled_task_closes_the_socket_and_is_metered(
    adapter: Adapter, double: ModelDouble, fault: Fault
) -> None:
    double.script = lambda _: Reply(ANSWER, fault=fault, after=2)
    calls: list[Call] = []

    async def consume() -> None:
        async with aclosing(adapter.stream(prompt(), meter=calls.append)) as events:
            async for _ in events:
                pass

    task = asyncio.create_task(consume())
    while not double.requests or (fault == "stall" and double.requests[0].pieces_sent < 2):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(double.requests[0].closed.wait(), 60)
    [call] = calls
    assert (call.status, call.estimated) == ("cancelled", True)
    assert call.usage.input_tokens > 0


async def test_a_refused_request_costs_nothing(adapter: Adapter, double: ModelDouble) -> None:
    double.script = lambda _: Reply(fault="status", status=529)
    asked = await ask(adapter)
    [call] = asked.calls
    assert (call.status, call.usage, call.cost_usd, call.estimated) == ("error", Usage(), Decimal(0), False)
    assert call.error == "overloaded (529)"
    assert double.bill == []


# --- prompt caches


def _thread(turns: int) -> list[Message]:
    past = []
    for turn in range(turns):
        past += [
            Message("user", f"Question {turn}: " + "what about the travel policy and its limits? " * 20),
            Message("assistant", f"Answer {turn}: " + "the limit lies at three hundred euros a night. " * 20),
        ]
    if past:
        past[-1] = Message(past[-1].role, past[-1].text, cache="5m")
    return [*past, Message("user", f"Next question after {turns} turns?")]


async def test_anthropic_reads_the_history_from_its_cache(double: ModelDouble) -> None:
    llm = anthropic(double)
    system = "You answer questions of the team from its documents. " * 80
    calls = [(await ask(llm, prompt(system=system, messages=_thread(turns)))).calls[0] for turns in (1, 2, 3)]
    await llm.aclose()
    first, second, third = (call.usage for call in calls)
    assert (first.cached_tokens, first.cache_write_tokens > 500) == (0, True)
    assert second.cached_tokens == first.cache_write_tokens
    assert third.cached_tokens == second.cached_tokens + second.cache_write_tokens
    assert [call.cost_usd for call in calls] == [line.usd for line in double.bill]
    for call, line in zip(calls, double.bill, strict=True):
        assert call.usage.cached_tokens == line.prompt.read
        assert call.usage.cache_write_tokens == line.prompt.written
        assert call.usage.input_tokens == line.prompt.plain


async def test_the_cache_expires_and_is_apart_for_each_model(double: ModelDouble) -> None:
    llm = anthropic(double)
    system = "You answer questions of the team from its documents. " * 80
    usages = []
    for tier, later in (("cheap", 0), ("cheap", 299), ("cheap", 299), ("cheap", 301), ("strong", 0)):
        double.now += later
        asked = await ask(llm, prompt(system=system, tier="cheap" if tier == "cheap" else "strong"))
        usages.append(asked.calls[0].usage.cached_tokens > 0)
    await llm.aclose()
    assert usages == [False, True, True, False, False]


async def test_a_short_system_prompt_gets_no_breakpoint_and_never_more_than_four(double: ModelDouble) -> None:
    llm = anthropic(double)
    marked = [Message("user" if at % 2 == 0 else "assistant", f"message {at}", cache="5m") for at in range(7)]
    await ask(llm, prompt(system="Short.", messages=marked))
    await ask(llm, prompt(system="Long enough to be cached. " * 200, messages=marked))
    await llm.aclose()
    short, long = (seen.body for seen in double.requests)
    assert "cache_control" not in short["system"][0]
    assert long["system"][0]["cache_control"] == {"type": "ephemeral"}
    for body in (short, long):
        where = [at for at, m in enumerate(body["messages"]) if "cache_control" in m["content"][0]]
        assert where == [4, 5, 6]


async def test_no_breakpoint_of_five_minutes_stands_before_one_of_an_hour(double: ModelDouble) -> None:
    llm = anthropic(double)
    lives: list[CacheLife | None] = ["5m", None, "1h", None, "5m"]
    marked = [Message("user" if at % 2 == 0 else "assistant", f"message {at}", life) for at, life in enumerate(lives)]
    asked = await ask(llm, prompt(system="Long enough to be cached. " * 200, messages=marked))
    await llm.aclose()
    body = double.requests[0].body
    told = [block.get("cache_control") for m in body["messages"] for block in m["content"]]
    long = {"type": "ephemeral", "ttl": "1h"}
    assert [body["system"][0]["cache_control"], *told] == [long, long, None, long, None, {"type": "ephemeral"}]
    (call,), (line,) = asked.calls, double.bill
    assert call.usage.cache_write_long_tokens == line.prompt.written_long > call.usage.cache_write_tokens > 0
    assert call.cost_usd == line.usd


async def test_openai_caches_by_itself_and_routes_by_the_key() -> None:
    async with ModelDouble(openai_kind="openai") as double:
        llm = openai(double)
        system = "You answer questions of the team from its documents. " * 150
        asked = [
            await ask(llm, prompt(system=system, messages=_thread(2), cache_key=key)) for key in ("t1", "t1", "t2")
        ]
        await llm.aclose()
        usages = [one.calls[0].usage for one in asked]
        assert [seen.body["prompt_cache_key"] for seen in double.requests] == ["t1", "t1", "t2"]
        assert all("max_completion_tokens" in seen.body for seen in double.requests)
        assert [usage.cached_tokens > 1000 for usage in usages] == [False, True, False]
        assert usages[0].cache_write_tokens == usages[1].cached_tokens
        for one, line in zip(asked, double.bill, strict=True):
            assert one.calls[0].usage.prompt_tokens == line.prompt.total
            assert one.calls[0].usage.input_tokens == line.prompt.plain
            assert one.calls[0].cost_usd == line.usd


async def test_a_compatible_server_gets_nothing_it_may_not_know(double: ModelDouble) -> None:
    llm = openai(double)
    asked = await ask(llm)
    await llm.aclose()
    assert asked.error is None
    assert set(double.requests[0].body) == {"model", "messages", "stream", "stream_options", "max_tokens"}


async def test_the_count_learns_from_what_was_reported(double: ModelDouble) -> None:
    llm = anthropic(double)
    counter = llm._accounting.counter
    text = "Reisekostenabrechnungen und Verpflegungsmehraufwand " * 40
    before = counter.count(text, "claude-haiku-5-5")
    for _ in range(12):
        await ask(llm, prompt(text))
    await llm.aclose()
    after = counter.count(text, "claude-haiku-5-5")
    real = double.bill[-1].prompt.total
    assert after != before
    assert abs(after - real) < abs(before - real)
