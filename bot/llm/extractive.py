"""Answers without a model: quotes the sentences of the passages that fit the question best."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from decimal import Decimal

from bot.engine.ports.llm import Ended, Event, Meter, Prompt, TextDelta
from bot.llm.call_metering import estimate_prompt
from bot.llm.sentence_ranking import Quote, best_quotes, telling_sentences
from bot.llm.tokens import TokenCounter
from bot.types.conversation import Fact
from bot.types.usage import Call, CallStatus, Tier, Usage

NAME = "extractive"
OPENING = "No model is configured, so this quotes the documents and writes nothing of its own."
BLIND = "No model is configured, so I cannot see the image: this goes by the words alone."
NOTHING = (
    "I found nothing about this in the documents. "
    "No model is configured, so I can only quote what is there: add a document about it, or ask in other words."
)

KEPT = "I keep this for the thread; `/memory` shows and forgets it."
SAID = "Said in this thread:"
GLAD = "Glad to help. Ask, and I look it up in the documents."
_OWN = (OPENING, BLIND, NOTHING, KEPT, SAID, GLAD)
"""The answerer's own words, which a summary is not made of."""

_PIECE = re.compile(r"\S+\s*|\s+")
_WORDS_A_PIECE = 6
_SUMMARY_CHARS_A_TOKEN = 3
_LONGEST_SUMMARY = 1500


class ExtractiveLLM:
    """An LLM that copies. Costs nothing; its tokens are the local count."""

    name = "The extractive answerer"

    def __init__(self, counter: TokenCounter, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._counter = counter
        self._clock = clock

    def model(self, tier: Tier) -> str:
        return NAME

    async def ready(self) -> None:
        """There is nothing to load."""

    async def count(self, prompt: Prompt) -> int | None:
        """The local count is all there is."""
        return None

    async def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncGenerator[Event, None]:
        started = self._clock()
        first: float | None = None
        sent: list[str] = []
        status: CallStatus = "ok"
        try:
            for piece in _pieces(compose(prompt)):
                first = first or self._clock()
                sent.append(piece)
                yield TextDelta(piece)
                await asyncio.sleep(0)
        except (asyncio.CancelledError, GeneratorExit):
            status = "cancelled"
            raise
        finally:
            meter(self._call(prompt, "".join(sent), status, started, first))
        yield Ended("complete", NAME, NAME)

    def _call(self, prompt: Prompt, text: str, status: CallStatus, started: float, first: float | None) -> Call:
        return Call(
            purpose=prompt.purpose,
            provider=NAME,
            model=NAME,
            tier=prompt.tier,
            usage=Usage(
                input_tokens=estimate_prompt(prompt, NAME, self._counter),
                completion_tokens=self._counter.count(text, NAME),
            ),
            cost_usd=Decimal(0),
            price_version="none",
            status=status,
            latency_ms=(self._clock() - started) * 1000,
            ttft_ms=None if first is None else (first - started) * 1000,
        )

    async def aclose(self) -> None:
        return None


def compose(prompt: Prompt) -> str:
    """The whole text: quotes for an answer, the most telling sentences for a summary, the question itself otherwise."""
    if prompt.purpose == "summary":
        room = min(_LONGEST_SUMMARY, prompt.max_tokens * _SUMMARY_CHARS_A_TOKEN)
        return " ".join(telling_sentences([_without_own(prompt.question or prompt.messages[-1].text)], room))
    if prompt.purpose != "answer":
        return prompt.question
    blind = [BLIND] if any(message.images for message in prompt.messages) else []
    if prompt.told:
        return "\n\n".join([*blind, KEPT, *(f"“{one}”" for one in prompt.told)])
    if not prompt.looked_up:
        return "\n\n".join([*blind, GLAD])
    stated = [_quoted(fact.text, fact.author, fact.said_at) for fact in prompt.facts]
    told = [_quoted(one.text, one.author, one.at) for one in prompt.said if not _is_stated(one.text, prompt.facts)]
    said = [SAID, *stated, *told] if stated or told else []
    quotes = best_quotes(prompt.question, prompt.passages)
    quoted = [OPENING, *map(_shown, quotes)] if quotes else []
    return "\n\n".join([*blind, *((said + quoted) or [NOTHING])])


def _without_own(text: str) -> str:
    for own in _OWN:
        text = text.replace(own, "")
    return text


def _is_stated(sentence: str, facts: Sequence[Fact]) -> bool:
    """Whether one of the facts is what the sentence says."""
    return any(fact.text.casefold() in sentence.casefold() for fact in facts)


def _quoted(text: str, author: str, at: datetime) -> str:
    return f"“{text}” ({author}, {at:%d %B %Y})"


def _shown(quote: Quote) -> str:
    """A quote with its marker: code as a block, all else between quotation marks on one line, a row with its header."""
    if quote.kind == "code":
        return f"{quote.text}\n[{quote.n}]"
    line = " ".join(quote.text.split())
    if quote.kind == "row":
        line = line.strip("| ")
    cells = [cell.strip() for cell in quote.header.split("|") if cell.strip()]
    return f"{', '.join(cells)}: “{line}” [{quote.n}]" if cells else f"“{line}” [{quote.n}]"


def _pieces(text: str) -> list[str]:
    """The text in small pieces, as a model would send it."""
    words = _PIECE.findall(text)
    return ["".join(words[at : at + _WORDS_A_PIECE]) for at in range(0, len(words), _WORDS_A_PIECE)]
