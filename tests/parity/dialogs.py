"""Dialogs as data: who says, changes, takes back or presses what, and what must be seen. For every platform alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Says:
    """Somebody writes in the channel, to the bot unless ``mention`` is off; in the thread of ``below`` where given.

    ``{bob}`` in the text is a mention of Bob.
    """

    who: str
    text: str
    name: str = "question"
    below: str = ""
    mention: bool = True


@dataclass(frozen=True)
class Changes:
    """The writer changes a message."""

    text: str
    name: str = "question"


@dataclass(frozen=True)
class TakesBack:
    """The writer deletes a message."""

    name: str = "question"


@dataclass(frozen=True)
class Presses:
    """Somebody presses a button under the answer that stands at ``at`` in the thread of ``below``."""

    who: str
    action: str
    below: str = "question"
    at: int = 0


@dataclass(frozen=True)
class Explains:
    """Whoever pressed 👎 fills in the reason that is asked for."""

    who: str
    text: str


@dataclass(frozen=True)
class Sees:
    """In the thread of ``below`` stand ``count`` finished answers, the last with these words and without those."""

    text: str
    below: str = "question"
    count: int = 1
    lacks: str = ""


@dataclass(frozen=True)
class Begins:
    """An answer is being written: these words are there, and a button to stop it."""

    text: str
    below: str = "question"


@dataclass(frozen=True)
class Stands:
    """The answer has ended with these words, without those, and cannot be stopped any more."""

    text: str
    below: str = "question"
    lacks: str = ""


@dataclass(frozen=True)
class Vanishes:
    """Nothing of the bot's is left in the thread."""

    below: str = "question"


@dataclass(frozen=True)
class Whole:
    """The answer has all numbered steps in order, whole code blocks, and its buttons once, in ``parts`` messages."""

    steps: int
    below: str = "question"


@dataclass(frozen=True)
class IsTold:
    """Somebody alone sees this."""

    who: str
    text: str


@dataclass(frozen=True)
class Kept:
    """A thumb with its reason is stored."""

    value: int
    reason: str


Step = Says | Changes | TakesBack | Presses | Explains | Sees | Begins | Stands | Vanishes | Whole | IsTold | Kept

DIALOGS: Mapping[str, Sequence[Step]] = {
    "a question": (
        Says("alice", "how many days of paid leave do I have?"),
        Sees("30 days of paid leave"),
    ),
    "a follow-up by somebody else needs no mention": (
        Says("alice", "how many days of paid leave are there for all?"),
        Sees("30 days of paid leave"),
        Says("bob", "and how many weeks of parental leave?", "second", below="question", mention=False),
        Sees("16 weeks", count=2),
    ),
    "a changed question is answered anew in the same place": (
        Says("alice", "how much paid leave is there in a year?"),
        Sees("30 days of paid leave"),
        Changes("how many weeks of parental leave do parents take?"),
        Sees("16 weeks"),
    ),
    "a question that is taken back takes its answer along": (
        Says("alice", "how many days of paid leave do interns have?"),
        Sees("20 days"),
        TakesBack(),
        Vanishes(),
    ),
    "an answer is stopped by its asker and by nobody else": (
        Says("alice", "tell me slowly how travel is booked?"),
        Begins("Travel"),
        Presses("bob", "stop"),
        IsTold("bob", "Only the asker"),
        Presses("alice", "stop"),
        Stands("Stopped", lacks="last words"),
    ),
    "asked again, and of the stronger model": (
        Says("alice", "how long is parental leave, in weeks?"),
        Sees("16 weeks"),
        Presses("bob", "again"),
        Sees("16 weeks", count=2),
        Presses("alice", "strong"),
        Sees("by the strong model", count=3),
    ),
    "a thumb down with its reason, and why": (
        Says("alice", "how much is paid for meals on a journey?"),
        Sees("40 euros"),
        Presses("bob", "down"),
        Explains("bob", "it is 45 euros since May"),
        Kept(-1, "it is 45 euros since May"),
        Presses("bob", "why"),
        IsTold("bob", "Searched for"),
        Presses("bob", "sources"),
        IsTold("bob", "Travel is booked through the portal. **Meals on a journey are paid up to 40 euros a day"),
    ),
    "commands by mention": (
        Says("alice", "budget"),
        IsTold("alice", "tokens today"),
        Says("bob", "admin pause", "pause"),
        IsTold("bob", "Only an admin can use /admin"),
        Says("bob", "/budgte", "misspelled"),
        IsTold("bob", "Did you mean /budget?"),
    ),
    "a budget that is spent": (
        Says("ada", "budget set {bob} 10", "order"),
        IsTold("ada", "10 tokens"),
        Says("bob", "how many weeks of parental leave are there?"),
        Stands("reached today's token limit"),
        Says("ada", "budget set {bob} default", "undone"),
        IsTold("ada", "the default again"),
    ),
    "a long answer": (
        Says("alice", "tell me at length how travel is booked?"),
        Whole(steps=120),
    ),
}
