"""The nouns of the bot: frozen values that every floor shares. They import nothing but the standard library."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

Platform = Literal["slack", "discord", "web", "console"]
Tier = Literal["cheap", "strong"]
Purpose = Literal["answer", "rewrite", "summary", "route", "judge", "embedding"]
CallStatus = Literal["open", "ok", "cancelled", "error"]
BudgetOwner = Literal["user", "channel", "tenant"]
FactKind = Literal["preference", "decision", "name", "open question", "note"]
IncomingKind = Literal["mention", "dm", "follow_up", "ask", "overheard"]
Role = Literal["admin", "member"]
TurnState = Literal["queued", "running", "done", "refused", "failed", "cancelled"]

UNLIMITED = 10**15
"""Tokens a day: as many as this are no limit."""

LOCAL_TENANT = "local"
"""The home tenant: the terminal, the playground, and the team's own workspaces."""


# --- who asks what, and where


@dataclass(frozen=True, slots=True)
class ThreadKey:
    """A conversation, by the platform's own ids.

    ``tenant_id`` is ``slack:TEAM``, ``discord:GUILD`` or ``local`` (see ``Settings.tenant_of``).
    ``thread_id`` is the platform's id of the thread (Slack: ts of its first message; Discord: thread or DM channel).
    """

    tenant_id: str
    platform: Platform
    channel_id: str
    thread_id: str


@dataclass(frozen=True, slots=True)
class Author:
    """A person. ``is_admin`` is what the platform says, or the operator's PARLEY_ADMINS."""

    id: str
    name: str
    is_admin: bool = False

    @property
    def role(self) -> Role:
        """What a limit for a role goes by."""
        return "admin" if self.is_admin else "member"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file beside a message; ``read`` fetches its bytes when they are needed.

    ``ref`` is what the platform needs to fetch it again after a restart; without one it is no context of a question.
    """

    name: str
    content_type: str
    size: int
    read: Callable[[], Awaitable[bytes]]
    ref: str = ""


@dataclass(frozen=True, slots=True)
class Attached:
    """What stands beside a stored question: a file, or the ``thread`` above it.

    ``text`` is None until it was read, and stays so for images. ``people`` are the ids of those whose words a thread
    holds. ``own``: it belongs to the turn that is asked about, not to an earlier one of its thread.
    """

    turn_id: str
    position: int
    kind: Literal["file", "thread"]
    name: str
    content_type: str = ""
    size: int = 0
    ref: str = ""
    text: str | None = None
    people: tuple[str, ...] = ()
    own: bool = False


@dataclass(frozen=True, slots=True)
class Above:
    """The messages of a thread before a question, oldest first, one ``name: text`` a line; ``people`` are their ids."""

    text: str
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message for the bot. ``text`` has the bot's own mention taken out; ``message_id`` is unique in its channel."""

    thread: ThreadKey
    message_id: str
    author: Author
    text: str
    kind: IncomingKind
    sent_at: datetime
    attachments: tuple[Attachment, ...] = ()
    wish: Tier | None = None
    fresh: bool = False
    """Skip the answer cache: the asker wants a new answer."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One question on its way to its answer, as it is stored.

    ``parts`` are the references of the reply messages known so far; ``recorded`` is how many are on record, with those
    that were about to be posted when their process died. ``takeovers`` is how many deaths of processes are noted
    against it (``bot.engine.suspicion``).
    """

    id: str
    thread: ThreadKey
    message_id: str
    author: Author
    question: str
    wish: Tier | None
    fresh: bool
    created_at: datetime
    parts: tuple[str, ...] = ()
    recorded: int = 0
    takeovers: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write for a turn: every later write names ``fence`` and fails once another holds the turn.

    ``takeovers`` and ``recorded`` are as in ``Turn``; ``stopping`` says that somebody has stopped it, ``announced``
    that its first message has been put on record as about to be posted.
    """

    turn_id: str
    fence: int
    takeovers: int = 0
    recorded: int = 0
    stopping: bool = False
    announced: bool = False


NoticeKind = Literal["ready", "stop", "moved", "dead", "connected"]


@dataclass(frozen=True, slots=True)
class Notice:
    """What a process is told of the others.

    ``ready``: a queued turn may run now, in the process ``holder`` or, where that is 0, in any that serves its
    platform; ``stop``: somebody stopped the turn; ``moved``: its question was changed or deleted, so that whoever runs
    it has lost it; ``dead``: a process died that held turns; ``connected``: notices may have been missed until now.
    """

    kind: NoticeKind
    turn_id: str = ""
    platform: str = ""
    holder: int = 0


@dataclass(frozen=True, slots=True)
class Pacing:
    """What a process tells the others of its edits in one workspace.

    ``streams`` are under way there, ``starts`` were begun within the last minute. ``slow`` is how many times the
    promised spacing its edits have; ``pause`` the seconds, from now on, that the platform wants no edit at all.
    """

    tenant_id: str
    platform: str
    process_id: int
    streams: int
    starts: int
    slow: float
    pause: float


@dataclass(frozen=True, slots=True)
class PastMessage:
    """One message of a thread's history. ``seq`` is that of its turn: a question and its answer share it."""

    seq: int
    role: Literal["user", "assistant"]
    author: str
    text: str
    tokens: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Fact:
    """What a person stated in a thread; of two about one ``subject`` the later holds. ``turn_id`` is its source."""

    id: str
    turn_id: str
    kind: FactKind
    subject: str
    text: str
    author_id: str
    author: str
    said_at: datetime


@dataclass(frozen=True, slots=True)
class History:
    """What a thread remembers: a summary up to the turn ``summary_upto``, and the messages after it."""

    summary: str
    summary_upto: int
    messages: tuple[PastMessage, ...]
    tier: Tier | None = None
    """The tier that answered last: routing is sticky in a thread."""


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """How the bot behaves in one channel; ``None`` leaves the default."""

    persona: str | None = None
    tier: Tier | None = None
    follow_ups: bool = True
    sources: tuple[str, ...] | None = None
    """Prefixes of the sources that answers draw on; None for every source."""
    auto_answer: bool = False
    """Answer questions that mention nobody, where the evidence is strong; stay silent otherwise."""
    paused: str | None = None
    """What is said instead of answers while an admin has the bot pause in the whole tenant."""


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """What an admin has set for the whole tenant. ``admins`` are ids of people beside those the platform names."""

    tier: Tier | None = None
    paused: str | None = None
    admins: tuple[str, ...] = ()


# --- what is shown


@dataclass(frozen=True, slots=True)
class Limits:
    """What a platform allows: characters of Markdown in one message, seconds between two edits, messages an answer.

    ``here_only`` says that this process alone can show something there: a turn must not be run by another.
    ``edits_per_minute`` is what all replies in one tenant share; None where they share nothing, or the platform's
    library waits by itself. ``appends``: a draft may grow by appending, so it is said how much of it is settled; while
    one does, ``edit_interval`` may be shorter.
    """

    message_chars: int
    edit_interval: float
    max_parts: int = 10
    here_only: bool = False
    edits_per_minute: float | None = None
    appends: bool = False


@dataclass(frozen=True, slots=True)
class Citation:
    """``quote`` is a literal piece of the passage: ``document.text[start:end]``. ``n`` is the marker in the answer."""

    n: int
    source: str
    title: str
    quote: str
    document_id: str = ""
    heading: tuple[str, ...] = ()
    page: int | None = None
    start: int = 0
    end: int = 0
    passage: int = 0
    """Index of the passage among those given to the model, from 0."""

    @property
    def place(self) -> str:
        """Where the quote stands, for a person: title, headings, page."""
        path = self.heading[1:] if self.heading[:1] == (self.title,) else self.heading
        return " › ".join((self.title or self.source, *path)) + (f", page {self.page}" if self.page else "")


Action = Literal["stop", "again", "strong", "up", "down", "why", "sources"]
"""A button under a message; the platform's words for it live in the platform."""


@dataclass(frozen=True, slots=True)
class Part:
    """One message of a reply as it should stand now. ``text`` is safe Markdown within ``Limits.message_chars``.

    ``sources``, ``notes`` and ``actions`` stand under the last part only. ``nonce`` names the part for platforms that
    can refuse to post the same message twice. ``waiting``: the text says what is going on, the answer has none yet.
    ``settled``: characters from the start that stay while the answer grows; None where it does not grow just now, or
    where ``Limits.appends`` is not set.
    """

    text: str
    nonce: str
    turn_id: str
    final: bool = False
    sources: tuple[Citation, ...] = ()
    notes: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()
    waiting: bool = False
    settled: int | None = field(default=None, compare=False)


# --- models, tokens and money


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, disjoint: the whole prompt is ``input + cached + cache_write + cache_write_long``."""

    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_long_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        """Every token that was sent, cached or not."""
        return self.input_tokens + self.cached_tokens + self.cache_write_tokens + self.cache_write_long_tokens

    @property
    def total_tokens(self) -> int:
        """What counts against a budget."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.cache_write_long_tokens + other.cache_write_long_tokens,
            self.completion_tokens + other.completion_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model provider as the ledger keeps it. ``cost_usd`` is None where the price is unknown.

    ``id`` (32 hexadecimal digits) names the row from before the call was sent, when it is ``open`` and an estimate.
    """

    purpose: Purpose
    provider: str
    model: str
    tier: Tier | None
    usage: Usage
    cost_usd: Decimal | None
    price_version: str
    status: CallStatus
    latency_ms: float
    ttft_ms: float | None = None
    estimated: bool = False
    error: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """Which model answers, and why, in words that ``why`` can show."""

    tier: Tier
    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens set aside for a turn, on one day, for its asker, its channel and its tenant at once."""

    id: str
    tokens: int
    day: date


@dataclass(frozen=True, slots=True)
class BudgetState:
    """Somebody's day: ``used`` and ``reserved`` tokens of ``limit``; ``resets_at`` is the tenant's next midnight."""

    used: int
    reserved: int
    limit: int
    resets_at: datetime
    whose: BudgetOwner = "user"

    @property
    def left(self) -> int:
        """Tokens that can still be set aside."""
        return max(0, self.limit - self.used - self.reserved)

    @property
    def unlimited(self) -> bool:
        """Whether only the use is counted."""
        return self.limit >= UNLIMITED


@dataclass(frozen=True, slots=True)
class Brief:
    """All that is on record for answering a turn, read at once.

    ``budgets`` are everything that limits it, the asker's, the channel's and the tenant's, as if its own
    ``reservation`` were not set aside; that is None where nothing is held for it. ``attached`` is what stands beside
    the turn and those before it in its thread, ``facts`` what holds there, oldest first.
    """

    settings: ChannelSettings
    history: History
    budgets: tuple[BudgetState, ...]
    attached: tuple[Attached, ...] = ()
    facts: tuple[Fact, ...] = ()
    reservation: Reservation | None = None


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An earlier answer to the same question.

    ``current``: no document at all has changed since it was found to stand. ``intact``: no document that it cites has.
    ``evidence`` digests what ``question``, in the words that it was asked in, found then.
    """

    turn_id: str
    answer: str
    citations: tuple[Citation, ...]
    created_at: datetime
    question: str = ""
    evidence: str = ""
    current: bool = True
    intact: bool = True


Lasting = Literal["hour", "stable"]
"""How long an answer may be given again: as long as what is so now, or as long as its documents stand."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is noted with an answer that is kept, to tell later whether it still stands."""

    question: str = ""
    evidence: str = ""
    knowledge_version: int = 0
    lasting: Lasting = "hour"


UNNOTED = Keeping()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ended. ``refused`` says in a person's words why there is no answer, else it is None."""

    turn_id: str
    thread: ThreadKey
    state: TurnState
    answer: str = ""
    citations: tuple[Citation, ...] = ()
    route: Route | None = None
    usage: Usage = Usage()
    cost_usd: Decimal | None = Decimal(0)
    cached: bool = False
    refused: str | None = None
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    calls: tuple[Call, ...] = ()
    trace: Mapping[str, Any] = field(default_factory=dict)
