"""Helpers that ask an LLM in a test and record events, calls and errors."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from bot.engine.ports.llm import Ended, Event, Message, Meter, Prompt, Restarted, TextDelta
from bot.errors import LLMError
from bot.llm.prices import Prices
from bot.llm.providers.anthropic import AnthropicLLM
from bot.llm.providers.call_metering import Accounting
from bot.llm.providers.openai import OpenAILLM
from bot.llm.tokens import TokenCounter
from bot.types.usage import Call, Purpose, Tier
from knowledge.types.search_results import Passage
from tests.doubles.models import ModelDouble

ANTHROPIC_MODELS: dict[Tier, str] = {"cheap": "claude-haiku-5-5", "strong": "claude-sonnet-5-5"}
OPENAI_MODELS: dict[Tier, str] = {"cheap": "gpt-6-luna", "strong": "gpt-6.1-sol"}
ANSWER = "Thirty days of leave a year, plus the public holidays. [1] Grüße aus 東京 🙂 and on."

Adapter = AnthropicLLM | OpenAILLM


class Streams(Protocol):
    def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncGenerator[Event, None] | AsyncIterator[Event]: ...


@dataclass
class Asked:
    """Everything that one request returned."""

    events: list[Event] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    error: LLMError | None = None

    @property
    def text(self) -> str:
        """Return the text that a channel would show: a restart discards the text before it."""
        shown = ""
        for event in self.events:
            if isinstance(event, Restarted):
                shown = ""
            elif isinstance(event, TextDelta):
                shown += event.text
        return shown

    @property
    def ended(self) -> list[Ended]:
        return [event for event in self.events if isinstance(event, Ended)]

    @property
    def restarts(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, Restarted)]


def prompt(
    text: str = "How many days of leave do I have?",
    *,
    system: str = "Answer from the passages.",
    tier: Tier = "cheap",
    max_tokens: int = 500,
    messages: Sequence[Message] = (),
    passages: Sequence[Passage] = (),
    purpose: Purpose = "answer",
    cache_key: str = "thread-1",
) -> Prompt:
    return Prompt(
        purpose=purpose,
        tier=tier,
        system=system,
        messages=tuple(messages) or (Message("user", text),),
        max_tokens=max_tokens,
        question=text,
        passages=tuple(passages),
        cache_key=cache_key,
    )


async def ask(llm: Streams, asked: Prompt | None = None) -> Asked:
    """Ask and read all events. An LLMError is recorded; any other error is raised."""
    result = Asked()
    stream = llm.stream(asked or prompt(), meter=result.calls.append)
    assert isinstance(stream, AsyncGenerator)
    try:
        async with aclosing(stream) as events:
            async for event in events:
                result.events.append(event)
    except LLMError as error:
        result.error = error
    return result


def accounting(provider: str, counter: TokenCounter | None = None) -> Accounting:
    return Accounting(counter or TokenCounter(), partial(Prices().cost, provider))


def anthropic(double: ModelDouble, *, url: str | None = None, key: str | None = None) -> AnthropicLLM:
    return AnthropicLLM(
        key or double.anthropic_key, ANTHROPIC_MODELS, accounting("anthropic"), base_url=url or double.anthropic_url
    )


def openai(
    double: ModelDouble, *, url: str | None = None, key: str | None = None, usage_timeout: float = 5.0
) -> OpenAILLM:
    return OpenAILLM(
        key or double.openai_key,
        OPENAI_MODELS,
        accounting("openai"),
        base_url=url or double.openai_url,
        compatible=double.openai_kind == "compatible",
        usage_timeout=usage_timeout,
    )


def passage(text: str, *, title: str = "Handbook", heading: tuple[str, ...] = ()) -> Passage:
    return Passage(
        chunk_id=1,
        document_id="d",
        text=text,
        source="handbook.md",
        title=title,
        heading=heading,
        start=0,
        end=len(text),
        page=None,
        score=1.0,
    )
