"""What of a thread goes into the next prompt, and when it is time to summarise. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.types.conversation import Fact, History, PastMessage

VERBATIM_MESSAGES = 8
"""The last four turns, a question and an answer each, are always kept word for word."""
MESSAGE_SHARE = 0.5
"""No single past message takes more than this share of the history budget."""
RECALL_SHARE = 0.4
"""The part of the history's budget that is kept for old messages and facts, where there are any."""
SUMMARY_SHARE = 0.3
"""The part of the history's budget that the summary may take; of a longer one the last lines are shown."""
STEP_SHARE = 0.25
"""Less than this share of the history's budget is not worth a step of the summary."""
LARGEST_STEP = 3
"""A step takes no more than so many times the history's budget: a long thread catches up in several."""
SUMMARY_TOKENS = 300
NAME = 4
"""Tokens that a message takes beside its text: who said it."""
LEANED_ON = 4
"""Questions before it that a follow-up can lean on."""

_MARKER = re.compile(r"\s?\[\d+(?:,\s*\d+)*\]")
_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_LEANING_WORDS = frozenset(
    "it its this that these those they them their he she him her his one ones there then same else other "
    "das dies diese dieser es sie er ihn ihm ihr dort dann".split()
)
_LEANING_STARTS = (
    "and ",
    "but ",
    "or ",
    "what about",
    "how about",
    "why",
    "so ",
    "also",
    "und ",
    "was ist mit",
    "aber ",
)
_COMMON = _LEANING_WORDS | frozenset(
    "a an the of to in on at for from with by is are was were be been do does did can could should would will may "
    "might must have has had i you we me my your our us what which who whom whose when where why how many much long "
    "and or but not no yes if so as about into out up down over than too very just please tell know need want get "
    "der die das ein eine und oder nicht ist sind war wie was wer wo wann warum ich du wir".split()
)


@dataclass(frozen=True, slots=True)
class Selected:
    """The past as the prompt shows it; ``left_out`` messages did not fit. ``recalled`` are older ones, shown again."""

    summary: str
    messages: tuple[PastMessage, ...]
    left_out: int = 0
    recalled: tuple[PastMessage, ...] = ()
    facts: tuple[Fact, ...] = ()

    def tokens(self, count: Callable[[str], int]) -> int:
        """What summary and messages take; the recalled ones are counted where they are chosen."""
        return (count(self.summary) if self.summary else 0) + sum(message.tokens + NAME for message in self.messages)


NOTHING = Selected("", ())
"""The past of a thread that has none."""


def fits(history: History, budget: int) -> bool:
    """Whether the thread is still short enough to be shown whole, with room for what is to be recalled."""
    return not history.summary_upto and sum(message.tokens for message in history.messages) <= budget * (
        1 - RECALL_SHARE
    )


def select(history: History, budget: int, count: Callable[[str], int]) -> Selected:
    """The summary and as many of the last messages as ``budget`` tokens hold, the last four turns in any case.

    Where the last four turns alone are more than that, the longest of them are cut.
    """
    summary = _last_lines(history.summary, int(budget * SUMMARY_SHARE), count)
    room = budget - (count(summary) if summary else 0)
    last = history.messages[-VERBATIM_MESSAGES:]
    longest = min(max(int(budget * MESSAGE_SHARE), 1), _level([message.tokens for message in last], max(room, 0)))
    chosen: list[PastMessage] = []
    for message in reversed(history.messages):
        fitted = shortened(message, longest, count)
        if room < fitted.tokens + NAME and len(chosen) >= VERBATIM_MESSAGES:
            break
        chosen.append(fitted)
        room -= fitted.tokens + NAME
    chosen.reverse()
    return Selected(summary, tuple(chosen), len(history.messages) - len(chosen))


def _last_lines(text: str, budget: int, count: Callable[[str], int]) -> str:
    kept: list[str] = []
    for line in reversed(text.splitlines()):
        budget -= count(line)
        if budget < 0:
            break
        kept.append(line)
    return "\n".join(reversed(kept))


def _level(sizes: Sequence[int], room: int) -> int:
    """The length to which all are cut that are longer, so that together they fit into ``room``; 1 at least."""
    for left, size in zip(range(len(sizes), 0, -1), sorted(sizes), strict=True):
        if size * left > room:
            return max(1, room // left)
        room -= size
    return max((*sizes, room, 1))


def shortened(message: PastMessage, limit: int, count: Callable[[str], int]) -> PastMessage:
    """The message in about ``limit`` tokens at most, its beginning kept."""
    if message.tokens <= limit:
        return message
    kept = message.text[: max(1, len(message.text) * limit // message.tokens)] + " […]"
    return PastMessage(message.seq, message.role, message.author, kept, count(kept), message.at)


def without_markers(text: str) -> str:
    """An earlier answer without its citation markers: they numbered other passages."""
    return _MARKER.sub("", text)


def asked_before(history: History) -> tuple[str, ...]:
    """The questions that the thread asked, oldest first."""
    return tuple(message.text for message in history.messages if message.role == "user")


def leans_on_thread(question: str) -> bool:
    """Whether the question needs the thread to be understood: short, or pointing back."""
    lowered = question.lower().strip()
    words = _WORD.findall(lowered)
    content = [word for word in words if word not in _COMMON]
    return (
        len(content) <= 2
        or lowered.startswith(_LEANING_STARTS)
        or (len(content) <= 4 and any(word in _LEANING_WORDS for word in words))
    )


def standalone(question: str, messages: Sequence[PastMessage]) -> str:
    """The question as it is searched for: one that leans on the thread takes along the words that it leans on.

    They are those of the question before it, and where that one leaned as well, of the one before that.
    """
    asked = [message.text for message in messages if message.role == "user"]
    if not asked or not leans_on_thread(question):
        return question
    present = {word.lower() for word in _WORD.findall(question)}
    earlier: list[str] = []
    for text in reversed(asked[-LEANED_ON:]):
        earlier += [word for word in _WORD.findall(text) if word.lower() not in present | _COMMON]
        present |= {word.lower() for word in earlier}
        if not leans_on_thread(text):
            break
    return " ".join([question, *earlier[:12]])


def to_summarize(history: History, budget: int) -> tuple[PastMessage, ...]:
    """The older messages that are due for the summary: none until they outgrow what the ``budget`` leaves beside what
    is recalled, then a large step.

    Whole turns: a question is not summarised without its answer.
    """
    messages = history.messages
    room = budget * (1 - RECALL_SHARE)
    if sum(message.tokens for message in messages) <= room or len(messages) <= VERBATIM_MESSAGES:
        return ()
    first_kept = messages[-VERBATIM_MESSAGES].seq
    due = [message for message in messages if message.seq < first_kept]
    if sum(message.tokens for message in due) < STEP_SHARE * budget:
        return ()
    return _first_turns(due, LARGEST_STEP * budget)


def _first_turns(messages: Sequence[PastMessage], room: int) -> tuple[PastMessage, ...]:
    """Whole turns from the first on, as many as ``room`` tokens hold, one at least."""
    taken = 0
    for message in messages:
        taken += message.tokens
        if taken > room and message.seq > messages[0].seq:
            return tuple(one for one in messages if one.seq < message.seq)
    return tuple(messages)
