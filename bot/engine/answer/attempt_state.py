"""One attempt at a turn: its lease, its accounting, and the partial results that are kept if it fails or is stopped."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from bot.engine.answer.accounting import Accounting
from bot.engine.answer.context import Context
from bot.engine.answer.lease import HeldLease
from bot.engine.answer.prompt import SentPrompt
from bot.types.conversation import ThreadKey
from bot.types.turns import Lease, Turn


@dataclass(slots=True)
class Journal:
    """What an answer has produced so far: the streamed text, notes to show, and lines for the trace.

    ``events`` are retries and fallbacks, for the trace only. ``sent`` is the prompt that ``text`` answers.
    """

    text: str = ""
    sent: SentPrompt | None = None
    notes: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    timings_ms: dict[str, float] = field(default_factory=dict)
    outage: str = ""
    """``Ended.outage`` of the answer."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a turn. ``started`` is monotonic, in seconds."""

    turn: Turn
    lease: HeldLease
    started: float
    accounting: Accounting
    journal: Journal

    @classmethod
    def begin(cls, context: Context, turn: Turn, lease: Lease) -> Attempt:
        """Start an attempt at a turn that this process has just leased."""
        now = context.monotonic()
        held = HeldLease(context.stores.leases, context.monotonic, turn, lease, confirmed=now)
        return cls(turn, held, now, Accounting(turn, context.stores.budgets, context.telemetry), Journal())


def cache_key_of(thread: ThreadKey) -> str:
    """Return a name for the thread by which providers route equal prefixes to one machine; it reveals nothing else."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{thread.tenant_id}/{thread.channel_id}/{thread.thread_id}").hex
