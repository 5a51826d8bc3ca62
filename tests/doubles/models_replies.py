"""Scripted replies of the model provider double: a text and an optional fault."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.doubles.models_billing import ProviderName

Fault = Literal[
    "none",
    "status",  # ``status`` instead of an answer
    "html",  # a web page instead of an answer
    "untyped_html",  # a web page that is declared as plain text
    "error_event",  # an error event after ``after`` pieces
    "silence",  # headers, then nothing
    "deaf",  # not even headers
    "stall",  # nothing more after ``after`` pieces
    "reset",  # the connection is reset after ``after`` pieces
    "hang_up",  # a clean end without a terminal event after ``after`` pieces
    "broken_json",  # half a JSON object after ``after`` pieces
    "broken_utf8",  # undecodable bytes after ``after`` pieces
    "pings",  # pings and no text
    "thinking",  # thinking and no text
    "no_usage",  # everything but usage
    "absurd_usage",  # numbers that cannot be true
    "unknown_events",  # undocumented events between the others
    "empty_stream",  # a stream that ends without any event
    "whole",  # one JSON object where a stream was asked for
    "empty_reasons",  # an empty finish_reason with every chunk (OpenAI's form)
    "no_reason",  # the end mark and no finish_reason (OpenAI's form)
    "refusal_field",  # the text is sent as a refusal, in chunks of its own (OpenAI's form)
    "cut_off",  # the connection closes in the middle of a chunked body, after ``after`` pieces
    "late_usage",  # the text ends, the usage never comes and the connection stays open
]
Stop = Literal["complete", "cut", "refused"]


@dataclass(frozen=True, slots=True)
class Reply:
    """One scripted answer. It streams in pieces of ``piece`` characters, ``pause`` seconds apart.

    A reply that a test must see unfinished is ``held``, because a pause of any length can end before a busy machine
    looks.
    """

    text: str = ""
    stop: Stop = "complete"
    fault: Fault = "none"
    after: int = 0
    status: int = 500
    error: Mapping[str, Any] | None = None
    retry_after: str | None = None
    piece: int = 12
    pause: float = 0.0
    shred: bool = False
    """Send every byte in its own packet, so that characters and lines are split."""
    held: asyncio.Event | None = None
    """Pause after ``after`` pieces until this event is set."""
    reasoning: str = ""
    """Reasoning that is sent before the text, in a field of its own, and billed."""


@dataclass(slots=True)
class Seen:
    """One received request. ``closed`` is set when the client disconnects before the end."""

    number: int
    provider: ProviderName
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    pieces_sent: int = 0

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))

    @property
    def system(self) -> str:
        """Return the system prompt as one text."""
        if self.provider == "anthropic":
            return _text(self.body.get("system", ""))
        return "\n".join(_text(m["content"]) for m in self.body["messages"] if m["role"] in ("system", "developer"))

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Return role and text of each message except the system prompt."""
        found = [(str(m["role"]), _text(m["content"])) for m in self.body.get("messages", [])]
        return [(role, text) for role, text in found if role not in ("system", "developer")]


def quoting(seen: Seen) -> Reply:
    """Answer with the first sentence of up to two numbered passages of the last message; the default script."""
    text = seen.messages[-1][1] if seen.messages else ""
    quotes = []
    for match in re.finditer(
        r"^\[(\d+)\] [^\n]*\n(.+?)(?=\n\[\d+\] |\n</passages\b|\Z)", text, re.MULTILINE | re.DOTALL
    ):
        sentence = next(
            (s for s in re.split(r"(?<=[.!?])\s+|\n", match[2]) if len(s) > 20 and not s.startswith("#")), ""
        )
        if sentence:
            quotes.append(f"{sentence.strip()} [{match[1]}]")
        if len(quotes) == 2:
            break
    return Reply("\n\n".join(quotes) or "I do not know: the documents say nothing about it.")


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(str(block.get("text", "")) for block in content if isinstance(block, dict))
    return ""
