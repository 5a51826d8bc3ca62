"""One provider call from its start to its ledger row, reported exactly once, however it ends."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.engine.ports.llm import Meter, Prompt, RecordingMeter
from bot.llm import images
from bot.llm.prices import Cost
from bot.llm.tokens import MOST_A_CHARACTER, TokenCounter, is_near
from bot.types.usage import Call, CallStatus, Usage

MESSAGE_OVERHEAD = 5
"""Tokens that a message costs beside its text: role and separators."""

_LARGEST_PROMPT = 5_000_000


@dataclass(frozen=True, slots=True)
class Books:
    """What every call is booked with."""

    counter: TokenCounter
    price: Callable[[str, Usage], Cost]
    clock: Callable[[], float] = time.perf_counter
    context: Callable[[str], int | None] = lambda _: None
    """Tokens that a model holds; None where it is not known."""


@dataclass(slots=True)
class OpenCall:
    """Follows one call. ``sent`` turns true once the provider may charge for the prompt."""

    prompt: Prompt
    provider: str
    model: str
    meter: Meter
    books: Books
    sent: bool = False
    usage: Usage | None = None
    complete: bool = False
    """Whether ``usage`` is the final word of the provider, not a first part of it."""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    _text: list[str] = field(default_factory=list)
    _started: float = 0.0
    _first: float | None = None
    _settled: bool = False

    def __post_init__(self) -> None:
        self._started = self.books.clock()

    def wrote(self, text: str) -> None:
        """More text came."""
        if self._first is None:
            self._first = self.books.clock()
        self._text.append(text)

    @property
    def prompt_estimate(self) -> int:
        """Tokens of the prompt by the local count."""
        return estimate_prompt(self.prompt, self.model, self.books.counter)

    async def open(self) -> None:
        """Put the call on record before it is sent, where the meter wants that."""
        if not isinstance(self.meter, RecordingMeter):
            return
        usage = Usage(input_tokens=self.prompt_estimate)
        cost = self.books.price(self.model, usage)
        await self.meter.opens(
            Call(
                purpose=self.prompt.purpose,
                provider=self.provider,
                model=self.model,
                tier=self.prompt.tier,
                usage=usage,
                cost_usd=cost.usd,
                price_version=cost.version,
                status="open",
                latency_ms=0.0,
                estimated=True,
                id=self.id,
            )
        )
        self._started = self.books.clock()

    def settle(self, status: CallStatus, error: str = "") -> None:
        """Report the call; every later settlement is ignored."""
        if self._settled:
            return
        self._settled = True
        usage, estimated = self._final_usage()
        cost = self.books.price(self.model, usage)
        ended = self.books.clock()
        self.meter(
            Call(
                purpose=self.prompt.purpose,
                provider=self.provider,
                model=self.model,
                tier=self.prompt.tier,
                usage=usage,
                cost_usd=cost.usd,
                price_version=cost.version,
                status=status,
                latency_ms=(ended - self._started) * 1000,
                ttft_ms=None if self._first is None else (self._first - self._started) * 1000,
                estimated=estimated,
                error=error,
                id=self.id,
            )
        )

    def _final_usage(self) -> tuple[Usage, bool]:
        text = "".join(self._text)
        if self.usage is not None and self.complete and plausible(self.usage, text, self.prompt.max_tokens):
            if not has_images(self.prompt):
                self.books.counter.learn(self.model, self.prompt_estimate, self.usage.prompt_tokens)
            return self.usage, False
        if not self.sent:
            return Usage(), False
        written = self.books.counter.count(text, self.model)
        known = self.usage
        if known is not None and 0 < known.prompt_tokens <= _LARGEST_PROMPT and min(_numbers(known)) >= 0:
            return Usage(*_numbers(known)[:4], completion_tokens=max(written, known.completion_tokens)), True
        return Usage(input_tokens=self.prompt_estimate, completion_tokens=written), True


def estimate_prompt(prompt: Prompt, model: str, counter: TokenCounter) -> int:
    """Tokens of a whole prompt by the local count."""
    texts = [prompt.system, *(message.text for message in prompt.messages)]
    shown = [image for message in prompt.messages for image in message.images]
    text = sum(counter.count(text, model) + MESSAGE_OVERHEAD for text in texts)
    return text + sum(images.tokens(image, model) + MESSAGE_OVERHEAD for image in shown)


def has_images(prompt: Prompt) -> bool:
    """Whether the estimate rests on more than text, which is all that a counter learns."""
    return any(message.images for message in prompt.messages)


def may_be_near(prompt: Prompt, limit: int) -> bool:
    """A first look that costs nothing: a prompt of few characters is far from any limit."""
    characters = len(prompt.system) + sum(len(message.text) for message in prompt.messages)
    return has_images(prompt) or is_near(math.ceil(characters * MOST_A_CHARACTER), limit)


def plausible(usage: Usage, text: str, max_tokens: int) -> bool:
    """Whether reported numbers can be true; proxies and local servers report zeros and worse."""
    if min(_numbers(usage)) < 0 or not 0 < usage.prompt_tokens <= _LARGEST_PROMPT:
        return False
    if text and usage.completion_tokens == 0:
        return False
    return usage.completion_tokens <= 4 * max_tokens + 1000 + len(text)


def _numbers(usage: Usage) -> tuple[int, int, int, int, int, int]:
    return (
        usage.input_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.cache_write_long_tokens,
        usage.completion_tokens,
        usage.reasoning_tokens,
    )
