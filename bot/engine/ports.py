"""What the engine needs from outside, each so narrow that a fake fits on a screen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from bot.types import (
    Author,
    BudgetState,
    CachedAnswer,
    Call,
    ChannelSettings,
    History,
    Incoming,
    Lease,
    Limits,
    Outcome,
    Part,
    PastMessage,
    Platform,
    Purpose,
    Reservation,
    ThreadKey,
    Tier,
    Turn,
)
from knowledge.types import Found, Passage, Scope

# --- Surface: where a reply is shown


class Surface(Protocol):
    """A place in a channel where one reply appears. Raises RateLimited, MessageGone or SurfaceError."""

    limits: Limits

    async def post(self, part: Part) -> str:
        """Post a message and return the platform's reference to it."""

    async def edit(self, ref: str, part: Part) -> None:
        """Make the message read as ``part`` says."""

    async def delete(self, ref: str) -> None:
        """Take the message away."""


class PartRecorder(Protocol):
    """Remembers each reply message before it is posted, and its reference after. Raises LeaseLost."""

    async def __call__(self, index: int, ref: str | None) -> None: ...


# --- LLM: who writes


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

    ``question``, as it stands alone, and ``passages`` are what the extractive answerer reads.
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


# --- Classifier: how hard a question is


@dataclass(frozen=True, slots=True)
class Verdict:
    """The tier that a question wants, and why; ``sure`` where that is worth leaving a warm thread for."""

    tier: Tier
    sure: bool
    reason: str


class Classifier(Protocol):
    """Judges a question; ``query`` is the question as it is searched for, made to stand alone.

    Raises nothing of a provider: one that asks a model has another to fall back on.
    """

    async def __call__(self, question: str, *, query: str, meter: Meter) -> Verdict: ...


# --- Rewriter: what a follow-up means


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A question as it stands alone, whether documents must be searched for it, and the language to answer in.

    ``language`` is an ISO 639-1 code, empty where it was not told.
    """

    question: str
    needs_search: bool = True
    language: str = ""


class Rewriter(Protocol):
    """Makes a question stand alone by asking a model. Raises LLMError."""

    def prompt(self, question: str, past: Sequence[PastMessage], *, cache_key: str = "") -> Prompt:
        """The request, for counting what it may cost. ``past`` are the last messages of the thread, oldest first."""

    async def __call__(self, request: Prompt, *, meter: Meter) -> Rewritten: ...


# --- Search: who finds


class Search(Protocol):
    """Finds passages. Raises knowledge errors; an empty knowledge base gives an empty Found."""

    async def version(self, tenant_id: str) -> int:
        """The tenant's knowledge version: it grows with every change of its documents."""

    async def __call__(self, query: str, scope: Scope, *, k: int = 5, earlier: Sequence[str] = ()) -> Found:
        """The k best passages; ``earlier`` are the questions asked before in the thread, oldest first."""


# --- Store: who remembers


class Store(Protocol):
    """What the engine remembers between calls, always inside the turn's tenant."""

    async def accept(self, incoming: Incoming) -> Turn | None:
        """Write inbox and turn in one transaction; None when this message was accepted before."""

    async def lease(self, turn: Turn) -> Lease | None:
        """Take the turn for this process; None while the thread is busy. Raises LeaseLost once the turn has ended."""

    async def renew(self, turn: Turn, lease: Lease) -> None:
        """Prolong the lease. Raises LeaseLost."""

    async def history(self, turn: Turn) -> History: ...

    async def settings(self, thread: ThreadKey) -> ChannelSettings: ...

    async def turn(self, tenant_id: str, turn_id: str) -> Turn | None:
        """A stored turn, with the reply messages known so far."""

    async def knows(self, thread: ThreadKey) -> bool:
        """Whether the bot was ever asked in this thread."""

    async def unfinished(self, platform: Platform) -> Sequence[Turn]:
        """Turns that no live process holds, oldest first."""

    async def rate(self, turn: Turn, by: Author, value: int, reason: str) -> None: ...

    async def reserve(self, turn: Turn, tokens: int) -> Reservation:
        """Set tokens aside for the asker, the channel and the tenant, for all or for none. Raises OverBudget."""

    async def budget(self, tenant_id: str, user_id: str) -> BudgetState:
        """A person's own day."""

    async def budgets(self, tenant_id: str, channel_id: str, author: Author) -> tuple[BudgetState, ...]:
        """Everything that limits a turn of the author in the channel: own day, the channel's, the tenant's."""

    async def cached(self, tenant_id: str, key: str) -> CachedAnswer | None: ...

    async def record_part(self, turn: Turn, lease: Lease, index: int, ref: str | None) -> None: ...

    async def finish(
        self,
        turn: Turn,
        lease: Lease,
        outcome: Outcome,
        *,
        reservation: Reservation | None,
        cache_key: str | None,
    ) -> None:
        """In one transaction: reply, ledger, settled reservation, cache entry, released lease. Raises LeaseLost."""

    async def hand_back(
        self, turn: Turn, lease: Lease, calls: Sequence[Call], *, reservation: Reservation | None
    ) -> None:
        """Put an interrupted turn back into the queue; what its calls cost is settled. Raises LeaseLost."""

    async def bill(self, turn: Turn, calls: Sequence[Call], reservation: Reservation | None) -> None:
        """Ledger rows of calls made outside a turn's answer (summaries), settled at once."""

    async def summarise(self, turn: Turn, *, since: int, summary: str, upto: int) -> bool:
        """Append to the thread's summary, unless it moved on from ``since`` meanwhile; whether it was appended."""


Clock = Callable[[], datetime]
