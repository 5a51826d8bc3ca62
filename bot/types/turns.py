"""Defines turns: a stored question, its lease, the notices about it, and its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from bot.types.conversation import Author, Fact, History, StoredAttachment, ThreadKey
from bot.types.display import Citation
from bot.types.settings import ChannelSettings
from bot.types.usage import NO_USAGE, BudgetState, Call, Reservation, Route, Tier, Usage

TurnState = Literal["queued", "running", "done", "refused", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One question on its way to its answer, as it is stored.

    ``parts`` are the references of the reply messages known so far; ``recorded`` is how many are on record, with those
    that were about to be posted when their process died. ``takeovers`` is how many deaths of processes are noted
    against it (``bot.engine.answer.poison``).
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
class TurnRecord:
    """All that is on record for answering a turn, read at once.

    ``budgets`` are everything that limits it, the asker's, the channel's and the tenant's, as if its own
    ``reservation`` were not set aside; that is None where nothing is held for it. ``attached`` is what stands beside
    the turn and those before it in its thread, ``facts`` what holds there, oldest first.
    """

    settings: ChannelSettings
    history: History
    budgets: tuple[BudgetState, ...]
    attached: tuple[StoredAttachment, ...] = ()
    facts: tuple[Fact, ...] = ()
    reservation: Reservation | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ended. ``refused`` says in a person's words why there is no answer, else it is None."""

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
