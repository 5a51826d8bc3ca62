"""Writes chat messages into a document: author, time and text, grouped by day, with each thread under its own heading.

Does no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from knowledge.parsing.document_builder import Builder

THREAD_HEADING_CHARS = 60
"""Characters of a thread's first message that its heading shows."""

_BEGINNING = re.compile(r"(?m)^(?=\S[^\n]*, \d{4}-\d\d-\d\d \d\d:\d\d: )")
"""Start of a line that looks like another message. It is quoted, so that nobody can write in another person's name."""


@dataclass(frozen=True, slots=True)
class Message:
    """A chat message. ``thread`` is the key of the thread that it starts or belongs to; None outside of threads."""

    key: str
    author: str
    time: datetime
    text: str
    thread: str | None = None


def write_channel(builder: Builder, channel: str, messages: Iterable[Message], level: int = 1) -> int:
    """Add a channel's messages in time order and return how many were added. Messages without text are left out.

    The channel is a heading of ``level``. Each day is a heading below it. A thread is placed at its first message.
    """
    ordered = sorted((message for message in messages if message.text.strip()), key=lambda message: message.time)
    threads: dict[str, list[Message]] = {}
    for message in ordered:
        if message.thread is not None:
            threads.setdefault(message.thread, []).append(message)
    if ordered:
        builder.heading(level, channel)
    day = ""
    for message in ordered:
        thread = threads.get(message.thread or "", [message])
        if thread[0] is not message:
            continue
        if len(thread) > 1:
            builder.heading(level + 1, _thread_heading(message))
            day = ""
        elif day != (today := f"{message.time:%Y-%m-%d}"):
            builder.heading(level + 1, today)
            day = today
        _add(builder, thread)
    return len(ordered)


def time_from_timestamp(seconds: float) -> datetime:
    """Return the time, in UTC, of seconds since 1970. Raises ValueError if it is out of range."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(str(error)) from None


def _add(builder: Builder, messages: Sequence[Message]) -> None:
    for message in messages:
        author, text = " ".join(message.author.split()), _BEGINNING.sub("> ", message.text.strip())
        builder.add("message", f"{author}, {message.time:%Y-%m-%d %H:%M}: {text}")


def _thread_heading(first: Message) -> str:
    text = " ".join(first.text.split())
    short = text if len(text) <= THREAD_HEADING_CHARS else text[:THREAD_HEADING_CHARS].rsplit(" ", 1)[0] + " …"
    return f"Thread of {first.author}, {first.time:%Y-%m-%d}: {short}"
