"""Wraps providers with timeouts, retries, circuit breakers and fallback; implements the ``LLM`` protocol itself."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing

from bot.engine.ports.llm import Event, Meter, Prompt, Restarted
from bot.errors import ContextTooLong, LLMError
from bot.llm import user_messages
from bot.llm.circuit_breaker import Breaker, Clock, RetryBudget
from bot.llm.providers.provider_call import Attempt, Provider, Request, Timeouts
from bot.types.usage import Tier

log = logging.getLogger(__name__)

_BACKOFF, _MAX_BACKOFF = 0.5, 8.0
_MAX_WAIT_BEFORE_FALLBACK = 3.0
"""Seconds. If a provider asks for a longer wait and another provider is configured, fall back to the other one."""
_MAX_WAIT = 15.0
"""Longest wait in seconds without a fallback provider. If a provider asks for more, the user gets an error instead."""
_TIMEOUT_KINDS = ("first_token", "idle", "total", "timeout")
_NOT_OUTAGES = frozenset(
    ("empty", "thought", "request", "images", "too_large", "auth", "model", "address", "quota", "setting", "web_page")
)
"""Kinds of errors that waiting does not cure: the prompt's own, and those that only the operator can correct."""
_NOT_FOR_OPERATORS = ("empty", "images")
"""Kinds of errors that depend on the question."""


class ResilientLLM:
    """Asks the providers of a tier in order until one completes its answer. Each model has its own circuit breaker.

    Yields Restarted when the text so far must be discarded. Raises ContextTooLong at once; otherwise raises one
    LLMError, with a message for users, after all providers failed. Ends with ``cut`` if the total timeout expires in
    the middle of the text.
    """

    def __init__(
        self,
        chains: Mapping[Tier, Sequence[Provider]],
        timeouts: Timeouts,
        *,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._chains = {tier: tuple(chain) for tier, chain in chains.items()}
        self._timeouts = timeouts
        self._clock = clock
        self._sleep = sleep
        self._rand = rand
        self._breakers: dict[tuple[int, str], Breaker] = {}
        self._budget = RetryBudget()

    def model(self, tier: Tier) -> str:
        return self._chains[tier][0].model(tier)

    async def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncGenerator[Event, None]:
        request = Request(prompt, meter, self._clock() + self._timeouts.total)
        self._budget.earn()
        chain = self._chains[prompt.tier]
        for place, provider in enumerate(chain):
            attempts = 3 if len(chain) == 1 else 2
            for number in range(attempts):
                if not self._may_call(provider, request, retry=number > 0):
                    break
                if request.failures:
                    yield Restarted(_restart_reason(request, provider))
                breaker = self._breaker(provider, prompt.tier)
                attempt = Attempt(provider, request, breaker, self._timeouts, self._clock)
                try:
                    async with aclosing(attempt.stream()) as events:
                        async for event in events:
                            yield event
                    return
                except ContextTooLong:
                    raise
                except LLMError as error:
                    self._record_failure(provider, error, request)
                    is_last = number == attempts - 1
                    has_fallback = place < len(chain) - 1
                    if is_last or not await self._wait_for_retry(error, number, request, has_fallback=has_fallback):
                        break
        raise self._all_failed(chain, request)

    async def count(self, prompt: Prompt) -> int | None:
        """Return the prompt's tokens by the first provider's count; None if it does not count."""
        return await self._chains[prompt.tier][0].count(prompt)

    async def ready(self) -> None:
        """Load the SDKs, so that the first question does not wait for them."""
        for provider in self._providers():
            await provider.ready()

    async def aclose(self) -> None:
        for provider in self._providers():
            await provider.aclose()

    def _may_call(self, provider: Provider, request: Request, *, retry: bool) -> bool:
        """Return whether the breaker, the deadline and the retry budget allow a call.

        A fallback to a provider whose breaker is closed needs no retry budget: its own breaker limits such calls.
        """
        tier = request.prompt.tier
        breaker = self._breaker(provider, tier)
        if not breaker.allows or self._clock() >= request.deadline or request.empty_answers > 1:
            return False
        extra = request.calls > 0 and (retry or breaker.is_open)
        chain = self._chains[tier]
        later = chain[chain.index(provider) + 1 :]
        probe = breaker.is_open and any(not self._breaker(other, tier).is_open for other in later)
        return self._budget.spend() if extra or probe else True

    def _record_failure(self, provider: Provider, error: LLMError, request: Request) -> None:
        request.failures.append((provider.name, error))
        if error.kind in _NOT_FOR_OPERATORS:
            return
        tier = request.prompt.tier
        if error.kind not in _NOT_OUTAGES:
            self._breaker(provider, tier).failed(error.retry_after)
        level = logging.WARNING if error.retryable else logging.ERROR
        log.log(level, "%s failed for %s: %s", provider.name, provider.model(tier), error)

    async def _wait_for_retry(self, error: LLMError, attempt: int, request: Request, *, has_fallback: bool) -> bool:
        """Wait with exponential backoff and full jitter; return False at once if the same provider is not retried."""
        if not error.retryable or (has_fallback and error.kind in _TIMEOUT_KINDS):
            return False
        if error.kind == "empty":
            return True
        wait = self._rand() * min(_MAX_BACKOFF, _BACKOFF * 2**attempt)
        wait = max(wait, error.retry_after or 0.0)
        longest = _MAX_WAIT_BEFORE_FALLBACK if has_fallback else _MAX_WAIT
        if wait > min(longest, request.deadline - self._clock()):
            return False
        await self._sleep(wait)
        return True

    def _all_failed(self, chain: Sequence[Provider], request: Request) -> LLMError:
        """Return the error to raise when no provider completed the answer."""
        errors = [error for _, error in request.failures]
        if errors and (len(chain) == 1 or errors[-1].kind == "empty") and not errors[-1].retryable:
            return errors[-1]
        failures = dict.fromkeys(f"{name}: {user_messages.reason(error.kind)}" for name, error in request.failures)
        called = {name for name, _ in request.failures}
        skipped = [provider.name for provider in chain if provider.name not in called]
        failures |= dict.fromkeys(f"{name}: {user_messages.BREAKER_OPEN}" for name in skipped)
        wait = min((self._breaker(provider, request.prompt.tier).wait for provider in chain), default=0.0)
        is_wrong_setup = bool(errors) and not skipped and all(error.needs_admin for error in errors)
        return LLMError(
            user_messages.no_model_available(failures, charged=request.charged, wrong_setup=is_wrong_setup),
            provider=errors[-1].provider if errors else "",
            retryable=not is_wrong_setup,
            retry_after=wait or None,
            status=errors[-1].status if errors else None,
            kind="setup" if is_wrong_setup else "exhausted",
        )

    def _breaker(self, provider: Provider, tier: Tier) -> Breaker:
        """Return the breaker of the provider's model for this tier. Tiers with the same model share one."""
        return self._breakers.setdefault((id(provider), provider.model(tier)), Breaker(self._clock))

    def _providers(self) -> Iterator[Provider]:
        unique = {id(provider): provider for chain in self._chains.values() for provider in chain}
        return iter(unique.values())


def _restart_reason(request: Request, provider: Provider) -> str:
    name, error = request.failures[-1]
    if name == provider.name:
        return user_messages.retried(name, error.kind)
    return user_messages.fell_back(name, error.kind, provider.name)
