"""Emulates Slack's rate limits: a token bucket for each method, and for posts one for each channel."""

from __future__ import annotations

import math
from collections.abc import Callable

PER_MINUTE = {
    "assistant.threads.setStatus": 600,
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
    "files.info": 100,
    "usergroups.list": 20,
    "users.info": 100,
    "users.list": 20,
    "users.conversations": 50,
}
"""Calls per minute: the documented minimum of each tier; ``chat.postMessage`` counts per channel."""

BURST = 10
ONCE_A_MINUTE = frozenset({"conversations.history", "conversations.replies"})
"""Methods that an app distributed outside the Marketplace may call once a minute."""


class Buckets:
    """Rate limits in Slack seconds."""

    def __init__(
        self, pace: float, violations: list[str], clock: Callable[[], float], *, distributed: bool = False
    ) -> None:
        self._clock = clock
        self._distributed = distributed
        self._pace = pace
        self._violations = violations
        self._levels: dict[str, tuple[float, float]] = {}
        self._blocked_until: dict[str, float] = {}

    def wait(self, method: str, channel: str, scripted: int | None = None) -> int | None:
        """Return the Retry-After in seconds, or None if the call is allowed. ``scripted`` forces a Retry-After."""
        per_minute = PER_MINUTE.get(method)
        if per_minute is None:
            return None
        key = f"{method} {channel}" if method == "chat.postMessage" else method
        now = self._clock()
        if now < self._blocked_until.get(key, 0.0):
            self._violations.append(f"{key} was called again before its Retry-After was over")
        if scripted is not None:
            self._block(key, scripted)
            return scripted
        burst = BURST
        if self._distributed and method in ONCE_A_MINUTE:
            per_minute, burst = 1, 1
        level, since = self._levels.get(key, (float(burst), now))
        level = min(burst, level + (now - since) * self._pace * per_minute / 60)
        self._levels[key] = (level - 1 if level >= 1 else level, now)
        if level >= 1:
            return None
        seconds = math.ceil(max(1.0, (1 - level) * 60 / per_minute / self._pace))
        self._block(key, seconds)
        return seconds

    def _block(self, key: str, seconds: float) -> None:
        """Count calls within these seconds as violations, with a tolerance of a tenth for the network."""
        self._blocked_until[key] = self._clock() + seconds * 0.9
