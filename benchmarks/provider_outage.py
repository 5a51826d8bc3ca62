"""Measures how many calls each request makes during ten minutes of provider failures.

    python -m benchmarks.provider_outage [--minutes 10]

The clock is a pretended one: ten minutes pass in seconds. A question comes every second, and every tenth second ten at
once. Calls are counted by the double of the providers, over real sockets and the real SDKs.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.benchmark_database import table
from benchmarks.provider_clients import provider
from bot.engine.ports.llm import Message, Prompt
from bot.errors import LLMError
from bot.llm.provider_call import Provider, Timeouts
from bot.llm.resilient import ResilientLLM
from bot.types.usage import Call
from tests.doubles.models import ModelDouble, Reply, Seen
from tests.doubles.models_billing import ProviderName

BURST = 10
LONGEST_RETURN = 1200
DOWN: dict[str, Reply] = {
    "overloaded (529)": Reply(status=529, fault="status"),
    "failing (500)": Reply(status=500, fault="status"),
    "limiting (429, 20 s)": Reply(status=429, fault="status", retry_after="20"),
    "breaking off in mid-answer": Reply("Half of an answer, and then", fault="reset", after=1),
}


@dataclass(frozen=True, slots=True)
class Outage:
    """One outage, as seen by the providers and by the users.

    ``back_after`` is the number of seconds from its end to the first answer of a provider that was down.
    """

    requests: int
    calls: int
    answered: int
    back_after: int

    @property
    def calls_per_request(self) -> float:
        return self.calls / self.requests


class Moments:
    """A clock that moves when a test moves it or when code sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


async def measure(fault: Reply, *, down: Sequence[ProviderName], asked: Sequence[ProviderName], seconds: int) -> Outage:
    """Let the providers in ``down`` fail for so many seconds; those in ``asked`` are configured."""
    async with ModelDouble() as double:

        def script(seen: Seen) -> Reply:
            healthy = seen.provider not in down or moments.now >= seconds
            return Reply("Thirty days. [1]") if healthy else fault

        double.script = script
        moments, chain = Moments(), [provider(name, double) for name in asked]
        llm = _resilient(chain, moments)
        requests = answered = 0
        for second in range(seconds):
            moments.now = max(moments.now, float(second))
            number = BURST if second % 10 == 0 else 1
            requests += number
            answered += sum(await asyncio.gather(*(_ask(llm) for _ in range(number))))
        calls = len(double.requests)
        back = await _back(llm, double, down, moments)
        await llm.aclose()
        return Outage(requests, calls, answered, back)


async def _back(llm: ResilientLLM, double: ModelDouble, down: Sequence[ProviderName], moments: Moments) -> int:
    """Ask on, one question a second, until a provider that was down answers."""
    for second in range(LONGEST_RETURN):
        before = len(double.bill)
        await _ask(llm)
        if any(line.provider in down and line.complete for line in double.bill[before:]):
            return second
        moments.now += 1
    return LONGEST_RETURN


def _resilient(chain: Sequence[Provider], moments: Moments) -> ResilientLLM:
    chance = random.Random(1)
    return ResilientLLM(
        {"cheap": chain, "strong": chain}, Timeouts(), clock=moments, sleep=moments.sleep, rand=chance.random
    )


async def _ask(llm: ResilientLLM) -> bool:
    calls: list[Call] = []
    question = Prompt("answer", "cheap", "Answer.", (Message("user", "How many days of leave?"),), 100)
    try:
        async for _ in llm.stream(question, meter=calls.append):
            pass
    except LLMError:
        return False
    return True


def main() -> None:
    """Run it and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=int, default=10)
    logging.getLogger("bot").setLevel(logging.CRITICAL)
    seconds = 60 * options.parse_args().minutes
    cases: list[tuple[str, list[ProviderName], list[ProviderName]]] = [
        ("the only provider", ["anthropic"], ["anthropic"]),
        ("both providers", ["anthropic", "openai"], ["anthropic", "openai"]),
        ("the first of two", ["anthropic"], ["anthropic", "openai"]),
    ]
    for name, fault in DOWN.items():
        for who, down, asked in cases:
            seen = asyncio.run(measure(fault, down=down, asked=asked, seconds=seconds))
            rows = {
                "requests": seen.requests,
                "calls": seen.calls,
                "answered": seen.answered,
                "calls per request": seen.calls_per_request,
                "seconds until asked again": seen.back_after,
            }
            print(f"{who}: {name}\n{table(rows)}\n")


if __name__ == "__main__":
    main()
