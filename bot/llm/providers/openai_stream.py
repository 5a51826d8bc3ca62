"""Reads the stream of chat completions, also as compatible servers send it: chunks, endings, refusals, reasoning."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal

from bot.engine.ports.llm import Event, Restarted, TextDelta
from bot.llm import user_messages
from bot.llm.providers.call_metering import MeteredCall
from bot.llm.providers.inline_reasoning import InlineReasoning, Piece

if TYPE_CHECKING:
    import httpx2

Reason = Literal["complete", "cut", "refused"]
_REASONS: Mapping[str, Reason] = {"length": "cut", "content_filter": "refused"}
_REASONING_FIELDS = ("reasoning_content", "reasoning")
"""Fields in which compatible servers send reasoning apart from the answer."""
_DONE = re.compile(rb"(?:^|\n)data: ?\[DONE\]")
_TAIL_BYTES = 64


class AnswerReader:
    """Turns the chunks of one answer into events. ``reason`` is how it ended, None until the server says so.

    With ``inline_reasoning``, a block marked ``<think>`` is counted and not shown.
    """

    def __init__(self, call: MeteredCall, *, inline_reasoning: bool) -> None:
        self._call = call
        self._split = InlineReasoning() if inline_reasoning else None
        self._refused = False
        self._has_text = False
        self.reason: Reason | None = None

    def read(self, choice: Any) -> Iterator[Event]:
        """Yield the events of a choice of a chunk, or of the choice of a whole completion."""
        delta = getattr(choice, "delta", None) or getattr(choice, "message", None)
        if delta is not None:
            yield from self._text(delta)
        # Some servers send an empty reason with every chunk.
        stop = getattr(choice, "finish_reason", None)
        if stop:
            self.reason = reason_of(stop, refused=self._refused)
            yield from self.end()

    def end(self) -> Iterator[Event]:
        """Yield the text that was held back until the end was known."""
        if self._split is not None:
            yield from self._events(self._split.end())

    def end_without_reason(self) -> Iterator[Event]:
        """End an answer whose stream says that it is done and gives no reason. Nothing without text is an answer."""
        yield from self.end()
        if self._has_text:
            self.reason = reason_of("stop", refused=self._refused)

    def _text(self, delta: Any) -> Iterator[Event]:
        for name in _REASONING_FIELDS:
            if isinstance(reasoning := getattr(delta, name, None), str):
                self._call.add_reasoning(reasoning)
                break
        # A refusal streams in chunks of its own, before the one that ends the answer.
        refusal = getattr(delta, "refusal", None)
        self._refused = self._refused or bool(refusal)
        text = getattr(delta, "content", None) or refusal
        if not text:
            return
        yield from self._events([("answer", text)] if self._split is None else self._split.feed(text))

    def _events(self, pieces: Iterable[Piece]) -> Iterator[Event]:
        for kind, text in pieces:
            if kind == "reasoning":
                self._call.add_reasoning(text)
            elif kind == "restart":
                self._has_text = False
                yield Restarted(user_messages.REASONING_DISCARDED)
            else:
                self._has_text = True
                yield TextDelta(text)


class DoneWatch:
    """Notices whether a stream sends its end mark, ``[DONE]``, which the SDK reads and does not pass on."""

    def __init__(self, response: httpx2.Response) -> None:
        self._tail = b""
        self.seen = False
        read = response.aiter_bytes

        async def watched(chunk_size: int | None = None) -> AsyncGenerator[bytes, None]:
            async with aclosing(read(chunk_size)) as parts:
                async for part in parts:
                    self._look(part)
                    yield part

        response.aiter_bytes = watched  # type: ignore[method-assign]

    def _look(self, part: bytes) -> None:
        self._tail = (self._tail + part)[-max(_TAIL_BYTES, len(part)) :]
        self.seen = self.seen or _DONE.search(self._tail) is not None


def reason_of(stop: str | None, *, refused: bool) -> Reason:
    """Return how an answer ended, from its ``finish_reason`` and whether the model refused."""
    return "refused" if refused else _REASONS.get(stop or "", "complete")
