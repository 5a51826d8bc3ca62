"""Defines what is shown: message parts, citations, actions, and the limits of a platform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Pacing:
    """The edit pacing of a process in one workspace, as reported to the other processes.

    ``streams`` is the number of active streams, ``starts`` the number started within the last minute. ``slow`` is the
    factor by which its edit interval is widened, ``pause`` the seconds from now during which the platform accepts no
    edit.
    """

    tenant_id: str
    platform: str
    process_id: int
    streams: int
    starts: int
    slow: float
    pause: float


@dataclass(frozen=True, slots=True)
class Activity:
    """What the bot is doing for a question: ``text`` goes on after its name, as in "is searching the documents".

    ``writing``: the answer itself shows it, because its text grows.
    """

    text: str
    writing: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What a platform allows: characters of Markdown per message, seconds between edits, messages per answer.

    ``here_only``: only this process can show something in the place, so no other process may run the turn.
    ``edits_per_minute`` is shared by all replies in a tenant; None if they share nothing, or if the platform's library
    throttles by itself. ``appends``: a draft can grow by appending, so parts say how much of them is settled, and
    ``edit_interval`` may be shorter. ``size`` counts the characters of a text as the platform does.
    ``ends_with_process``: no other process continues an answer there, so a shutdown stops it.
    ``max_blocks``: the most headings, code blocks, tables and texts between them in a message; None for no limit.
    """

    message_chars: int
    edit_interval: float
    max_parts: int = 10
    here_only: bool = False
    edits_per_minute: float | None = None
    appends: bool = False
    size: Callable[[str], int] = len
    max_blocks: int | None = None
    ends_with_process: bool = False


@dataclass(frozen=True, slots=True)
class Citation:
    """A citation. ``quote`` is literal: ``document.text[start:end]``. ``n`` is the marker in the answer."""

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
    page_label: str = ""
    """The number that the page bears, such as ``iv``, if it is another than ``page``."""

    @property
    def place(self) -> str:
        """The place of the quote, for display: title, headings and page."""
        path = self.heading[1:] if self.heading[:1] == (self.title,) else self.heading
        return " › ".join((self.title or self.source, *path)) + (f", page {self.shown_page}" if self.page else "")

    @property
    def shown_page(self) -> str:
        """The number of the page as a reader sees it on the page; empty without a page."""
        return self.page_label or ("" if self.page is None else str(self.page))


Action = Literal["stop", "again", "strong", "up", "down", "why", "sources"]
"""A button under a message. Each platform has its own labels."""


@dataclass(frozen=True, slots=True)
class Part:
    """One message of a reply as it should look now. ``text`` is sanitized Markdown within ``Limits.message_chars``.

    ``sources``, ``notes`` and ``actions`` belong to the last part only. ``nonce`` identifies the part for platforms
    that can refuse to post a message twice. ``waiting``: the text is a status; the answer has no text yet. ``settled``:
    characters from the start that stay while the answer grows; None if it does not grow now or ``Limits.appends`` is
    not set. ``links`` are the addresses that may be links, in the form of ``urls_in``; the platform checks them again.
    ``plain``: the platform refused the usual layout, so the text is shown without any.
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
    links: frozenset[str] = field(default=frozenset(), compare=False)
    plain: bool = False


@dataclass(frozen=True, slots=True)
class FinalReply:
    """What a reply shows in the end: the text of all its messages, and what is below the last one."""

    text: str
    sources: tuple[Citation, ...] = ()
    notes: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()
