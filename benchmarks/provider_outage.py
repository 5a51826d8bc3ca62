"""Measures how many calls each request makes during ten minutes in which providers fail.

    python -m benchmarks.provider_outage [--minutes 10]

The clock is simulated: ten minutes pass in seconds. One question arrives every second, and ten at once every ten
seconds. The provider double counts the calls, over real sockets and the real SDKs.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.shared.double_adapters import provider
from benchmarks.shared.harness import SimulatedClock, table
from bot.engine.ports.llm import Message, Prompt
from bot.errors import LLMError
from bot.llm.providers.provider_call import Provider, Timeouts
from bot.llm.resilient import ResilientLLM
from bot.types.usage import Call
from tests.doubles.models import ModelDouble, Reply, Seen
from tests.doubles.models_billing import ProviderName

BURST = 10
MAX_RECOVERY_SECONDS = 1200
FAULTS: dict[str, Reply] = {
    "overloaded (529)": Reply(status=529, fault="status"),
    "failing (500)": Reply(status=500, fault="status"),
    "limiting (429, 20 s)": Reply(status=429, fault="status", retry_after="20"),
    "breaking off in mid-answer": Reply("Half of an answer, and then", fault="reset", after=1),
}


@dataclass(frozen=True, slots=True)
class Outage:
    """Results of one outage.

    ``recovery_seconds`` is the seconds from its end to the first answer of a provider that was down.
    """

    requests: int
    calls: int
    answered: int
    recovery_seconds: int

    @property
    def calls_per_request(self) -> float:
        return self.calls / self.requests


async def measure(
    fault: Reply, *, down: Sequence[ProviderName], configured: Sequence[ProviderName], seconds: int
) -> Outage:
    """Let the providers in ``down`` fail for ``seconds``; ``configured`` lists the providers in use."""
    async with ModelDouble() as double:

        def script(seen: Seen) -> Reply:
            healthy = seen.provider not in down or clock.now >= seconds
            return Reply("Thirty days. [1]") if healthy else fault

        double.script = script
        clock, chain = SimulatedClock(), [provider(name, double) for name in configured]
        llm = _resilient(chain, clock)
        requests = answered = 0
        for second in range(seconds):
            clock.now = max(clock.now, float(second))
            number = BURST if second % 10 == 0 else 1
            requests += number
            answered += sum(await asyncio.gather(*(_ask(llm) for _ in range(number))))
        calls = len(double.requests)
        recovery = await _recovery_seconds(llm, double, down, clock)
        await llm.aclose()
        return Outage(requests, calls, answered, recovery)


async def _recovery_seconds(
    llm: ResilientLLM, double: ModelDouble, down: Sequence[ProviderName], clock: SimulatedClock
) -> int:
    """Ask one question a second until a provider that was down answers; return the seconds."""
    for second in range(MAX_RECOVERY_SECONDS):
        before = len(double.bill)
        await _ask(llm)
        if any(line.provider in down and line.complete for line in double.bill[before:]):
            return second
        clock.now += 1
    return MAX_RECOVERY_SECONDS


def _resilient(chain: Sequence[Provider], clock: SimulatedClock) -> ResilientLLM:
    rng = random.Random(1)
    return ResilientLLM({"cheap": chain, "strong": chain}, Timeouts(), clock=clock, sleep=clock.sleep, rand=rng.random)


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
    """Run the benchmark and print the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=int, default=10)
    logging.getLogger("bot").setLevel(logging.CRITICAL)
    seconds = 60 * options.parse_args().minutes
    cases: list[tuple[str, list[ProviderName], list[ProviderName]]] = [
        ("the only provider", ["anthropic"], ["anthropic"]),
        ("both providers", ["anthropic", "openai"], ["anthropic", "openai"]),
        ("the first of two", ["anthropic"], ["anthropic", "openai"]),
    ]
    for name, fault in FAULTS.items():
        for who, down, configured in cases:
            seen = asyncio.run(measure(fault, down=down, configured=configured, seconds=seconds))
            rows = {
                "requests": seen.requests,
                "calls": seen.calls,
                "answered": seen.answered,
                "calls per request": seen.calls_per_request,
                "seconds until recovery": seen.recovery_seconds,
            }
            print(f"{who}: {name}\n{table(rows)}\n")


if __name__ == "__main__":
    main()
