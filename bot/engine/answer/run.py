"""What is known of one turn while it runs, and how that becomes its outcome."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from bot.engine.answer.attachment_text import NO_ATTACHED_CONTEXT, AttachedContext
from bot.engine.answer.citations import resolve
from bot.engine.cache.near_answers import SimilarAnswer
from bot.engine.memory import NOTHING, Remembered, Selected
from bot.types.conversation import Fact
from bot.types.display import Citation
from bot.types.turns import Lease, Outcome, Turn, TurnState
from bot.types.usage import BudgetState, Call, Reservation, Route, Usage
from knowledge.types import Found, Passage, Scope


async def _off_the_record(_: Call) -> None:
    """For runs whose calls are recorded once they are over."""


@dataclass(frozen=True, slots=True)
class RunMeter:
    """Takes note of the provider calls of a run, before they are sent and when they are over."""

    run: Run

    def __call__(self, call: Call) -> None:
        """A call is over, however it ended."""
        self.run.calls.append(call if call.id else replace(call, id=uuid.uuid4().hex))

    async def opens(self, call: Call) -> None:
        """A call is about to be sent."""
        await self.run.opens(call)


@dataclass(slots=True)
class Run:
    """The one mutable thing of the engine; it lives as long as ``Engine.handle``."""

    turn: Turn
    lease: Lease
    started: float
    scope: Scope
    state: TurnState = "running"
    calls: list[Call] = field(default_factory=list)
    reservation: Reservation | None = None
    budgets: tuple[BudgetState, ...] = ()
    route: Route | None = None
    query: str = ""
    found: Found | None = None
    looked_up: bool = True
    """False where the question asks for nothing that documents could hold."""
    told: tuple[str, ...] = ()
    """What the message states where it asks for nothing."""
    ahead: Found | None = None
    """What the question finds, where that was looked up to see whether an earlier answer still stands."""
    attached: tuple[Passage, ...] = ()
    """What attached files say to the question, where no model reads them."""
    read: tuple[str, ...] = ()
    """The files of the question that were read without a model."""
    passages: tuple[Passage, ...] = ()
    weak: bool = False
    shadowed: SimilarAnswer | None = None
    ground: str = ""
    draft: str = ""
    answer: str = ""
    citations: tuple[Citation, ...] = ()
    notes: list[str] = field(default_factory=list)
    refused: str | None = None
    cached_from: str | None = None
    cache_key: str | None = None
    restarts: list[str] = field(default_factory=list)
    prompt_tokens: int = 0
    """Of the answer's prompt, as measured."""
    spent_before: int = 0
    """Tokens of calls that were over when the answer's prompt was measured."""
    answer_tokens: int = 0
    left_out: int = 0
    timings_ms: dict[str, float] = field(default_factory=dict)
    lost: bool = False
    confirmed: float = 0.0
    """When the lease was last known to stand, monotonic."""
    remembered: tuple[Remembered, ...] = ()
    facts: tuple[Fact, ...] = ()
    language: str = ""
    past: Selected = NOTHING
    beside: AttachedContext = NO_ATTACHED_CONTEXT
    parts: dict[str, int] = field(default_factory=dict)
    """Tokens of each part of the prompt."""
    opens: Callable[[Call], Awaitable[None]] = _off_the_record

    @property
    def meter(self) -> RunMeter:
        """Told of every provider call."""
        return RunMeter(self)

    def needed(self, call: Call) -> int | None:
        """Tokens that should be set aside while the call runs; None where nothing is set aside for the run.

        The first attempt at an answer takes what its prompt was measured to need, what the question was expected to
        take beyond that being given back. Everything else lets stand what there is, as long as that covers it.
        """
        if self.reservation is None:
            return None
        spent = sum(over.usage.total_tokens for over in self.calls)
        if call.purpose != "answer" or not self.answer_tokens:
            return max(self.reservation.tokens, spent + call.usage.total_tokens if spent else 0)
        further = spent + call.usage.total_tokens + self.answer_tokens if spent else 0
        return max(self.prompt_tokens + self.spent_before + self.answer_tokens, further)

    def resolve(self) -> None:
        """Make the answer of the draft: markers checked against the passages, quotes found in them."""
        resolved = resolve(self.draft, self.passages)
        self.answer, self.citations = resolved.text, resolved.citations

    def refuse(self, reason: str) -> None:
        """End without an answer, for a reason that is nobody's failure."""
        self.state, self.refused = "refused", reason

    def fail(self, reason: str) -> None:
        """End without an answer, because something failed."""
        self.state, self.refused = "failed", reason

    def outcome(self) -> Outcome:
        """How the turn stands now."""
        return Outcome(
            turn_id=self.turn.id,
            thread=self.turn.thread,
            state=self.state,
            answer=self.answer,
            citations=self.citations,
            route=self.route,
            usage=sum((call.usage for call in self.calls), Usage()),
            cost_usd=cost_of(self.calls),
            cached=self.cached_from is not None,
            refused=self.refused,
            timings_ms=dict(self.timings_ms),
            calls=tuple(self.calls),
            trace=self._trace(),
        )

    def _trace(self) -> Mapping[str, Any]:
        return {
            "query": self.query,
            "searched": self.found.searched if self.found else "",
            "cached_from": self.cached_from,
            "passages": [_passage_trace(n, passage) for n, passage in enumerate(self.passages, 1)],
            "confidence": self.found.confidence if self.found else None,
            "knowledge_version": self.found.knowledge_version if self.found else None,
            "search_ms": dict(self.found.timings_ms) if self.found else {},
            "route": {"tier": self.route.tier, "model": self.route.model, "reason": self.route.reason}
            if self.route
            else None,
            "reserved_tokens": self.reservation.tokens if self.reservation else 0,
            "prompt_tokens_counted": self.prompt_tokens,
            "messages_left_out": self.left_out,
            "recalled": [[message.author, message.at.isoformat(), message.text] for message in self.past.recalled],
            "facts": [[fact.author, fact.said_at.isoformat(), fact.text] for fact in self.past.facts],
            "prompt_parts": dict(self.parts),
            "passages_left_out": len(self.found.passages) - len(self.passages) if self.found and self.passages else 0,
            "restarts": list(self.restarts),
            "notes": list(self.notes),
            "timings_ms": dict(self.timings_ms),
        }


def cost_of(calls: Sequence[Call]) -> Decimal | None:
    """Dollars of all calls; None as soon as one price is unknown."""
    costs = [call.cost_usd for call in calls]
    return None if None in costs else sum((cost for cost in costs if cost is not None), Decimal(0))


def cache_key_of(turn: Turn) -> str:
    """Names the thread for a provider that keeps equal prefixes on one machine; tells it nothing else."""
    thread = turn.thread
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{thread.tenant_id}/{thread.channel_id}/{thread.thread_id}").hex


def _passage_trace(n: int, passage: Passage) -> dict[str, Any]:
    return {
        "n": n,
        "source": passage.source,
        "title": passage.title,
        "heading": list(passage.heading),
        "page": passage.page,
        "place": passage.place,
        "start": passage.start,
        "end": passage.end,
        "score": passage.score,
        "legs": {
            "dense": passage.legs.dense,
            "sparse": passage.legs.sparse,
            "fused": passage.legs.fused,
            "rerank": passage.legs.rerank,
        },
        "text": passage.text,
    }
