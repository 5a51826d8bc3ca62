"""Many requests with random faults and cancellations: every call has one ledger row that equals the provider's bill."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing

from bot.errors import LLMError
from bot.llm.providers.provider_call import Provider, Timeouts
from bot.llm.resilient import ResilientLLM
from bot.types.usage import Call
from tests.doubles.models import Billed, ModelDouble, Reply, Seen
from tests.doubles.models_replies import Fault
from tests.llm.llm_requests import ANSWER, anthropic, openai, prompt

TURNS = 120
FAULTS: list[Fault] = ["error_event", "reset", "hang_up", "broken_json", "no_usage", "unknown_events", "status"]


class Storm:
    """A script of random faults; sometimes the asker stops after a few pieces."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def script(self, _: Seen) -> Reply:
        roll = self.chance.random()
        if roll < 0.5:
            return Reply(ANSWER * self.chance.randint(1, 4))
        if roll < 0.55:
            return Reply(ANSWER, fault="stall", after=self.chance.randint(0, 4))
        status = self.chance.choice([429, 500, 529, 401, 404])
        return Reply(ANSWER, fault=self.chance.choice(FAULTS), after=self.chance.randint(0, 7), status=status)

    def stops_after(self) -> int | None:
        return self.chance.randint(1, 6) if self.chance.random() < 0.15 else None


async def _turn(llm: ResilientLLM, number: int, stop: int | None, calls: list[Call]) -> None:
    system = "You answer questions of the team from its documents. " * (80 if number % 3 else 5)
    asked = prompt(f"Question {number}", system=system, tier="strong" if number % 5 == 0 else "cheap")
    pieces = 0
    try:
        async with aclosing(llm.stream(asked, meter=calls.append)) as events:
            async for _ in events:
                pieces += 1
                if pieces == stop:
                    return
    except LLMError:
        return


def _check(call: Call, line: Billed | None) -> str:
    """Check a ledger row and return its kind."""
    if call.status == "ok" and not call.estimated:
        assert line is not None
        used = call.usage
        assert (used.input_tokens, used.cached_tokens, used.cache_write_tokens, used.cache_write_long_tokens) == (
            line.prompt.plain,
            line.prompt.read,
            line.prompt.written,
            line.prompt.written_long,
        )
        assert (used.completion_tokens, call.cost_usd, call.model) == (line.output, line.usd, line.model)
        return "exact"
    if line is not None:
        assert call.estimated
        assert call.usage.prompt_tokens > 0
        return "estimated"
    assert call.status == "error"
    return "unbilled"


async def test_ledger_equals_bill_in_a_storm(double: ModelDouble) -> None:
    storm = Storm(seed=1)
    double.script = storm.script
    first, second = anthropic(double), openai(double, usage_timeout=0.2)
    moment = [0.0]

    async def sleep(seconds: float) -> None:
        moment[0] += seconds
        await asyncio.sleep(0)

    cheap_first: list[Provider] = [first, second]
    llm = ResilientLLM(
        {"cheap": cheap_first, "strong": cheap_first[::-1]},
        Timeouts(first_token=0.5, idle=0.1, total=3600),
        clock=lambda: moment[0],
        sleep=sleep,
        rand=storm.chance.random,
    )
    calls: list[Call] = []
    for number in range(TURNS):
        moment[0] += 20
        await _turn(llm, number, storm.stops_after(), calls)
    await llm.aclose()
    while any(not seen.closed.is_set() and seen.number not in _billed(double) for seen in _streaming(double)):
        await asyncio.sleep(0.01)
    assert len(calls) == len(double.requests)
    billed = _billed(double)
    kinds = [_check(call, billed.get(seen.number)) for call, seen in zip(calls, double.requests, strict=True)]
    assert min(kinds.count(kind) for kind in ("exact", "estimated", "unbilled")) > 5


def _billed(double: ModelDouble) -> dict[int, Billed]:
    return {line.request: line for line in double.bill}


def _streaming(double: ModelDouble) -> list[Seen]:
    return [seen for seen in double.requests if seen.pieces_sent]
