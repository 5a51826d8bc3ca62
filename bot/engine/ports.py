"""What the engine needs from outside, each so narrow that a fake fits on a screen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

from bot.engine.memory import Quoted, Remembered, Report, Said
from bot.types import (
    UNNOTED,
    Above,
    Attached,
    Author,
    Brief,
    BudgetState,
    CachedAnswer,
    Call,
    ChannelSettings,
    Fact,
    History,
    Incoming,
    Keeping,
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

    @property
    def limits(self) -> Limits:
        """What the place allows just now."""

    async def post(self, part: Part) -> str:
        """Post a message and return the platform's reference to it."""

    async def edit(self, ref: str, part: Part) -> None:
        """Make the message read as ``part`` says."""

    async def delete(self, ref: str) -> None:
        """Take the message away; one that is gone already is no error."""

    async def find(self, nonce: str) -> str | None:
        """The reference of a message posted earlier under that nonce; None where there is none or it cannot be told.

        Asked only after a post of which nobody knows whether it went through.
        """


@runtime_checkable
class Surroundings(Protocol):
    """A Surface that can also tell what stands around the question. Raises UsageError, RateLimited or SurfaceError."""

    async def fetch(self, file: Attached) -> bytes:
        """The bytes of a file that was attached to the question."""

    async def above(self) -> Above | None:
        """The thread above the question, its authors named; None where there is nothing above it."""


@runtime_checkable
class Handing(Protocol):
    """A Surface that can hand over a file beside the reply. Raises RateLimited, MessageGone or SurfaceError."""

    async def hand_over(self, name: str, data: bytes) -> None: ...


class PartRecorder(Protocol):
    """Remembers each reply message before it is posted, and its reference after; the one that is on record then.

    A reference that is known stays: another process may have posted the same message. Raises LeaseLost.
    """

    async def __call__(self, index: int, ref: str | None) -> str | None: ...


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
class Opening(Protocol):
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


# --- Summariser: what a thread should remember


class Summariser(Protocol):
    """Asks a model for the next piece of a thread's summary and for the facts in it. Raises LLMError."""

    def prompt(self, request: Prompt, known: Sequence[Fact]) -> Prompt:
        """The request for a summary, asking for facts too; its prefix stays what it is."""

    async def __call__(self, request: Prompt, *, meter: Meter) -> Report: ...


# --- Reader: what is in a file


class Reader(Protocol):
    """Makes text or an image of a file's bytes. Raises ParseError or UsageError with one line."""

    async def __call__(self, name: str, content_type: str, data: bytes) -> str | Image: ...

    def tokens(self, image: Image, model: str) -> int:
        """What the model is billed for the image."""


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
        """Write inbox and turn, and set aside what the question will likely take, in one transaction; None when this
        message was accepted before. Raises StoreAway."""

    async def first(self, thread: ThreadKey, message_id: str) -> bool:
        """Note a message that becomes no turn; False where it was noted or accepted before, by any process."""

    async def turns_of(self, thread: ThreadKey, message_id: str) -> Sequence[Turn]:
        """The turn that a message became, then those that asked it again."""

    async def begin_anew(self, turn: Turn, question: str) -> Turn | None:
        """Queue the turn with a changed question; whoever runs it loses it. None where it asks just that already."""

    async def forget(self, turn: Turn) -> None:
        """End the turn and forget question, answer and what was made of them; whoever runs it loses it."""

    async def is_forgotten(self, turn: Turn) -> bool: ...

    async def withdrawn(self, platform: Platform, *, known: Collection[str] = (), most: int = 20) -> Sequence[Turn]:
        """Forgotten turns whose messages this process is to take away, ``known`` left out."""

    async def taken_away(self, turn: Turn) -> bool:
        """Forget the messages of a forgotten turn: they stand no more. False where its holder has to say so."""

    async def offer_part(self, turn: Turn, index: int, ref: str) -> str | None:
        """Put a message on record that was posted when the turn was lost; the reference that is on record then.

        None where the question was deleted.
        """

    async def ask_to_stop(self, turn: Turn) -> bool:
        """Tell whoever runs the turn, now or later, that it was stopped; False where it has ended."""

    async def open_turns(self, thread: ThreadKey) -> Sequence[Turn]:
        """The thread's turns that wait or run, oldest first."""

    async def lease(self, turn: Turn) -> Lease | None:
        """Take the turn for this process; None while the thread is busy. Raises LeaseLost once the turn has ended."""

    async def renew(self, turn: Turn, lease: Lease) -> None:
        """Prolong the lease. Raises LeaseLost."""

    async def brief(self, turn: Turn) -> Brief:
        """All that is on record for answering the turn."""

    async def history(self, turn: Turn) -> History: ...

    async def settings(self, thread: ThreadKey) -> ChannelSettings: ...

    async def keep_attachment(self, turn: Turn, attached: Attached) -> None:
        """Keep what was read of a file, or of the thread above."""

    async def turn(self, tenant_id: str, turn_id: str) -> Turn | None:
        """A stored turn, with the reply messages known so far."""

    async def admins(self, tenant_id: str) -> Collection[str]:
        """Ids of people whom an admin has made admins, beside those that the platform or the operator names."""

    async def knows(self, thread: ThreadKey) -> bool:
        """Whether the bot was ever asked in this thread."""

    async def unfinished(
        self, platform: Platform, *, known: Collection[str] = (), most: int = 100, suspects: bool = True
    ) -> Sequence[Turn]:
        """Turns for this process to run, kept for it from now on, the most urgent first; frees what the dead held.

        ``known`` are left out; one suspect at most is among them, and none unless ``suspects``.
        """

    async def serves(self, platform: Platform) -> None:
        """Note that this process serves the platform and has heard what was said before. Raises StoreAway."""

    async def last_served(self, platform: Platform) -> datetime | None:
        """When another process last served it; None where none did within a day."""

    async def direct_channels(self, platform: Platform) -> Sequence[str]:
        """Channels that are their own thread, in which the bot was asked within a week, the latest first."""

    async def hold(self, turn: Turn) -> bool:
        """Keep a queued turn for this process; False where it runs, has ended, or is another's."""

    async def release(self, turn: Turn) -> None:
        """Let any process run a queued turn that this one held."""

    async def record_waiting(self, turn: Turn, index: int, ref: str | None) -> str | None:
        """``record_part`` for a queued turn of this process. Raises LeaseLost once it is no longer that."""

    async def rate(self, turn: Turn, by: Author, value: int, reason: str) -> None: ...

    async def reserve(self, turn: Turn, tokens: int) -> Reservation:
        """Set tokens aside for the asker, the channel and the tenant, for all or for none. Raises OverBudget."""

    async def budget(self, tenant_id: str, user_id: str) -> BudgetState:
        """A person's own day."""

    async def budgets(self, tenant_id: str, channel_id: str, author: Author) -> tuple[BudgetState, ...]:
        """Everything that limits a turn of the author in the channel: own day, the channel's, the tenant's."""

    async def cached(self, tenant_id: str, key: str) -> CachedAnswer | None: ...

    async def still_stands(self, tenant_id: str, known: CachedAnswer, version: int) -> None:
        """Note that a kept answer was found to stand in this version of the knowledge."""

    async def record_part(self, turn: Turn, lease: Lease, index: int, ref: str | None) -> str | None:
        """See ``PartRecorder``."""

    async def change(self, turn: Turn, reservation: Reservation, tokens: int) -> Reservation:
        """Let a reservation stand at so many tokens. Raises OverBudget, and then it stands as before."""

    async def open_call(
        self, turn: Turn, call: Call, reservation: Reservation | None, *, tokens: int | None = None
    ) -> None:
        """Put a call on record before it is sent, the reservation standing at ``tokens`` from then on.

        Raises OverBudget where that is more than there is.
        """

    async def finish(
        self,
        turn: Turn,
        lease: Lease,
        outcome: Outcome,
        *,
        reservation: Reservation | None,
        cache_key: str | None,
        keeping: Keeping = UNNOTED,
    ) -> None:
        """In one transaction: reply, ledger, settled reservation, cache entry, released lease. Raises LeaseLost."""

    async def hand_back(
        self, turn: Turn, lease: Lease, calls: Sequence[Call], *, reservation: Reservation | None
    ) -> None:
        """Put an interrupted turn back into the queue; what its calls cost is settled. Raises LeaseLost."""

    async def bill(self, turn: Turn, calls: Sequence[Call], reservation: Reservation | None) -> None:
        """Ledger rows of calls made outside a turn's answer (summaries), settled at once."""

    async def summarise(
        self,
        turn: Turn,
        *,
        since: int,
        due: Sequence[PastMessage],
        summary: str,
        quoted: Sequence[Quoted] = (),
    ) -> bool:
        """In one transaction: append to the thread's summary what it says of the ``due`` messages, and keep the facts
        quoted from them. Neither, where the summary moved on from ``since`` or one of the messages was changed or
        deleted meanwhile; whether it was done."""


# --- Memory: what a thread remembers beyond its recent messages


class Memory(Protocol):
    """Always inside the turn's thread. Raises knowledge errors and ParleyError."""

    async def older(self, turn: Turn, query: str) -> Sequence[Remembered]:
        """The messages before the turn, oldest first, each with what it says about the query."""

    async def facts(self, turn: Turn) -> Sequence[Fact]:
        """What people stated in the thread and nobody stated otherwise later, oldest first."""

    async def learn(self, turn: Turn, said: Sequence[Said]) -> None:
        """Keep what the turn's author stated in it, in place of what was kept of the turn before."""

    async def index(self, turn: Turn) -> None:
        """Make the thread's messages up to the turn's answer searchable."""

    def terms(self, text: str) -> list[str]:
        """The telling words of a text, stemmed."""


Clock = Callable[[], datetime]
