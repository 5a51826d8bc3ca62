"""The layouts in which an answer is offered to a platform, from the fullest to the simplest. Does no I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.engine.markdown import MIN_LIMIT
from bot.types.display import Limits

PLAIN_CHARS = 3_000
"""Most characters of a message of plain text. Slack allows 4,000 in an edit, after escaping."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How an answer is laid out: in messages of a fraction of the platform's limit, as plain text, or not at all.

    ``notice``: only a line that says that the answer could not be shown.
    """

    divisor: int = 1
    plain: bool = False
    notice: bool = False

    def limits(self, limits: Limits) -> Limits:
        """Return the limits of a message in this layout."""
        chars = max(MIN_LIMIT, limits.message_chars // self.divisor)
        blocks = None if limits.max_blocks is None else max(4, limits.max_blocks // self.divisor)
        return replace(limits, message_chars=min(chars, PLAIN_CHARS) if self.plain else chars, max_blocks=blocks)


LAYOUTS = (Layout(), Layout(2), Layout(4, plain=True), Layout(4, plain=True, notice=True))
"""The layouts in the order in which they are tried."""
