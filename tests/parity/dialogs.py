"""Dialogs as data, for every platform: what users do, and what they must see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Say:
    """A user writes in the channel, or in the thread of ``below``; the message mentions the bot unless disabled.

    ``{bob}`` in the text is a mention of Bob.
    """

    who: str
    text: str
    name: str = "question"
    below: str = ""
    mention: bool = True


@dataclass(frozen=True)
class Edit:
    """The author edits a message."""

    text: str
    name: str = "question"


@dataclass(frozen=True)
class Delete:
    """The author deletes a message."""

    name: str = "question"


@dataclass(frozen=True)
class Press:
    """A user presses a button below the answer number ``at`` in the thread of ``below``."""

    who: str
    action: str
    below: str = "question"
    at: int = 0


@dataclass(frozen=True)
class GiveReason:
    """The user who pressed 👎 fills in the reason."""

    who: str
    text: str


@dataclass(frozen=True)
class AnswerShown:
    """The thread of ``below`` has ``count`` finished answers. The last contains ``text`` and lacks ``lacks``."""

    text: str
    below: str = "question"
    count: int = 1
    lacks: str = ""


@dataclass(frozen=True)
class DraftShown:
    """A running answer contains ``text`` and has a stop button."""

    text: str
    below: str = "question"


@dataclass(frozen=True)
class AnswerEnded:
    """The answer has ended: it contains ``text``, lacks ``lacks`` and has no stop button."""

    text: str
    below: str = "question"
    lacks: str = ""


@dataclass(frozen=True)
class NothingShown:
    """The thread has no message of the bot."""

    below: str = "question"


@dataclass(frozen=True)
class CompleteAnswer:
    """The answer has all numbered steps in order, complete code blocks, and buttons below its last message only."""

    steps: int
    below: str = "question"


@dataclass(frozen=True)
class PrivateMessage:
    """A message that only one user sees contains ``text``."""

    who: str
    text: str


@dataclass(frozen=True)
class FeedbackStored:
    """A rating is stored with its reason."""

    value: int
    reason: str


Step = (
    Say
    | Edit
    | Delete
    | Press
    | GiveReason
    | AnswerShown
    | DraftShown
    | AnswerEnded
    | NothingShown
    | CompleteAnswer
    | PrivateMessage
    | FeedbackStored
)

DIALOGS: Mapping[str, Sequence[Step]] = {
    "a question": (
        Say("alice", "how many days of paid leave do I have?"),
        AnswerShown("30 days of paid leave"),
    ),
    "a follow-up by another user needs no mention": (
        Say("alice", "how many days of paid leave are there for all?"),
        AnswerShown("30 days of paid leave"),
        Say("bob", "and how many weeks of parental leave?", "second", below="question", mention=False),
        AnswerShown("16 weeks", count=2),
    ),
    "an edited question is answered again in the same place": (
        Say("alice", "how much paid leave is there in a year?"),
        AnswerShown("30 days of paid leave"),
        Edit("how many weeks of parental leave do parents take?"),
        AnswerShown("16 weeks"),
    ),
    "the answer to a deleted question is deleted": (
        Say("alice", "how many days of paid leave do interns have?"),
        AnswerShown("20 days"),
        Delete(),
        NothingShown(),
    ),
    "only the asker can stop an answer": (
        Say("alice", "tell me slowly how travel is booked?"),
        DraftShown("Travel"),
        Press("bob", "stop"),
        PrivateMessage("bob", "Only the asker"),
        Press("alice", "stop"),
        AnswerEnded("Stopped", lacks="last words"),
    ),
    "ask again, and ask the stronger model": (
        Say("alice", "how long is parental leave, in weeks?"),
        AnswerShown("16 weeks"),
        Press("bob", "again"),
        AnswerShown("16 weeks", count=2),
        Press("alice", "strong"),
        AnswerShown("by the strong model", count=3),
    ),
    "a thumb down with a reason, and why": (
        Say("alice", "how much is paid for meals on a journey?"),
        AnswerShown("40 euros"),
        Press("bob", "down"),
        GiveReason("bob", "it is 45 euros since May"),
        FeedbackStored(-1, "it is 45 euros since May"),
        Press("bob", "why"),
        PrivateMessage("bob", "Searched for"),
        Press("bob", "sources"),
        PrivateMessage(
            "bob", "Travel is booked through the portal. **Meals on a journey are paid up to 40 euros a day"
        ),
    ),
    "commands in mentions": (
        Say("alice", "budget"),
        PrivateMessage("alice", "tokens today"),
        Say("bob", "admin pause", "pause"),
        PrivateMessage("bob", "Only an admin can use /admin"),
        Say("bob", "/budgte", "misspelled"),
        PrivateMessage("bob", "Did you mean /budget?"),
    ),
    "a used-up budget": (
        Say("ada", "budget set {bob} 10", "limit"),
        PrivateMessage("ada", "10 tokens"),
        Say("bob", "how many weeks of parental leave are there?"),
        AnswerEnded("reached today's token limit"),
        Say("ada", "budget set {bob} default", "reset"),
        PrivateMessage("ada", "the default limit again"),
    ),
    "a long answer": (
        Say("alice", "tell me at length how travel is booked?"),
        CompleteAnswer(steps=120),
    ),
}
