"""Defines what is shown: message parts, citations, actions, and the limits of a platform."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Pacing:
    """What a process tells the others of its edits in one workspace.

    ``streams`` are under way there, ``starts`` were begun within the last minute. ``slow`` is how many times the
    promised spacing its edits have; ``pause`` the seconds, from now on, that the platform wants no edit at all.
    """

    tenant_id: str
    platform: str
    process_id: int
    streams: int
    starts: int
    slow: float
    pause: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What a platform allows: characters of Markdown in one message, seconds between two edits, messages an answer.

    ``here_only`` says that this process alone can show something there: a turn must not be run by another.
    ``edits_per_minute`` is what all replies in one tenant share; None where they share nothing, or the platform's
    library waits by itself. ``appends``: a draft may grow by appending, so it is said how much of it is settled; while
    one does, ``edit_interval`` may be shorter.
    """

    message_chars: int
    edit_interval: float
    max_parts: int = 10
    here_only: bool = False
    edits_per_minute: float | None = None
    appends: bool = False


@dataclass(frozen=True, slots=True)
class Citation:
    """``quote`` is a literal piece of the passage: ``document.text[start:end]``. ``n`` is the marker in the answer."""

    n: int
    source: str
    title: str
    quote: str
    document_id: str = ""
    heading: tuple[str, ...] = ()
    page: int | None = None
    start: int = 0
    end: int = 0
    passage: int = 0
    """Index of the passage among those given to the model, from 0."""

    @property
    def place(self) -> str:
        """Where the quote stands, for a person: title, headings, page."""
        path = self.heading[1:] if self.heading[:1] == (self.title,) else self.heading
        return " › ".join((self.title or self.source, *path)) + (f", page {self.page}" if self.page else "")


Action = Literal["stop", "again", "strong", "up", "down", "why", "sources"]
"""A button under a message; the platform's words for it live in the platform."""


@dataclass(frozen=True, slots=True)
class Part:
    """One message of a reply as it should stand now. ``text`` is safe Markdown within ``Limits.message_chars``.

    ``sources``, ``notes`` and ``actions`` stand under the last part only. ``nonce`` names the part for platforms that
    can refuse to post the same message twice. ``waiting``: the text says what is going on, the answer has none yet.
    ``settled``: characters from the start that stay while the answer grows; None where it does not grow just now, or
    where ``Limits.appends`` is not set.
    """

    text: str
    nonce: str
    turn_id: str
    final: bool = False
    sources: tuple[Citation, ...] = ()
    notes: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()
    waiting: bool = False
    settled: int | None = field(default=None, compare=False)
