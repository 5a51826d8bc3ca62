"""Slack's rate limits: a bucket a method, one a channel for posts."""

from __future__ import annotations

import math
from collections.abc import Callable

PER_MINUTE = {
    "chat.postMessage": 60,
    "chat.postEphemeral": 100,
    "chat.update": 50,
    "chat.startStream": 20,
    "chat.appendStream": 100,
    "chat.stopStream": 20,
    "chat.delete": 50,
    "conversations.history": 50,
    "conversations.info": 50,
    "conversations.members": 100,
    "conversations.open": 50,
    "conversations.replies": 50,
    "users.info": 100,
    "users.conversations": 50,
}
"""Calls a minute: the documented floor of each tier; ``chat.postMessage`` counts per channel."""

BURST = 10
DISTRIBUTED = frozenset({"conversations.history", "conversations.replies"})
"""What an app that is distributed outside the Marketplace may call once a minute."""


class Buckets:
    """Rate limits, in Slack's time."""

    def __init__(
        self, pace: float, violations: list[str], clock: Callable[[], float], *, distributed: bool = False
    ) -> None:
        self._clock = clock
        self._distributed = distributed
        self._pace = pace
        self._violations = violations
        self._levels: dict[str, tuple[float, float]] = {}
        self._closed: dict[str, float] = {}

    def wait(self, method: str, channel: str, scripted: int | None = None) -> int | None:
        """None when the call may pass, else the seconds of Retry-After; ``scripted`` are seconds a test asks for."""
        per_minute = PER_MINUTE.get(method)
        if per_minute is None:
            return None
        key = f"{method} {channel}" if method == "chat.postMessage" else method
        now = self._clock()
        if now < self._closed.get(key, 0.0):
            self._violations.append(f"{key} was called again before its Retry-After was over")
        if scripted is not None:
            self.shut(key, scripted)
            return scripted
        burst = BURST
        if self._distributed and method in DISTRIBUTED:
            per_minute, burst = 1, 1
        level, since = self._levels.get(key, (float(burst), now))
        level = min(burst, level + (now - since) * self._pace * per_minute / 60)
        self._levels[key] = (level - 1 if level >= 1 else level, now)
        if level >= 1:
            return None
        seconds = math.ceil(max(1.0, (1 - level) * 60 / per_minute / self._pace))
        self.shut(key, seconds)
        return seconds

    def shut(self, key: str, seconds: float) -> None:
        """Note that a call before that time breaks the rules; a tenth is left for the network."""
        self._closed[key] = self._clock() + seconds * 0.9
