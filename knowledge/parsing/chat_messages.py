"""Messages of a channel as blocks: who, when, what; a thread stays together under a heading of its own. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from knowledge.parsing.document_builder import Builder

OPENING = 60
"""Characters of the first message that name a thread."""


@dataclass(frozen=True, slots=True)
class Message:
    """``thread`` is the key of the thread that the message begins or stands in; None outside of threads."""

    key: str
    author: str
    time: datetime
    text: str
    thread: str | None = None


def write(builder: Builder, channel: str, messages: Iterable[Message], level: int = 1) -> int:
    """A channel: its days, and each thread where its first message stands. Returns the number of messages."""
    told = sorted((message for message in messages if message.text.strip()), key=lambda message: message.time)
    threads: dict[str, list[Message]] = {}
    for message in told:
        if message.thread is not None:
            threads.setdefault(message.thread, []).append(message)
    if told:
        builder.heading(level, channel)
    day = ""
    for message in told:
        thread = threads.get(message.thread or "", [message])
        if thread[0] is not message:
            continue
        if len(thread) > 1:
            builder.heading(level + 1, _opening(message))
            day = ""
        elif day != (today := f"{message.time:%Y-%m-%d}"):
            builder.heading(level + 1, today)
            day = today
        _add(builder, thread)
    return len(told)


def moment(seconds: float) -> datetime:
    """A point in time of seconds since 1970. Raises ValueError where it is none."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(str(error)) from None


def _add(builder: Builder, messages: Sequence[Message]) -> None:
    for message in messages:
        builder.add("message", f"{message.author}, {message.time:%Y-%m-%d %H:%M}: {message.text.strip()}")


def _opening(message: Message) -> str:
    words = " ".join(message.text.split())
    short = words if len(words) <= OPENING else words[:OPENING].rsplit(" ", 1)[0] + " …"
    return f"Thread of {message.author}, {message.time:%Y-%m-%d}: {short}"
