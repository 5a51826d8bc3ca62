"""Port to query rewriting, which makes a follow-up question standalone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.engine.ports.llm import Meter, Prompt
from bot.types.conversation import PastMessage
from knowledge.compound_questions import QuestionPart


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A standalone question, whether it needs a document search, and the language to answer in.

    ``language`` is an ISO 639-1 code, or empty if unknown. ``parts`` are questions that must be searched each; none if
    one search answers the question.
    """

    question: str
    needs_search: bool = True
    language: str = ""
    parts: tuple[QuestionPart, ...] = ()


class Rewriter(Protocol):
    """Rewrites a follow-up into a standalone question by asking a model. Raises LLMError."""

    def prompt(self, question: str, past: Sequence[PastMessage], *, cache_key: str = "") -> Prompt:
        """Return the request to the model, so that its cost can be counted before it is sent.

        ``past`` holds the last messages, oldest first.
        """

    async def __call__(self, request: Prompt, *, meter: Meter) -> Rewritten: ...
