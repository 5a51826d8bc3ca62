"""Port to query rewriting, which makes a follow-up question standalone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.engine.ports.llm import Meter, Prompt
from bot.types.conversation import (
    PastMessage,
)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A question as it stands alone, whether documents must be searched for it, and the language to answer in.

    ``language`` is an ISO 639-1 code, empty where it was not told.
    """

    question: str
    needs_search: bool = True
    language: str = ""


class Rewriter(Protocol):
    """Makes a question stand alone by asking a model. Raises LLMError."""

    def prompt(self, question: str, past: Sequence[PastMessage], *, cache_key: str = "") -> Prompt:
        """The request, for counting what it may cost. ``past`` are the last messages of the thread, oldest first."""

    async def __call__(self, request: Prompt, *, meter: Meter) -> Rewritten: ...
