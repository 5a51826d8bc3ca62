"""Policy of native Slack streams: what to append next, and which workspaces refuse them. Makes no requests.

A stream can only be appended to, ends after five minutes, and refuses ``chat.update`` and ``chat.delete`` until it is
stopped. A stopped stream is an ordinary message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.engine.display.edit_pacing import SharedPacing
from bot.platforms.slack import render
from bot.types.bounded_mapping import RecentEntries
from bot.types.display import Part

Chunk = dict[str, Any]
Mode = Literal["everywhere", "direct", "off"]

MAX_BYTES = 9_000
"""Slack refuses a stream above about 11,000 bytes of text and cards, whatever the size of a single append."""
MAX_SECONDS = 240.0
"""Slack ends a stream after five minutes."""
MAX_WITHHELD_CHARS = 1_500
"""Maximum number of characters of an unfinished table or code block that are held back until it is complete."""
STARTS_PER_MINUTE = 15
"""Slack allows ``chat.startStream`` and ``chat.stopStream`` twenty times a minute, for all processes together."""
UNCERTAIN_START_PAUSE = 60.0
"""Seconds without streams after a start with an unknown outcome. A part that cannot be found meanwhile is posted."""
REFUSAL_SECONDS = 3_600.0
"""Seconds until a refusal is tested again: the app may have been reinstalled."""

ENDED = {"message_not_in_streaming_state", "stopped_by_user", "streaming_mode_mismatch"}
"""Slack error codes for a stream that is over: it expired, or a user or another process stopped it."""
STILL_OPEN = {"streaming_state_conflict", "cant_delete_message"}
"""Slack error codes for changing a message whose stream is open."""
CHANNEL_ONLY = {
    "channel_type_not_supported",
    "missing_recipient_user_id",
    "missing_recipient_team_id",
    "user_not_found",
}
"""Slack error codes that apply to one channel only."""


@dataclass(slots=True)
class OpenStream:
    """A stream in progress: ``sent`` is the text appended so far, ``card`` the status line above it.

    ``uncertain``: it is unknown whether the last append succeeded, so nothing more may be appended.
    """

    started: float
    sent: str = ""
    card: str = ""
    uncertain: bool = False

    def next_chunks(self, part: Part, now: float) -> list[Chunk] | None:
        """Return what to append so that the stream shows ``part``; None if it needs an edit."""
        if part.final or part.settled is None or self.uncertain or now - self.started > MAX_SECONDS:
            return None
        if part.waiting:
            return None if self.sent else self._card_chunks(part)
        text = part.text[: part.settled]
        if not text.startswith(self.sent) and not self.sent.startswith(text):
            return None
        if len(part.text) - len(max(text, self.sent, key=len)) > MAX_WITHHELD_CHARS:
            return None
        new_text = text[len(self.sent) :]
        if not new_text.strip():
            return [] if part.text.startswith(self.sent) else None
        chunks = [render.text_chunk(new_text)]
        if self.card and not self.sent:
            chunks.insert(0, render.card_chunk(part.nonce, self.card, done=True))
        return None if self._size(text) > MAX_BYTES else chunks

    def final_chunks(self, part: Part) -> list[Chunk]:
        """Return the rest of the text, to send with the stop: Slack's notification shows the text at that moment."""
        if self.uncertain:
            return []
        fits = part.text.startswith(self.sent) and self._size(part.text) <= MAX_BYTES
        new_text = part.text[len(self.sent) :] if fits and not part.waiting else ""
        card = [render.card_chunk(part.nonce, self.card, done=True)] if self.card and not self.sent else []
        return [*card, *([render.text_chunk(new_text)] if new_text.strip() else [])]

    def mark_appended(self, part: Part) -> None:
        """Record that the chunks of ``next_chunks`` were appended."""
        if part.waiting:
            self.card = render.card_title(part.text)
        elif part.settled is not None and part.settled > len(self.sent):
            self.sent = part.text[: part.settled]

    def _card_chunks(self, part: Part) -> list[Chunk]:
        title = render.card_title(part.text)
        return [] if title == self.card else [render.card_chunk(part.nonce, title)]

    def _size(self, text: str) -> int:
        return len(text.encode()) + len(self.card.encode())


def started_stream(part: Part, now: float) -> OpenStream:
    """Return the state of a stream that was started with ``render.first_chunks(part)``."""
    stream = OpenStream(now)
    stream.mark_appended(part)
    return stream


@dataclass(slots=True)
class StreamPolicy:
    """Decides where one workspace may stream. Create it once for each workspace: it remembers refusals.

    ``team`` returns a user's workspace, ``shared`` counts the starts of all processes. The mode ``direct`` streams in
    direct messages only, because in channels only the asker sees a stream grow; everyone else sees only its end.
    """

    mode: Mode
    team: Callable[[str], Awaitable[str]]
    shared: SharedPacing = field(default_factory=SharedPacing)
    _refused_until: RecentEntries[str, float] = field(default_factory=RecentEntries)

    def allow(self, channel_id: str, now: float) -> bool:
        """Return whether a stream may start there now. True counts as one start of this minute."""
        if self.mode == "off" or (self.mode == "direct" and not channel_id.startswith("D")):
            return False
        if any(self._refused_until.get(scope, 0.0) > now for scope in ("", channel_id)):
            return False
        return self.shared.start(now, STARTS_PER_MINUTE)

    async def recipient(self, channel_id: str, user_id: str) -> dict[str, str]:
        """Return the recipient arguments of a stream; empty in a direct message, which must not name its reader.

        Raises SurfaceError.
        """
        if channel_id.startswith("D"):
            return {}
        return {"recipient_user_id": user_id, "recipient_team_id": await self.team(user_id)}

    def record_refusal(self, code: str, channel_id: str, now: float, seconds: float | None = None) -> bool:
        """Block streams after a refusal, for ``seconds`` or for ``REFUSAL_SECONDS``.

        Return whether this is the first refusal without a set time, so that it is logged once.
        """
        scope = channel_id if code in CHANNEL_ONLY else ""
        blocked_until = self._refused_until.get(scope, 0.0)
        self._refused_until[scope] = max(blocked_until, now + (REFUSAL_SECONDS if seconds is None else seconds))
        return seconds is None and not blocked_until
