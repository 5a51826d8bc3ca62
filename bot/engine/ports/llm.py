"""Port to language models: prompts, streamed events, and the meter that records provider calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from bot.types.conversation import (
    Fact,
    PastMessage,
)
from bot.types.usage import Call, Purpose, Tier
from knowledge.types import Passage

CacheLife = Literal["5m", "1h"]
"""How long a provider keeps a prefix since it was last read; the longer life costs more to write."""


ImageType = Literal["image/png", "image/jpeg", "image/gif", "image/webp"]


@dataclass(frozen=True, slots=True)
class Image:
    """An image as providers take it, checked; ``width`` and ``height`` in pixels. ``bot.llm.images.read`` makes it."""

    media_type: ImageType
    data: bytes = field(repr=False)
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt. ``cache`` asks for a prompt-cache breakpoint after it, of that life."""

    role: Literal["user", "assistant"]
    text: str
    cache: CacheLife | None = None
    images: tuple[Image, ...] = ()
    """Shown before the text."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request to a model. ``system`` is stable and cached where it is long enough, ``system_cache`` long at least.

    The extractive answerer reads ``question``, as it stands alone, ``passages``, what the message ``told`` where it
    asks for nothing, and of the thread the ``facts`` and sentences ``said`` before that bear on the question;
    ``looked_up`` is false where there was nothing to look for.
    ``cache_key`` names the thread for providers that route by it.
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
    schema: Mapping[str, Any] | None = None
    """The JSON schema that the answer must fit, for providers that can hold a model to it."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """Another attempt began: all text so far is void. ``reason`` is for the trace."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The terminal event. ``cut`` when max_tokens ended the text, ``refused`` when the model or a filter did."""

    reason: Literal["complete", "cut", "refused"]
    model: str
    provider: str


Event = TextDelta | Restarted | Ended


Meter = Callable[[Call], None]
"""Told of every provider call once it is over, however it ended: cancelled and failed ones too."""


@runtime_checkable
class RecordingMeter(Protocol):
    """A meter that is also told of a call before it is sent, so that no call goes unrecorded where a process dies."""

    def __call__(self, call: Call) -> None: ...

    async def opens(self, call: Call) -> None:
        """Put an ``open`` call on record. Raises OverBudget or StoreAway: the call must not be sent then."""


class LLM(Protocol):
    """Writes. The stream ends with exactly one Ended, or raises LLMError; closing it early stops the provider."""

    def model(self, tier: Tier) -> str:
        """The name of the model that answers first for this tier."""

    async def ready(self) -> None:
        """Load what the first call needs, so that nobody waits for it."""

    async def count(self, prompt: Prompt) -> int | None:
        """Tokens of the prompt by the provider's own count, free; None where there is none. Raises nothing."""

    def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncIterator[Event]: ...

    async def aclose(self) -> None: ...
