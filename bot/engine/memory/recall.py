"""Which old messages are shown again: the most relevant that a budget holds, in the order they were said. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from bot.engine.memory.selection import RECALL_SHARE, Selected, select, shortened
from bot.types.conversation import Fact, History, PastMessage

FACT_SHARE = 0.15
"""Facts take no more than this share of the history's budget."""
LEAST = 0.0
"""A message that says less about the question than the mean of its thread is not recalled."""
MOST_OF_ONE = 0.25
"""No recalled message takes more than this share of what is there for all."""
GAP = 3
"""So many messages one after the other that no longer fit end the filling: those after them matter less and less."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """An old message and how much it says about the question: 0 is the mean of the thread, 1 a deviation above it."""

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
    """The recent past and, in what it leaves of ``budget`` tokens, facts and the most relevant ``older`` messages."""
    past = select(history, int(budget * (1 - RECALL_SHARE)) if older else budget, count)
    noted = latest(facts, min(int(budget * FACT_SHARE), budget - past.tokens(count)), count)
    room = budget - past.tokens(count) - sum(count(note(fact)) for fact in noted)
    shown = {(message.seq, message.role) for message in past.messages}
    unseen = [one for one in older if (one.message.seq, one.message.role) not in shown]
    return replace(past, facts=noted, recalled=recalled(unseen, room, count))


def latest(facts: Sequence[Fact], budget: int, count: Callable[[str], int]) -> tuple[Fact, ...]:
    """The latest facts that ``budget`` tokens hold, oldest first."""
    kept: list[Fact] = []
    for fact in reversed(facts):
        budget -= count(note(fact))
        if budget < 0:
            break
        kept.append(fact)
    return tuple(reversed(kept))


def note(fact: Fact) -> str:
    """A fact as the prompt shows it, with who said it and when."""
    return f"- {fact.author}, {fact.said_at:%Y-%m-%d} ({fact.kind}): {fact.text}\n"


def recalled(found: Sequence[Remembered], budget: int, count: Callable[[str], int]) -> tuple[PastMessage, ...]:
    """The most relevant messages that ``budget`` tokens hold, none below LEAST, in the order of ``found``."""
    ranked = sorted(range(len(found)), key=lambda place: (-found[place].relevance, -place))
    longest = max(1, int(budget * MOST_OF_ONE))
    chosen: dict[int, PastMessage] = {}
    days: set[str] = set()
    missed = 0
    for place in ranked:
        if found[place].relevance < LEAST or missed > GAP:
            break
        message = shortened(found[place].message, longest, count)
        tokens = count(_line(message)) + 1 + (0 if _day(message) in days else count(_day(message)) + 1)
        if tokens > budget:
            missed += 1
            continue
        missed = 0
        chosen[place] = message
        days.add(_day(message))
        budget -= tokens
    return tuple(chosen[place] for place in sorted(chosen))


def transcript(messages: Sequence[PastMessage]) -> str:
    """Messages as the prompt shows them again: a line each, under the day they were said on."""
    return "\n".join(_lines(messages))


def _lines(messages: Sequence[PastMessage]) -> Iterator[str]:
    for day, said in groupby(messages, key=_day):
        yield day
        yield from (_line(message) for message in said)


def _day(message: PastMessage) -> str:
    return f"{message.at:%A %Y-%m-%d}:"


def _line(message: PastMessage) -> str:
    return f"{message.author}: {message.text}"
