"""A conversation with a program must end: a window on what one author says in one conversation. Pure.

Messages of bots and webhooks are not heard at all; a program that writes with a person's account looks like a person.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Literal

MOST, SECONDS = 15, 60.0
"""Messages that one author may address to the bot in one conversation within so many seconds."""
PAIRS = 2_000
"""Pairs that are remembered; the one that was silent the longest is forgotten first."""

Heard = Literal["heard", "warned", "ignored"]


class Window:
    """Counts by the times that the messages bear, in seconds, so that messages read afterwards count as they came."""

    def __init__(self, *, most: int = MOST, seconds: float = SECONDS, pairs: int = PAIRS) -> None:
        self._most = most
        self._seconds = seconds
        self._pairs = pairs
        self._said: OrderedDict[Hashable, dict[str, float]] = OrderedDict()

    def heard(self, pair: Hashable, message_id: str, at: float) -> Heard:
        """``heard`` while it is slow enough for a person; the first message beyond is ``warned``, then ``ignored``.

        A message that comes again, or is tried again, counts once and gets the same word.
        """
        said = self._said.setdefault(pair, {})
        self._said.move_to_end(pair)
        for old in [one for one, moment in said.items() if moment <= at - self._seconds]:
            del said[old]
        said.setdefault(message_id, at)
        if len(self._said) > self._pairs:
            self._said.popitem(last=False)
        place = list(said).index(message_id)
        if place > self._most:
            del said[message_id]
            return "ignored"
        return "warned" if place == self._most else "heard"
