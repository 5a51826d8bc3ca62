"""Limits how many messages without a mention a process considers at once."""

from __future__ import annotations

MOST_CONSIDERED = 200
"""Maximum number of messages considered at once. Each waits for a search, so they would pile up under overload."""


class UnmentionedMessageLimit:
    """Counts the messages without a mention that are being considered. Beyond ``MOST_CONSIDERED``, they are ignored."""

    def __init__(self) -> None:
        self._count = 0

    def begin(self) -> bool:
        """Count one more message and return True; then call ``end``. Return False if the message must be ignored."""
        if self._count >= MOST_CONSIDERED:
            return False
        self._count += 1
        return True

    def end(self) -> None:
        """Count one message less, after ``begin`` returned True."""
        self._count -= 1
