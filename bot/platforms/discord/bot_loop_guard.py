"""Breaks endless loops between the bot and a program: limits the messages of one author in one conversation.

Messages of bots and webhooks are ignored elsewhere. This guard is for programs that write with a person's account and
look like a person. Does no I/O.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from typing import Literal

from bot.types.bounded_mapping import RecentEntries

MAX_MESSAGES, WINDOW_SECONDS = 15, 60.0
"""Maximum number of messages of one author to the bot in one conversation within this time."""
MAX_PAIRS = 2_000
"""Pairs of conversation and author to remember; the pair that was inactive longest is dropped first."""

Verdict = Literal["allow", "warn", "ignore"]


class LoopGuard:
    """A sliding window of messages for each pair of conversation and author.

    It uses the time stamps of the messages, in seconds, so that messages that arrive late count at the time they were
    sent: newer messages that were received before do not count against them.
    """

    def __init__(
        self,
        *,
        max_messages: int = MAX_MESSAGES,
        window_seconds: float = WINDOW_SECONDS,
        max_pairs: int = MAX_PAIRS,
    ) -> None:
        self._max_messages = max_messages
        self._window_seconds = window_seconds
        self._sent: RecentEntries[Hashable, dict[str, float]] = RecentEntries(max_pairs)

    def check(self, pair: Hashable, message_id: str, sent_at: float) -> Verdict:
        """Return ``allow`` up to the limit, ``warn`` for the first message beyond it, then ``ignore``.

        A message that is delivered or retried several times counts once and always gets the same verdict.
        """
        sent = self._sent[pair] = self._sent.get(pair, {})
        for old in [one for one, at in sent.items() if at <= sent_at - self._window_seconds]:
            del sent[old]
        sent.setdefault(message_id, sent_at)
        received_before = itertools.takewhile(lambda one: one != message_id, sent)
        position = sum(sent[one] <= sent[message_id] for one in received_before)
        if position > self._max_messages:
            del sent[message_id]
            return "ignore"
        return "warn" if position == self._max_messages else "allow"
