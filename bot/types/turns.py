"""Defines turns: a stored question, its lease, the notices about it, and its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from bot.types.audience import UNCHECKED, Audience
from bot.types.conversation import Author, Fact, History, StoredAttachment, ThreadKey
from bot.types.display import Citation
from bot.types.settings import ChannelSettings
from bot.types.usage import NO_USAGE, BudgetState, Call, Reservation, Route, Tier, Usage

TurnState = Literal["queued", "running", "done", "refused", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Turn:
    """A stored question on its way to an answer.

    ``parts`` are the references of the reply messages known so far. ``recorded`` counts those on record, including
    messages about to be posted when their process died. ``takeovers`` counts the process deaths charged to the turn
    (``bot.engine.answer.poison``).
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
    audience: Audience = UNCHECKED
    """Who reads the answer, as decided when the question was accepted."""


@dataclass(frozen=True, slots=True)
class TenantRoom:
    """How many turns of each tenant a process may start now: ``of`` some tenants, and ``otherwise`` of any other."""

    of: Mapping[str, int]
    otherwise: int

    def is_used_up(self, started: Mapping[str, int]) -> bool:
        """Return whether a tenant has no room left once the process has ``started`` so many of its turns."""
        return any(started.get(tenant, 0) >= self.of.get(tenant, self.otherwise) for tenant in {*self.of, *started})


UNLIMITED = TenantRoom({}, otherwise=2**31 - 1)
"""Room for as many turns of each tenant as there are."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The exclusive right to answer a turn. Every write names ``fence`` and fails once another process has the turn.

    ``takeovers`` and ``recorded`` are as in ``Turn``. ``stopping``: a user stopped the turn. ``announced``: its first
    message is recorded as about to be posted.
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
    """A notification from other processes.

    ``ready``: a queued turn may run now, in the process ``holder`` or, if that is 0, in any that serves its platform.
    ``stop``: a user stopped the turn. ``moved``: its question was edited or deleted, so its lease is lost. ``dead``:
    a process that held turns died. ``connected``: notices may have been missed until now.
    """

    kind: NoticeKind
    turn_id: str = ""
    platform: str = ""
    holder: int = 0


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """Everything stored that an answer needs, read at once.

    ``budgets`` are today's budgets of the asker, the channel and the tenant, without the turn's own ``reservation``,
    which is None if nothing is reserved. ``attached`` are the attachments of the thread, ``facts`` its valid facts,
    oldest first. ``has_verified``: the tenant has verified answers.
    """

    settings: ChannelSettings
    history: History
    budgets: tuple[BudgetState, ...]
    attached: tuple[StoredAttachment, ...] = ()
    facts: tuple[Fact, ...] = ()
    reservation: Reservation | None = None
    has_verified: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ended. ``refused`` tells the asker why there is no answer, else it is None.

    ``tenant_wide``: the answer could use documents of the whole tenant. ``deliver_in``: the reply is not shown yet;
    if its process does not show it now, it is tried again in so many seconds.
    """

    turn_id: str
    thread: ThreadKey
    state: TurnState
    answer: str = ""
    citations: tuple[Citation, ...] = ()
    route: Route | None = None
    usage: Usage = NO_USAGE
    cost_usd: Decimal | None = Decimal(0)
    cached: bool = False
    refused: str | None = None
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    calls: tuple[Call, ...] = ()
    trace: Mapping[str, Any] = field(default_factory=dict)
    tenant_wide: bool = True
    deliver_in: float | None = None


@dataclass(frozen=True, slots=True)
class LateReply:
    """A stored reply that was not shown when its turn ended, leased to be shown now.

    ``outcome`` lacks usage, costs and calls. ``links`` are the addresses that the text may link. ``age`` is the number
    of seconds since the turn ended.
    """

    turn: Turn
    lease: Lease
    outcome: Outcome
    notes: tuple[str, ...]
    links: frozenset[str]
    age: float


@dataclass(frozen=True, slots=True)
class LateReplies:
    """Late replies to show now, and the seconds until the next is due; None if there is none."""

    due: tuple[LateReply, ...] = ()
    next_in: float | None = None
