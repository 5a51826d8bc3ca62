"""Calm when providers fail: clocks, retries, breakers and fallback. Itself an LLM."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Protocol

from bot.engine.ports.llm import Ended, Event, Meter, Prompt, RecordingMeter, Restarted, TextDelta
from bot.errors import ContextTooLong, LLMError
from bot.llm.circuit_breaker import Breaker, Clock, RetryBudget
from bot.types.usage import Call, Tier

log = logging.getLogger(__name__)

_BACKOFF, _LONGEST_BACKOFF = 0.5, 8.0
_LONGEST_POLITE_WAIT = 3.0
"""Seconds that a provider may ask us to wait before another one, if there is one, is asked instead."""
_LONGEST_WAIT_ALONE = 15.0
"""Seconds that a person waits in silence before an honest word is better."""
_STALLS = ("first_token", "idle", "total", "timeout")


class Provider(Protocol):
    """An LLM that has a name for people."""

    name: str

    def model(self, tier: Tier) -> str: ...

    async def ready(self) -> None:
        """Whatever must be loaded before the first call; its time is not the provider's."""

    async def count(self, prompt: Prompt) -> int | None:
        """Tokens of the prompt by the provider's own count; None where there is none. Raises nothing."""

    def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncGenerator[Event, None]: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: to the first text, between two pieces of it, and for the whole request with all its attempts.

    The fourth clock, for connecting, runs in the providers' clients.
    """

    first_token: float = 30.0
    idle: float = 20.0
    total: float = 120.0


@dataclass(slots=True)
class _Request:
    """One request on its way through the providers."""

    prompt: Prompt
    meter: Meter
    deadline: float
    calls: int = 0
    failures: list[tuple[str, LLMError]] = field(default_factory=list)
    charged: bool = False
    empty: int = 0

    def book(self, call: Call) -> None:
        self.charged = self.charged or call.usage.total_tokens > 0
        self.meter(call)


class ResilientLLM:
    """Asks the providers of a tier in order until one finishes its answer.

    Yields Restarted whenever text so far is void. Raises ContextTooLong at once and otherwise one LLMError, with
    words for the person, when nobody could answer. Ends with ``cut`` when the total clock runs out in mid-text.
    """

    def __init__(
        self,
        chains: Mapping[Tier, Sequence[Provider]],
        patience: Patience,
        *,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rand: Callable[[], float] = random.random,
        breaker: Callable[[Clock], Breaker] = Breaker,
        budget: RetryBudget | None = None,
    ) -> None:
        self._chains = {tier: tuple(chain) for tier, chain in chains.items()}
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._rand = rand
        self._breakers = {id(provider): breaker(clock) for provider in self._providers()}
        self._budget = budget or RetryBudget()

    def model(self, tier: Tier) -> str:
        return self._chains[tier][0].model(tier)

    async def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncGenerator[Event, None]:
        request = _Request(prompt, meter, self._clock() + self._patience.total)
        self._budget.earn()
        chain = self._chains[prompt.tier]
        for place, provider in enumerate(chain):
            tries = 3 if len(chain) == 1 else 2
            for attempt in range(tries):
                if not self._may_call(provider, request, retry=attempt > 0):
                    break
                if request.failures:
                    yield Restarted(_reason(request, provider))
                try:
                    async with aclosing(self._attempt(provider, request)) as events:
                        async for event in events:
                            yield event
                    return
                except ContextTooLong:
                    raise
                except LLMError as fault:
                    self._note(provider, fault, request)
                    last = attempt == tries - 1
                    if last or not await self._worth_another(fault, attempt, request, others=place < len(chain) - 1):
                        break
        raise self._exhausted(chain, request)

    async def count(self, prompt: Prompt) -> int | None:
        """Tokens of the prompt by the provider that is asked first; None where it does not count."""
        return await self._chains[prompt.tier][0].count(prompt)

    async def ready(self) -> None:
        """Load the SDKs now, so that the first question does not wait for it."""
        for provider in self._providers():
            await provider.ready()

    async def aclose(self) -> None:
        for provider in self._providers():
            await provider.aclose()

    # --- one attempt

    async def _attempt(self, provider: Provider, request: _Request) -> AsyncGenerator[Event, None]:
        """One call under the clocks. What our own clock cut off is booked as an error and not as a cancellation."""
        breaker = self._breakers[id(provider)]
        breaker.begin()
        request.calls += 1
        calls: list[Call] = []
        stalled = ""
        wrote = False
        try:
            await provider.ready()
            async with aclosing(provider.stream(request.prompt, meter=_kept(calls, request.meter))) as events:
                while True:
                    seconds, clock = self._clock_for(wrote, request)
                    try:
                        async with asyncio.timeout(seconds):
                            event = await anext(events)
                    except TimeoutError:
                        stalled = clock
                        break
                    if isinstance(event, Ended):
                        self._check_not_empty(wrote, event, provider, request)
                        breaker.succeeded()
                        yield event
                        return
                    wrote = wrote or (isinstance(event, TextDelta) and bool(event.text.strip()))
                    yield event
        finally:
            breaker.dismiss()
            for call in calls:
                request.book(replace(call, status="error", error=f"stalled ({stalled})") if stalled else call)
        if stalled == "total" and wrote:
            breaker.failed()
            yield Ended("cut", provider.model(request.prompt.tier), calls[-1].provider if calls else provider.name)
            return
        raise _stall(provider, stalled)

    def _clock_for(self, wrote: bool, request: _Request) -> tuple[float, str]:
        left = request.deadline - self._clock()
        seconds, clock = (self._patience.idle, "idle") if wrote else (self._patience.first_token, "first_token")
        return (left, "total") if left <= seconds else (seconds, clock)

    def _check_not_empty(self, wrote: bool, event: Ended, provider: Provider, request: _Request) -> None:
        if wrote or event.reason == "refused":
            return
        if event.reason == "cut":
            raise LLMError(
                f"{provider.name} used up its tokens before it wrote anything. Raise PARLEY_ANSWER_TOKENS.",
                provider=event.provider,
                kind="thought",
            )
        request.empty += 1
        raise LLMError(
            f"{provider.name} gave an empty answer. Ask again, perhaps in other words.",
            provider=event.provider,
            retryable=request.empty < 2,
            kind="empty",
        )

    # --- between attempts

    def _may_call(self, provider: Provider, request: _Request, *, retry: bool) -> bool:
        """Whether a call may go out: the breaker, the deadline, and the budget for calls beyond the first.

        Going over to a provider that is not known to be down is always allowed: its breaker sees to the rest.
        """
        breaker = self._breakers[id(provider)]
        if not breaker.allows or self._clock() >= request.deadline or request.empty > 1:
            return False
        extra = request.calls > 0 and (retry or breaker.is_open)
        chain = self._chains[request.prompt.tier]
        later = chain[chain.index(provider) + 1 :]
        probe = breaker.is_open and any(not self._breakers[id(other)].is_open for other in later)
        return self._budget.spend() if extra or probe else True

    def _note(self, provider: Provider, fault: LLMError, request: _Request) -> None:
        request.failures.append((provider.name, fault))
        if fault.kind in ("empty", "thought", "request", "images"):
            return
        self._breakers[id(provider)].failed(fault.retry_after)
        say = log.warning if fault.retryable else log.error
        say("%s failed for %s: %s", provider.name, provider.model(request.prompt.tier), fault)

    async def _worth_another(self, fault: LLMError, attempt: int, request: _Request, *, others: bool) -> bool:
        """Wait and say whether the same provider should be asked again."""
        if not fault.retryable or (others and fault.kind in _STALLS):
            return False
        if fault.kind == "empty":
            return True
        wait = self._rand() * min(_LONGEST_BACKOFF, _BACKOFF * 2**attempt)
        wait = max(wait, fault.retry_after or 0.0)
        longest = _LONGEST_POLITE_WAIT if others else _LONGEST_WAIT_ALONE
        if wait > min(longest, request.deadline - self._clock()):
            return False
        await self._sleep(wait)
        return True

    def _exhausted(self, chain: Sequence[Provider], request: _Request) -> LLMError:
        faults = [fault for _, fault in request.failures]
        if faults and (len(chain) == 1 or faults[-1].kind == "empty") and not faults[-1].retryable:
            return faults[-1]
        told = dict.fromkeys(f"{name}: {_in_a_word(fault)}" for name, fault in request.failures)
        paused = [p.name for p in chain if p.name not in {name for name, _ in request.failures}]
        told |= dict.fromkeys(f"{name}: failing, asked again soon" for name in paused)
        advice = "Try again in a minute." if request.charged else "Nothing was charged for it; try again in a minute."
        wait = min((self._breakers[id(provider)].wait for provider in chain), default=0.0)
        return LLMError(
            f"No model could be reached just now ({'; '.join(told)}). {advice}",
            provider=faults[-1].provider if faults else "",
            retryable=True,
            retry_after=wait or None,
            status=faults[-1].status if faults else None,
            kind="exhausted",
        )

    def _providers(self) -> Iterator[Provider]:
        seen = {id(provider): provider for chain in self._chains.values() for provider in chain}
        return iter(seen.values())


@dataclass(frozen=True, slots=True)
class _Kept:
    """Keeps the calls of one attempt until it is known how it ended; they are opened with the request's meter."""

    calls: list[Call]
    meter: RecordingMeter

    def __call__(self, call: Call) -> None:
        self.calls.append(call)

    async def opens(self, call: Call) -> None:
        await self.meter.opens(call)


def _kept(calls: list[Call], meter: Meter) -> Meter:
    return _Kept(calls, meter) if isinstance(meter, RecordingMeter) else calls.append


_WORDS = {
    "auth": "refused the key",
    "connection": "not reachable",
    "context": "question too long",
    "empty": "empty answer",
    "first_token": "no answer in time",
    "idle": "stopped in the middle",
    "images": "cannot see images",
    "model": "does not know the model",
    "overloaded": "overloaded",
    "protocol": "unreadable answer",
    "quota": "credit spent",
    "rate_limit": "limiting requests",
    "request": "rejected the request",
    "server": "internal error",
    "setting": "set up wrongly",
    "thought": "used up its tokens before it wrote",
    "timeout": "no answer in time",
    "total": "no answer in time",
    "unfinished": "broke off",
    "web_page": "a web page instead of an API",
}


def _in_a_word(fault: LLMError) -> str:
    return _WORDS.get(fault.kind, "failed")


def _reason(request: _Request, provider: Provider) -> str:
    name, fault = request.failures[-1]
    again = "asked again" if name == provider.name else f"went over to {provider.name}"
    return f"{name}: {_in_a_word(fault)}; {again}"


def _stall(provider: Provider, clock: str) -> LLMError:
    where = "in the middle of its answer" if clock == "idle" else "before it began to answer"
    return LLMError(
        f"{provider.name} fell silent {where}. Try again in a minute.",
        retryable=True,
        kind=clock,
        provider=provider.name,
    )
