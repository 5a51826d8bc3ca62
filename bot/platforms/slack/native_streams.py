"""Slack's native streams: what an open one is told next, and where a workspace has none. Pure.

A stream is only ever appended to, lives for five minutes, and refuses ``chat.update`` and ``chat.delete`` until it is
stopped; afterwards it is a message like any other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.engine.display.edit_pacing import SharedPacing
from bot.platforms.slack import render
from bot.types.display import Part

Chunk = dict[str, Any]
Mode = Literal["everywhere", "direct", "off"]

MOST_BYTES = 9_000
"""Slack refuses a stream above some 11,000 bytes of text and cards, whatever a single append may hold."""
MOST_SECONDS = 240.0
"""Slack ends a stream after five minutes."""
MOST_HELD_BACK = 1_500
"""Characters of an open table or code block that may wait for their end; an edit can show more at once."""
STARTS_A_MINUTE = 15
"""``chat.startStream`` and ``chat.stopStream`` are called twenty times a minute, by all processes together."""
PAUSE = 60.0
"""Seconds without streams after a start whose outcome is unknown: what is not found then is posted."""
FORGIVEN_AFTER = 3_600.0
"""Seconds after which a refusal is put to the test again: the app may have been installed anew."""

ENDED = {"message_not_in_streaming_state", "stopped_by_user", "streaming_mode_mismatch"}
"""Slack's answers where a stream is over: it expired, somebody stopped it, or another process did."""
OPEN = {"streaming_state_conflict", "cant_delete_message"}
"""Its answers to a change of a message whose stream is open."""
HERE_ONLY = {"channel_type_not_supported", "missing_recipient_user_id", "missing_recipient_team_id", "user_not_found"}
"""Refusals that say nothing about other channels."""


@dataclass(slots=True)
class Open:
    """A stream under way: ``sent`` is the text that it has, ``card`` the line that says what is going on.

    ``doubtful``: it is not known whether the last append went through, so that nothing may be appended any more.
    """

    started: float
    sent: str = ""
    card: str = ""
    doubtful: bool = False

    def more(self, part: Part, now: float) -> list[Chunk] | None:
        """What to append so that the stream reads as ``part``; None where an edit is needed."""
        if part.final or part.settled is None or self.doubtful or now - self.started > MOST_SECONDS:
            return None
        if part.waiting:
            return None if self.sent else self._told(part)
        text = part.text[: part.settled]
        if not text.startswith(self.sent) and not self.sent.startswith(text):
            return None
        if len(part.text) - len(max(text, self.sent, key=len)) > MOST_HELD_BACK:
            return None
        grown = text[len(self.sent) :]
        if not grown.strip():
            return [] if part.text.startswith(self.sent) else None
        chunks = [render.text_chunk(grown)]
        if self.card and not self.sent:
            chunks.insert(0, render.card_chunk(part.nonce, self.card, done=True))
        return None if self._size(text) > MOST_BYTES else chunks

    def rest(self, part: Part) -> list[Chunk]:
        """The end of the text, for the moment it is stopped: people are notified of what stands there then."""
        if self.doubtful:
            return []
        fits = part.text.startswith(self.sent) and self._size(part.text) <= MOST_BYTES
        grown = part.text[len(self.sent) :] if fits and not part.waiting else ""
        card = [render.card_chunk(part.nonce, self.card, done=True)] if self.card and not self.sent else []
        return [*card, *([render.text_chunk(grown)] if grown.strip() else [])]

    def took(self, part: Part) -> None:
        """What ``more`` asked for was appended."""
        if part.waiting:
            self.card = render.card_title(part.text)
        elif part.settled is not None and part.settled > len(self.sent):
            self.sent = part.text[: part.settled]

    def _told(self, part: Part) -> list[Chunk]:
        title = render.card_title(part.text)
        return [] if title == self.card else [render.card_chunk(part.nonce, title)]

    def _size(self, text: str) -> int:
        return len(text.encode()) + len(self.card.encode())


def opened(part: Part, now: float) -> Open:
    """The state of a stream that was started with ``render.opening(part)``."""
    stream = Open(now)
    stream.took(part)
    return stream


@dataclass(slots=True)
class Streams:
    """What one workspace allows. Made once for each and kept: it remembers what was refused.

    ``team`` tells the workspace of a person, ``shared`` counts the starts of all processes. ``direct`` streams in
    direct messages alone: in channels only the asker sees a stream grow, everybody else its end.
    """

    mode: Mode
    team: Callable[[str], Awaitable[str]]
    shared: SharedPacing = field(default_factory=SharedPacing)
    _refused: dict[str, float] = field(default_factory=dict)

    def allow(self, channel_id: str, now: float) -> bool:
        """Whether a stream may be started there now; its place among those of the minute is taken."""
        if self.mode == "off" or (self.mode == "direct" and not channel_id.startswith("D")):
            return False
        if any(self._refused.get(place, 0.0) > now for place in ("", channel_id)):
            return False
        return self.shared.start(now, STARTS_A_MINUTE)

    async def recipient(self, channel_id: str, user_id: str) -> dict[str, str]:
        """For whom a stream is; the reader of a direct message must not be named. Raises SurfaceError."""
        if channel_id.startswith("D"):
            return {}
        return {"recipient_user_id": user_id, "recipient_team_id": await self.team(user_id)}

    def refused(self, code: str, channel_id: str, now: float, seconds: float | None = None) -> bool:
        """Slack refused a stream for good, or for so many seconds; whether that is told for the first time."""
        place = channel_id if code in HERE_ONLY else ""
        known = self._refused.get(place, 0.0)
        self._refused[place] = max(known, now + (FORGIVEN_AFTER if seconds is None else seconds))
        return seconds is None and not known
