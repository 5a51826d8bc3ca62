"""Selects old messages and facts for the prompt: the most relevant that fit into a budget, in order. Does no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from bot.engine.memory.history_selection import RECALL_SHARE, Selected, select, shortened
from bot.types.conversation import Fact, History, PastMessage

FACT_SHARE = 0.15
"""Largest share of the history budget for facts."""
LEAST = 0.0
"""Least relevance of a recalled message; 0 is the mean relevance of its thread's messages."""
MOST_OF_ONE = 0.25
"""Largest share of the recall budget for one message."""
GAP = 3
"""The selection stops after this many successive messages do not fit, because later ones are less relevant."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """An old message and its relevance to the question, in standard deviations above the mean of the thread."""

    message: PastMessage
    relevance: float


def compose(
    history: History,
    older: Sequence[Remembered],
    budget: int,
    count: Callable[[str], int],
    *,
    facts: Sequence[Fact] = (),
) -> Selected:
    """Return the recent messages and, in the rest of ``budget`` tokens, facts and the most relevant older messages."""
    recent = select(history, int(budget * (1 - RECALL_SHARE)) if older else budget, count)
    shown_facts = latest(facts, min(int(budget * FACT_SHARE), budget - recent.tokens(count)), count)
    room = budget - recent.tokens(count) - sum(count(note(fact)) for fact in shown_facts)
    shown = {(message.seq, message.role) for message in recent.messages}
    unseen = [one for one in older if (one.message.seq, one.message.role) not in shown]
    return replace(recent, facts=shown_facts, recalled=recalled(unseen, room, count))


def latest(facts: Sequence[Fact], budget: int, count: Callable[[str], int]) -> tuple[Fact, ...]:
    """Return the latest facts that fit into ``budget`` tokens, oldest first."""
    kept: list[Fact] = []
    for fact in reversed(facts):
        budget -= count(note(fact))
        if budget < 0:
            break
        kept.append(fact)
    return tuple(reversed(kept))


def note(fact: Fact) -> str:
    """Return a fact as the prompt shows it, with author and date."""
    return f"- {fact.author}, {fact.said_at:%Y-%m-%d} ({fact.kind}): {fact.text}\n"


def recalled(found: Sequence[Remembered], budget: int, count: Callable[[str], int]) -> tuple[PastMessage, ...]:
    """Return the most relevant messages that fit into ``budget`` tokens, none below LEAST, in their original order."""
    ranked = sorted(range(len(found)), key=lambda place: (-found[place].relevance, -place))
    longest = max(1, int(budget * MOST_OF_ONE))
    chosen: dict[int, PastMessage] = {}
    days: set[str] = set()
    skipped = 0
    for place in ranked:
        if found[place].relevance < LEAST or skipped > GAP:
            break
        message = shortened(found[place].message, longest, count)
        tokens = count(_line(message)) + 1 + (0 if _day(message) in days else count(_day(message)) + 1)
        if tokens > budget:
            skipped += 1
            continue
        skipped = 0
        chosen[place] = message
        days.add(_day(message))
        budget -= tokens
    return tuple(chosen[place] for place in sorted(chosen))


def transcript(messages: Sequence[PastMessage]) -> str:
    """Return messages as the prompt shows them: one line each, under a heading for each day."""
    return "\n".join(_lines(messages))


def _lines(messages: Sequence[PastMessage]) -> Iterator[str]:
    for day, of_day in groupby(messages, key=_day):
        yield day
        yield from (_line(message) for message in of_day)


def _day(message: PastMessage) -> str:
    return f"{message.at:%A %Y-%m-%d}:"


def _line(message: PastMessage) -> str:
    return f"{message.author}: {message.text}"
