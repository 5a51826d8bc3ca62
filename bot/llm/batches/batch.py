"""Batches of prompts for offline work: half the price, results within 24 hours. Protocol and value types.

``build.build_batch`` returns a ``Batch``. A job stores ``str(id)``, polls from time to time, and fetches the results
once, in the order of its prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from bot.engine.ports.llm import Meter, Prompt
from bot.errors import LLMError, UsageError
from bot.llm import user_messages

MAX_PROMPTS = 50_000
"""Maximum number of prompts in one batch. This is OpenAI's limit; Anthropic's is twice as high."""

CLOCK_DIFFERENCE = timedelta(minutes=10)
"""By how much the clocks of a provider and of the database may differ."""

State = Literal["running", "cancelling", "ended"]


@dataclass(frozen=True, slots=True)
class BatchId:
    """A batch's provider, and its id at the provider."""

    provider: str
    id: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> BatchId:
        """Parse what ``str`` returned. Raises UsageError."""
        provider, colon, name = text.partition(":")
        if not (provider and colon and name):
            raise UsageError(user_messages.invalid_batch_id(text))
        return cls(provider, name)


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a batch. Providers may update the counts only at the end."""

    state: State
    total: int
    succeeded: int
    failed: int


@dataclass(frozen=True, slots=True)
class Completion:
    """The answer to one prompt."""

    text: str
    reason: Literal["complete", "cut", "refused"]
    model: str


Result = Completion | LLMError
"""A prompt's answer, or the error: of kind ``cancelled``, ``expired``, ``missing``, or a kind of a single call."""


class Batch(Protocol):
    """A provider's batch API. Every method raises LLMError; kind ``batch`` means that the batch does not exist."""

    async def submit(self, prompts: Sequence[Prompt], *, key: str = "") -> BatchId:
        """Submit the prompts. Raises UsageError if there are none or too many.

        ``key`` lets ``find`` find the batch, if its id could not be stored: up to 32 letters and digits.
        """

    async def find(self, key: str, *, since: datetime) -> BatchId | None:
        """Return the batch that was submitted with ``key`` since then; None if the provider has none.

        Raises LLMError: kind ``running`` while the provider does not tell whether one that it processes is this one.
        """

    async def poll(self, batch: BatchId) -> Progress: ...

    async def results(self, batch: BatchId, *, meter: Meter) -> list[Result]:
        """Return one result per prompt, in the order of the prompts. Meters all of them on every call.

        Raises LLMError: kind ``running`` before the batch has ended, ``rejected`` if the provider took none of it.
        """

    async def cancel(self, batch: BatchId) -> None:
        """Cancel the batch. Answers written until then are charged and part of the results."""

    async def aclose(self) -> None: ...


def check_prompts(prompts: Sequence[Prompt]) -> None:
    """Raise UsageError for a batch that no provider accepts."""
    if not prompts:
        raise UsageError(user_messages.BATCH_EMPTY)
    if len(prompts) > MAX_PROMPTS:
        raise UsageError(user_messages.batch_too_large(MAX_PROMPTS, len(prompts)))
