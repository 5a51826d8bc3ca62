"""Makes one call to a provider under timeouts, and reports a stalled or empty answer as an error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Protocol

from bot.engine.ports.llm import Ended, Event, Meter, Prompt, RecordingMeter, Restarted, TextDelta
from bot.errors import LLMError
from bot.llm import user_messages
from bot.llm.circuit_breaker import Breaker, Clock
from bot.types.usage import Call, Tier


@dataclass(frozen=True, slots=True)
class AnswerComplete(TextDelta):
    """No more text: only the usage is still missing. The provider bounds the wait for it."""

    text: str = ""


class Provider(Protocol):
    """An LLM with a name that users can read. Its streams also say when only the usage is missing."""

    name: str

    def model(self, tier: Tier) -> str: ...

    async def ready(self) -> None:
        """Load what the first call needs. This time does not count against the provider's timeouts."""

    async def count(self, prompt: Prompt) -> int | None:
        """Return the prompt's tokens by the provider's own count; None if it has none. Never raises."""

    def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncGenerator[Event, None]: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds until the first text, between two pieces of text, and for a whole request with all its attempts.

    The connection timeout is set in the providers' clients.
    """

    first_token: float = 30.0
    idle: float = 20.0
    total: float = 120.0


@dataclass(slots=True)
class Request:
    """The state of one request across all attempts. ``deadline`` is in seconds of the clock."""

    prompt: Prompt
    meter: Meter
    deadline: float
    calls: int = 0
    failures: list[tuple[str, LLMError]] = field(default_factory=list)
    """Provider names and errors, in order."""
    charged: bool = False
    empty_answers: int = 0

    def book(self, call: Call) -> None:
        """Report a call to the meter."""
        self.charged = self.charged or call.usage.total_tokens > 0
        self.meter(replace(call, attempt=self.calls))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of a request to one provider."""

    provider: Provider
    request: Request
    breaker: Breaker
    timeouts: Timeouts
    clock: Clock

    async def stream(self) -> AsyncGenerator[Event, None]:
        """Stream the answer. Raises LLMError, also for a stalled or an empty answer.

        Ends with ``cut`` if the total timeout expires after some text. A call that a timeout ended is booked as an
        error, not as a cancellation.
        """
        request, provider = self.request, self.provider
        is_probe = self.breaker.begin()
        request.calls += 1
        calls: list[Call] = []
        expired = ""
        wrote = complete = False
        try:
            await provider.ready()
            async with aclosing(provider.stream(request.prompt, meter=_deferred(calls, request.meter))) as events:
                while True:
                    seconds, timeout = (None, "") if complete else self._next_timeout(wrote)
                    try:
                        async with asyncio.timeout(seconds):
                            event = await anext(events)
                    except TimeoutError:
                        expired = timeout
                        break
                    if isinstance(event, AnswerComplete):
                        complete = True
                        continue
                    if isinstance(event, Ended):
                        self._check_not_empty(wrote, event)
                        self.breaker.succeeded()
                        yield event
                        return
                    wrote = _has_written(wrote, event)
                    yield event
        finally:
            if is_probe:
                self.breaker.dismiss()
            for call in calls:
                request.book(replace(call, status="error", error=f"stalled ({expired})") if expired else call)
        if expired == "total" and wrote:
            self.breaker.failed()
            yield Ended("cut", provider.model(request.prompt.tier), calls[-1].provider if calls else provider.name)
            return
        raise LLMError(
            user_messages.stalled(provider.name, after_text=expired == "idle"),
            retryable=True,
            kind=expired,
            provider=provider.name,
        )

    def _next_timeout(self, wrote: bool) -> tuple[float, str]:
        """Return the seconds to wait for the next event, and the name of the timeout."""
        left = self.request.deadline - self.clock()
        seconds, name = (self.timeouts.idle, "idle") if wrote else (self.timeouts.first_token, "first_token")
        return (left, "total") if left <= seconds else (seconds, name)

    def _check_not_empty(self, wrote: bool, event: Ended) -> None:
        if wrote or event.reason == "refused":
            return
        name = self.provider.name
        if event.reason == "cut":
            raise LLMError(user_messages.no_text_before_limit(name), provider=event.provider, kind="thought")
        self.request.empty_answers += 1
        raise LLMError(
            user_messages.empty_answer(name),
            provider=event.provider,
            retryable=self.request.empty_answers < 2,
            kind="empty",
        )


def _has_written(before: bool, event: Event) -> bool:
    """Return whether the answer has text after the event."""
    if isinstance(event, Restarted):
        return False
    return before or (isinstance(event, TextDelta) and bool(event.text.strip()))


@dataclass(frozen=True, slots=True)
class _DeferredMeter:
    """Keeps the calls of one attempt until its end is known. Records their start with the request's meter at once."""

    calls: list[Call]
    meter: RecordingMeter

    def __call__(self, call: Call) -> None:
        self.calls.append(call)

    async def opens(self, call: Call) -> None:
        await self.meter.opens(call)


def _deferred(calls: list[Call], meter: Meter) -> Meter:
    return _DeferredMeter(calls, meter) if isinstance(meter, RecordingMeter) else calls.append
