"""Selects the part of a thread that goes into the next prompt, and decides when to summarize older messages.

Does no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.types.conversation import Fact, History, PastMessage

VERBATIM_MESSAGES = 8
"""Messages that are always shown word for word: the last four turns, a question and an answer each."""
MESSAGE_SHARE = 0.5
"""Largest share of the history budget for one message."""
RECALL_SHARE = 0.4
"""Share of the history budget that is reserved for recalled messages and facts, if the thread has any."""
SUMMARY_SHARE = 0.3
"""Largest share of the history budget for the summary; of a longer summary, the last lines are shown."""
STEP_SHARE = 0.25
"""Least share of the history budget that is summarized in one step."""
LARGEST_STEP = 3
"""Largest step of the summary, in history budgets; a long thread is summarized in several steps."""
SUMMARY_TOKENS = 300
"""Token limit of one call that summarizes."""
NAME = 4
"""Tokens that a message's author name adds to its text."""

_MARKER = re.compile(r"\s?\[\d+(?:,\s*\d+)*\]")


@dataclass(frozen=True, slots=True)
class Selected:
    """The history as the prompt shows it; ``left_out`` messages did not fit, ``recalled`` are relevant older ones."""

    summary: str
    messages: tuple[PastMessage, ...]
    left_out: int = 0
    recalled: tuple[PastMessage, ...] = ()
    facts: tuple[Fact, ...] = ()

    def tokens(self, count: Callable[[str], int]) -> int:
        """Return the tokens of summary and messages; recalled messages are counted when they are selected."""
        return (count(self.summary) if self.summary else 0) + sum(message.tokens + NAME for message in self.messages)


NOTHING = Selected("", ())
"""The selection of an empty history."""


def fits(history: History, budget: int) -> bool:
    """Return whether the whole thread fits, with room for recalled messages."""
    return not history.summary_upto and sum(message.tokens for message in history.messages) <= budget * (
        1 - RECALL_SHARE
    )


def select(history: History, budget: int, count: Callable[[str], int]) -> Selected:
    """Return the summary and as many of the last messages as fit into ``budget`` tokens, at least the last four turns.

    If the last four turns alone do not fit, the longest of them are shortened.
    """
    summary = _last_lines(history.summary, int(budget * SUMMARY_SHARE), count)
    room = budget - (count(summary) if summary else 0)
    last = history.messages[-VERBATIM_MESSAGES:]
    longest = min(max(int(budget * MESSAGE_SHARE), 1), _fitting_length([one.tokens for one in last], max(room, 0)))
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


def _fitting_length(sizes: Sequence[int], room: int) -> int:
    """Return the length to which longer items must be shortened so that all fit into ``room`` together; at least 1."""
    for left, size in zip(range(len(sizes), 0, -1), sorted(sizes), strict=True):
        if size * left > room:
            return max(1, room // left)
        room -= size
    return max((*sizes, room, 1))


def shortened(message: PastMessage, limit: int, count: Callable[[str], int]) -> PastMessage:
    """Return the beginning of the message in about ``limit`` tokens at most."""
    if message.tokens <= limit:
        return message
    kept = message.text[: max(1, len(message.text) * limit // message.tokens)] + " […]"
    return PastMessage(message.seq, message.role, message.author, kept, count(kept), message.at, message.tenant_wide)


def without_markers(text: str) -> str:
    """Return an earlier answer without its citation markers, which refer to other passages than the current ones."""
    return _MARKER.sub("", text)


def asked_before(history: History) -> tuple[str, ...]:
    """Return the questions of the thread, oldest first."""
    return tuple(message.text for message in history.messages if message.role == "user")


def to_summarize(history: History, budget: int) -> tuple[PastMessage, ...]:
    """Return the older messages to summarize now, in whole turns: a question is not summarized without its answer.

    Nothing is due while the thread fits into the ``budget`` without the share for recalled messages. Once it does not,
    a large step is due.
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
    """Return the first turns that fit into ``room`` tokens, at least one."""
    used = 0
    for message in messages:
        used += message.tokens
        if used > room and message.seq > messages[0].seq:
            return tuple(one for one in messages if one.seq < message.seq)
    return tuple(messages)
