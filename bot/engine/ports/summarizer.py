"""Port to the model that summarizes a thread and extracts facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bot.engine.memory import Report
from bot.engine.ports.llm import Meter, Prompt
from bot.types.conversation import Fact


class Summarizer(Protocol):
    """Asks a model for the next piece of a thread's summary and for the facts in it. Raises LLMError."""

    def prompt(self, request: Prompt, known: Sequence[Fact]) -> Prompt:
        """Return the summary request extended to ask for facts, with an unchanged prefix for the prompt cache."""

    async def __call__(self, request: Prompt, *, meter: Meter) -> Report: ...
