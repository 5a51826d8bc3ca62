"""What the page is shown: plain values that become JSON. ``blocks`` are pieces of safe HTML, one a Markdown block."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from bot.types.display import Action

Role = Literal["user", "assistant", "command"]


def stamp(at: datetime) -> str:
    """A time as the page gets it: ISO 8601 in UTC, so that the texts sort like the times."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True, slots=True)
class SourceView:
    """A numbered source under an answer. ``url`` is set where the source can be opened in a browser."""

    n: int
    title: str
    quote: str
    source: str
    heading: tuple[str, ...] = ()
    page: int | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class FileView:
    """A file to look at or to keep."""

    name: str
    url: str
    image: bool


@dataclass(frozen=True, slots=True)
class MessageView:
    """One message as the page shows it. ``final`` is False while it may still change.

    ``private`` is what a channel would show to the asker alone.
    """

    id: str
    thread: str
    role: Role
    author: str
    at: str
    blocks: tuple[str, ...] = ()
    turn: str = ""
    final: bool = True
    failed: bool = False
    private: bool = False
    sources: tuple[SourceView, ...] = ()
    notes: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()
    file: FileView | None = None
    reading: str = ""
    """What a command is reading: what ``/ingest stop`` takes to end it."""


@dataclass(frozen=True, slots=True)
class ThreadView:
    """A line of the thread list."""

    id: str
    title: str
    at: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: ``seq`` grows by one with each, from 1."""

    seq: int
    kind: Literal["message", "patch", "gone", "thread"]
    data: dict[str, Any] = field(default_factory=dict)
