"""Circuit breaker, retry budget and backoff, without sockets and on a simulated clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest

from bot.engine.ports.llm import Ended, Event, Meter, Prompt, TextDelta
from bot.errors import LLMError
from bot.llm.circuit_breaker import Breaker, RetryBudget
from bot.llm.providers.provider_call import Timeouts
from bot.llm.resilient import ResilientLLM
from bot.types.usage import Tier
from tests.llm.llm_requests import ask, prompt


@dataclass
class Clock:
    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Scripted:
    """A provider that answers, or raises its ``fault``."""

    name: str
    fault: LLMError | None = None
    calls: int = 0

    def model(self, tier: Tier) -> str:
        return f"{self.name}-{tier}"

    async def ready(self) -> None:
        return None

    async def count(self, prompt: Prompt) -> int | None:
        return None

    async def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncGenerator[Event, None]:
        self.calls += 1
        if self.fault is not None:
            raise self.fault
        yield TextDelta("fine")
        yield Ended("complete", self.model(prompt.tier), self.name)

    async def aclose(self) -> None:
        return None


def overloaded(retry_after: float | None = None) -> LLMError:
    return LLMError("overloaded", retryable=True, kind="overloaded", status=529, retry_after=retry_after)


def resilient(clock: Clock, *providers: Scripted) -> ResilientLLM:
    return ResilientLLM(
        {"cheap": providers, "strong": providers}, Timeouts(), clock=clock, sleep=clock.sleep, rand=lambda: 1.0
    )


@pytest.mark.parametrize("per_minute", [1, 6, 60])
@pytest.mark.parametrize("both", [True, False])
async def test_an_outage_of_ten_minutes_costs_few_extra_calls(per_minute: int, both: bool) -> None:
    clock = Clock()
    first, second = Scripted("A", overloaded()), Scripted("B", overloaded() if both else None)
    llm = resilient(clock, first, second)
    requests = 10 * per_minute
    for _ in range(requests):
        await ask(llm)
        clock.now += 60 / per_minute
    warm_up = 10
    assert first.calls + second.calls <= 1.2 * requests + warm_up


async def test_everything_is_well_again_soon_after_an_outage() -> None:
    clock = Clock()
    first, second = Scripted("A", overloaded()), Scripted("B", overloaded())
    llm = resilient(clock, first, second)
    for _ in range(60):
        await ask(llm)
        clock.now += 10
    first.fault = second.fault = None
    clock.now += 240
    answers = [await ask(llm) for _ in range(20)]
    assert all(asked.error is None for asked in answers)
    assert answers[-1].ended[0].provider == "A"


async def test_an_open_breaker_says_when_to_come_back_without_a_call() -> None:
    clock = Clock()
    only = Scripted("A", overloaded())
    llm = resilient(clock, only)
    for _ in range(5):
        await ask(llm)
    before = only.calls
    asked = await ask(llm)
    assert only.calls == before
    assert asked.error is not None
    assert asked.error.retry_after is not None
    assert 0 < asked.error.retry_after <= 240


async def test_backoff_grows_and_stays_within_the_deadline() -> None:
    clock = Clock()
    llm = resilient(clock, Scripted("A", overloaded()))
    await ask(llm)
    assert clock.slept == [0.5, 1.0]


@pytest.mark.parametrize(("retry_after", "slept"), [(500, []), (40, []), (10, [10, 10])])
async def test_nobody_waits_long_in_silence(retry_after: float, slept: list[float]) -> None:
    clock = Clock()
    llm = resilient(clock, Scripted("A", overloaded(retry_after=retry_after)))
    asked = await ask(llm)
    assert clock.slept == slept
    assert asked.error is not None


async def test_retry_after_keeps_the_next_request_away() -> None:
    clock = Clock()
    first, second = Scripted("A", overloaded(retry_after=30)), Scripted("B")
    llm = resilient(clock, first, second)
    for _ in range(5):
        assert (await ask(llm)).ended[0].provider == "B"
    assert first.calls == 1
    first.fault = None
    clock.now += 31
    assert (await ask(llm)).ended[0].provider == "A"


async def test_full_jitter_spreads_the_waits() -> None:
    clock = Clock()
    shares = iter([0.0, 0.25])
    only = Scripted("A", overloaded())
    llm = ResilientLLM(
        {"cheap": [only], "strong": [only]}, Timeouts(), clock=clock, sleep=clock.sleep, rand=lambda: next(shares)
    )
    await ask(llm)
    assert clock.slept == [0.0, 0.25]


async def test_the_tier_decides_who_is_asked_first() -> None:
    a, b = Scripted("A"), Scripted("B")
    llm = ResilientLLM({"cheap": [a, b], "strong": [b, a]}, Timeouts())
    assert (llm.model("cheap"), llm.model("strong")) == ("A-cheap", "B-strong")


@dataclass
class WithOneBadModel(Scripted):
    """A provider whose strong model alone has the fault."""

    async def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncGenerator[Event, None]:
        self.calls += 1
        if self.fault is not None and prompt.tier == "strong":
            raise self.fault
        yield TextDelta("fine")
        yield Ended("complete", self.model(prompt.tier), self.name)


async def test_a_model_that_is_down_leaves_the_providers_other_model_alone() -> None:
    clock, only = Clock(), WithOneBadModel("A", overloaded())
    llm = resilient(clock, only)
    for _ in range(6):
        assert (await ask(llm, prompt(tier="strong"))).error is not None
    assert (await ask(llm, prompt(tier="cheap"))).text == "fine"
    before = only.calls
    await ask(llm, prompt(tier="strong"))
    assert only.calls == before, "the breaker of the strong model is open"


async def test_tiers_with_the_same_model_share_its_breaker() -> None:
    class OneModel(Scripted):
        def model(self, tier: Tier) -> str:
            return "local"

    clock, only = Clock(), OneModel("A", overloaded())
    llm = resilient(clock, only)
    for _ in range(6):
        await ask(llm, prompt(tier="strong"))
    before = only.calls
    await ask(llm, prompt(tier="cheap"))
    assert only.calls == before


OPERATORS_MISTAKES = [
    ("request", 400),
    ("auth", 401),
    ("quota", 402),
    ("auth", 403),
    ("model", 404),
    ("address", 404),
    ("quota", 429),
    ("too_large", 429),
    ("web_page", 200),
    ("setting", None),
]


@pytest.mark.parametrize(("kind", "status"), OPERATORS_MISTAKES)
async def test_what_the_operator_must_correct_opens_no_breaker_and_works_once_corrected(
    kind: str, status: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    only = Scripted("A", LLMError(f"Check the {kind}.", kind=kind, status=status, retry_after=60))
    llm = resilient(clock, only)
    for _ in range(12):
        assert (await ask(llm)).error is not None
    assert only.calls == 12
    assert f"Check the {kind}." in caplog.text
    only.fault = None
    assert (await ask(llm)).text == "fine"


def test_a_breaker_opens_probes_and_closes() -> None:
    clock = Clock()
    breaker = Breaker(clock, threshold=3, cooldown=10, longest=40)
    for _ in range(3):
        assert breaker.allows
        breaker.begin()
        breaker.failed()
    assert not breaker.allows
    pauses = []
    for _ in range(4):
        pauses.append(breaker.wait)
        clock.now += breaker.wait
        assert breaker.allows
        breaker.begin()
        assert not breaker.allows
        breaker.failed()
    assert pauses == [10, 20, 40, 40]
    clock.now += breaker.wait
    breaker.begin()
    breaker.dismiss()
    assert breaker.allows
    breaker.succeeded()
    assert not breaker.is_open


async def test_the_end_of_an_earlier_call_allows_no_second_probe() -> None:
    class Holding(Scripted):
        held = True

        async def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncGenerator[Event, None]:
            async with aclosing(super().stream(prompt, meter=meter)) as events:
                async for event in events:
                    if self.held:
                        await asyncio.sleep(60)
                    yield event

    clock, only = Clock(), Holding("A")
    llm = resilient(clock, only)
    early = asyncio.create_task(ask(llm))
    await until(lambda: only.calls == 1)
    only.fault = overloaded()
    for _ in range(3):
        await ask(llm)
    only.fault, opened_after = None, only.calls
    clock.now += 15
    probe = asyncio.create_task(ask(llm))
    await until(lambda: only.calls == opened_after + 1)
    early.cancel()
    await asyncio.gather(early, return_exceptions=True)
    only.held = False
    assert (await ask(llm)).error is not None
    assert only.calls == opened_after + 1
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


def test_late_failures_of_earlier_calls_do_not_prolong_the_pause() -> None:
    clock = Clock()
    breaker = Breaker(clock, threshold=1, cooldown=10)
    for _ in range(5):
        breaker.failed()
    assert breaker.wait == 10


def test_the_retry_budget_is_a_share_of_the_requests() -> None:
    budget = RetryBudget()
    spent = 0
    for _ in range(1000):
        budget.earn()
        spent += budget.spend()
    assert 195 <= spent <= 205
