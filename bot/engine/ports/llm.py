"""Port to language models: prompts, streamed events, and the meter that records provider calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from bot.types.conversation import Fact, PastMessage
from bot.types.usage import Call, Purpose, Tier
from knowledge.types.search_results import Passage

CacheLife = Literal["5m", "1h"]
"""How long a provider caches a prefix after its last read. The longer life costs more to write."""


ImageType = Literal["image/png", "image/jpeg", "image/gif", "image/webp"]


@dataclass(frozen=True, slots=True)
class Image:
    """A checked image as providers accept it, made by ``bot.llm.providers.images.read``. Width and height in pixels."""

    media_type: ImageType
    data: bytes = field(repr=False)
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt. ``cache`` requests a prompt-cache breakpoint with that life after it."""

    role: Literal["user", "assistant"]
    text: str
    cache: CacheLife | None = None
    images: tuple[Image, ...] = ()
    """Placed before the text."""


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A part of a question that one search cannot answer: its ``label`` for display, and what it found on its own."""

    text: str
    label: str
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request to a model. ``system`` is stable; providers cache it for at least ``system_cache`` if long enough.

    ``cache_key`` names the thread for providers that route by it. The rest is for the extractive answerer, which
    sends nothing: the ``question`` and its ``parts``, the words ``carried`` over from earlier questions, the
    ``passages``, the statements ``told`` by a message that asks nothing, the thread's relevant ``facts`` and earlier
    messages ``said``, and whether documents were ``looked_up``. With ``overview``, the
    question is about all the passages.
    """

    purpose: Purpose
    tier: Tier
    system: str
    messages: tuple[Message, ...]
    max_tokens: int
    question: str = ""
    passages: tuple[Passage, ...] = ()
    cache_key: str = ""
    system_cache: CacheLife = "5m"
    told: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    said: tuple[PastMessage, ...] = ()
    looked_up: bool = True
    overview: bool = False
    carried: tuple[str, ...] = ()
    parts: tuple[PromptPart, ...] = ()
    schema: Mapping[str, Any] | None = None
    """JSON schema that the answer must match, for providers that can enforce it."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """A retry started: discard all text so far. ``reason`` is recorded in the trace."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event. ``cut``: max_tokens ended the text; ``refused``: the model or a filter declined."""

    reason: Literal["complete", "cut", "refused"]
    model: str
    provider: str
    outage: str = ""
    """What failed and how to fix it, for operators, if no model could answer and the text only quotes the passages."""


Event = TextDelta | Restarted | Ended


Meter = Callable[[Call], None]
"""Receives every provider call after it has ended, including cancelled and failed ones."""


@runtime_checkable
class RecordingMeter(Protocol):
    """A meter that also receives each call before it is sent, so that a crash leaves no unrecorded call."""

    def __call__(self, call: Call) -> None:
        """Record a call that has ended."""

    async def opens(self, call: Call) -> None:
        """Record a call about to be sent. If this raises OverBudget or StoreAway, the call must not be sent."""


class LLM(Protocol):
    """A language model. A stream ends with one Ended or raises LLMError; closing it early stops the provider."""

    def model(self, tier: Tier) -> str:
        """Return the name of the model that is tried first for this tier."""

    async def ready(self) -> None:
        """Load what the first call needs, so that the first asker does not wait for it."""

    async def count(self, prompt: Prompt) -> int | None:
        """Return the provider's own free count of the prompt's tokens, or None if it has none. Never raises."""

    def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncIterator[Event]:
        """Stream the model's answer."""

    async def aclose(self) -> None:
        """Close connections."""
