"""Meters provider calls: each call is reported to the ledger exactly once, with usage and cost, however it ends."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from bot.engine.ports.llm import Meter, Prompt, RecordingMeter
from bot.llm.prices import Cost
from bot.llm.providers import images
from bot.llm.tokens import TokenCounter, is_near, max_tokens_per_character
from bot.types.usage import Call, CallStatus, Usage

MESSAGE_OVERHEAD = 5
"""Tokens of a message in addition to its text: role and separators."""

_MAX_PROMPT_TOKENS = 5_000_000
"""Maximum plausible tokens of one prompt. A higher reported number is an error of the provider."""


@dataclass(frozen=True, slots=True)
class Accounting:
    """The dependencies of metering: token counter, prices, clock and context windows."""

    counter: TokenCounter
    price: Callable[[str, Usage], Cost]
    clock: Callable[[], float] = time.perf_counter
    context: Callable[[str], int | None] = lambda _: None
    """Returns the context window of a model in tokens; None if it is unknown."""


@dataclass(slots=True)
class MeteredCall:
    """Tracks one call until it is settled. ``sent`` is true once the provider may charge for the prompt."""

    prompt: Prompt
    provider: str
    model: str
    meter: Meter
    accounting: Accounting
    sent: bool = False
    usage: Usage | None = None
    complete: bool = False
    """Whether ``usage`` is final, not a partial count."""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    responding: bool = False
    """Whether the provider has begun to answer: a connection that breaks from now on cuts a stream."""
    _text: list[str] = field(default_factory=list)
    _reasoning: list[str] = field(default_factory=list)
    _started: float = 0.0
    _first_text: float | None = None
    _last_text: float = 0.0
    _gaps: list[float] = field(default_factory=list)
    _settled: bool = False

    def __post_init__(self) -> None:
        self._started = self.accounting.clock()

    def add_text(self, text: str) -> None:
        """Record text that the provider sent."""
        now = self.accounting.clock()
        if self._first_text is None:
            self._first_text = now
        else:
            self._gaps.append((now - self._last_text) * 1000)
        self._last_text = now
        self._text.append(text)

    def add_reasoning(self, text: str) -> None:
        """Record reasoning that the provider sent as text. It is billed like the answer."""
        self._reasoning.append(text)

    @property
    def prompt_estimate(self) -> int:
        """Return the prompt's tokens by the local count."""
        return estimate_prompt(self.prompt, self.model, self.accounting.counter)

    async def record_start(self) -> None:
        """Record the call before it is sent, if the meter records starts."""
        if not isinstance(self.meter, RecordingMeter):
            return
        usage = Usage(input_tokens=self.prompt_estimate)
        await self.meter.opens(self._call(usage, "open", estimated=True))
        self._started = self.accounting.clock()

    def settle(self, status: CallStatus, error: str = "") -> None:
        """Report the call. Later calls of this method do nothing."""
        if self._settled:
            return
        self._settled = True
        usage, estimated = self._final_usage()
        latency = (self.accounting.clock() - self._started) * 1000
        first_text = None if self._first_text is None else (self._first_text - self._started) * 1000
        call = self._call(usage, status, estimated=estimated)
        gaps = tuple(self._gaps)
        self.meter(replace(call, latency_ms=latency, ttft_ms=first_text, error=error, chunk_gaps_ms=gaps))

    def _call(self, usage: Usage, status: CallStatus, *, estimated: bool) -> Call:
        """Return the call for the ledger, without its times."""
        cost = self._cost(usage)
        return Call(
            purpose=self.prompt.purpose,
            provider=self.provider,
            model=self.model,
            tier=self.prompt.tier,
            usage=usage,
            cost_usd=cost.usd,
            price_version=cost.version,
            status=status,
            latency_ms=0.0,
            estimated=estimated,
            id=self.id,
        )

    def _cost(self, usage: Usage) -> Cost:
        """Return the call's cost. Without tokens it is zero, even if the model's price is unknown."""
        cost = self.accounting.price(self.model, usage)
        return Cost(Decimal(0), cost.version) if cost.usd is None and not usage.total_tokens else cost

    def _final_usage(self) -> tuple[Usage, bool]:
        """Return the usage to report, and whether it is an estimate."""
        text, counter = "".join(self._text), self.accounting.counter
        reasoned = counter.count("".join(self._reasoning), self.model) if self._reasoning else 0
        if self.usage is not None and self.complete and is_plausible(self.usage, text, self.prompt.max_tokens):
            if not has_images(self.prompt):
                counter.learn(self.model, self.prompt_estimate, self.usage.prompt_tokens)
            reasoning = self.usage.reasoning_tokens or min(reasoned, self.usage.completion_tokens)
            return replace(self.usage, reasoning_tokens=reasoning), False
        if not self.sent:
            return Usage(), False
        written = counter.count(text, self.model) + reasoned
        partial = self.usage
        if partial is not None and 0 < partial.prompt_tokens <= _MAX_PROMPT_TOKENS and min(_numbers(partial)) >= 0:
            written = max(written, partial.completion_tokens)
            return Usage(*_numbers(partial)[:4], completion_tokens=written, reasoning_tokens=reasoned), True
        return Usage(input_tokens=self.prompt_estimate, completion_tokens=written, reasoning_tokens=reasoned), True


def estimate_prompt(prompt: Prompt, model: str, counter: TokenCounter) -> int:
    """Return the tokens of a prompt, including its images, by the local count."""
    texts = [prompt.system, *(message.text for message in prompt.messages)]
    attached = [image for message in prompt.messages for image in message.images]
    text_tokens = sum(counter.count(text, model) + MESSAGE_OVERHEAD for text in texts)
    return text_tokens + sum(images.tokens(image, model) + MESSAGE_OVERHEAD for image in attached)


def has_images(prompt: Prompt) -> bool:
    """Return whether the prompt has images. The token counter must not learn from such prompts."""
    return any(message.images for message in prompt.messages)


def may_be_near(prompt: Prompt, limit: int) -> bool:
    """Return whether the prompt may be near ``limit`` tokens, by a cheap check of its length in characters."""
    characters = len(prompt.system) + sum(len(message.text) for message in prompt.messages)
    return has_images(prompt) or is_near(math.ceil(characters * max_tokens_per_character()), limit)


def is_plausible(usage: Usage, text: str, max_tokens: int) -> bool:
    """Return whether reported usage can be true. Some proxies and local servers report zeros or nonsense."""
    if min(_numbers(usage)) < 0 or not 0 < usage.prompt_tokens <= _MAX_PROMPT_TOKENS:
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
