"""Defines the JSON that the page receives: messages, conversations, sources, files and events."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from bot.types.display import Action

Role = Literal["user", "assistant", "command"]
EventKind = Literal["message", "patch", "gone", "thread", "title", "pin"]
"""What a change is about.

``thread`` adds a conversation or moves it to the top. ``pin`` pins it or undoes that. ``title`` gives it another title,
or takes it off the list if the title is empty.
"""


def iso_timestamp(at: datetime) -> str:
    """Return a time in ISO 8601, in UTC with microseconds, so that the texts sort like the times."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def stored_answer_id(turn_id: str) -> str:
    """Return the message ID of an answer that is read from the store."""
    return f"h-{turn_id}"


def placeholder_id(turn_id: str) -> str:
    """Return the ID of the message that stands in for the answer while another process writes it."""
    return f"e-{turn_id}"


@dataclass(frozen=True, slots=True)
class SourceView:
    """A numbered source under an answer. ``url`` is empty if a browser cannot open the source.

    ``document`` is the ID of the document, empty for an attached file; the quote was at its offset ``start``.
    ``literal`` is the quote as the document has it, if that differs from what is shown.
    """

    n: int
    title: str
    quote: str
    source: str
    heading: tuple[str, ...] = ()
    page: int | None = None
    page_label: str = ""
    url: str = ""
    document: str = ""
    start: int = 0
    literal: str = ""


@dataclass(frozen=True, slots=True)
class FileView:
    """A file that a command returned, to show or to download."""

    name: str
    url: str
    image: bool


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message of a conversation.

    ``blocks`` are pieces of safe HTML, one for each Markdown block. ``final`` is False while the message can still
    change. ``private`` marks what a channel would show to the asker only. ``reading`` identifies the ingestion that a
    command is running, as ``/ingest stop`` accepts it.
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


@dataclass(frozen=True, slots=True)
class ThreadView:
    """An entry of the conversation list."""

    id: str
    title: str
    at: str
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """A change that open pages receive. ``seq`` starts at 1 and grows by one with each event.

    ``only_for`` is the author ID of the only person who receives it; empty means everybody.
    """

    seq: int
    kind: EventKind
    data: dict[str, Any] = field(default_factory=dict)
    only_for: str = ""
