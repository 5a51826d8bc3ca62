"""Answers without a language model: quotes the sentences of the passages that match the question best."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from decimal import Decimal

from bot.engine.memory import small_talk
from bot.engine.ports.llm import Ended, Event, Meter, Prompt, TextDelta
from bot.llm import user_messages
from bot.llm.providers.call_metering import estimate_prompt
from bot.llm.quoting.quote_selection import Quote, best_quotes, quotes_by_part, telling_quotes
from bot.llm.quoting.sentence_ranking import key_sentences
from bot.llm.tokens import TokenCounter
from bot.types.conversation import Fact
from bot.types.usage import NO_MODEL, Call, CallStatus, Tier, Usage

NAME = NO_MODEL


@dataclass(frozen=True, slots=True)
class Phrases:
    """What is said around the quotes."""

    intro: str
    image: str
    nothing: str
    overview: str


NOT_CONFIGURED = Phrases(
    user_messages.EXTRACTIVE_INTRO,
    user_messages.CANNOT_SEE_IMAGE,
    user_messages.NOTHING_FOUND,
    user_messages.OVERVIEW_INTRO,
)
OUTAGE = Phrases(
    user_messages.OUTAGE_INTRO,
    user_messages.IMAGE_IN_OUTAGE,
    user_messages.NOTHING_FOUND_IN_OUTAGE,
    user_messages.OVERVIEW_IN_OUTAGE,
)
_FIXED_PHRASES = (
    *astuple(NOT_CONFIGURED),
    *astuple(OUTAGE),
    user_messages.FACT_SAVED,
    user_messages.SAID_IN_THREAD,
    *user_messages.SMALL_TALK.values(),
)
"""Phrases of earlier answers that a summary must not quote."""

_WORD = re.compile(r"\S+\s*|\s+")
_WORDS_PER_DELTA = 6
_SUMMARY_CHARS_PER_TOKEN = 3
_MAX_SUMMARY_CHARS = 1500


class ExtractiveLLM:
    """An LLM that only quotes. It costs nothing; its tokens are counted locally, in an ``outage`` not at all."""

    name = "The extractive answerer"

    def __init__(
        self, counter: TokenCounter, *, clock: Callable[[], float] = time.perf_counter, outage: bool = False
    ) -> None:
        self._counter = counter
        self._outage = outage
        self._clock = clock

    def model(self, tier: Tier) -> str:
        return NAME

    async def ready(self) -> None:
        """Do nothing: there is nothing to load."""

    async def count(self, prompt: Prompt) -> int | None:
        """Return None: no provider counts these tokens."""
        return None

    async def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncGenerator[Event, None]:
        started = self._clock()
        first: float | None = None
        sent: list[str] = []
        status: CallStatus = "ok"
        try:
            for delta in _deltas(compose(prompt, OUTAGE if self._outage else NOT_CONFIGURED)):
                first = first or self._clock()
                sent.append(delta)
                yield TextDelta(delta)
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
            usage=self._usage(prompt, text),
            cost_usd=Decimal(0),
            price_version="none",
            status=status,
            latency_ms=(self._clock() - started) * 1000,
            ttft_ms=None if first is None else (first - started) * 1000,
        )

    def _usage(self, prompt: Prompt, text: str) -> Usage:
        if self._outage:  # Nobody's daily limit pays for an outage.
            return Usage()
        return Usage(
            input_tokens=estimate_prompt(prompt, NAME, self._counter),
            completion_tokens=self._counter.count(text, NAME),
        )

    async def aclose(self) -> None:
        return None


def compose(prompt: Prompt, phrases: Phrases = NOT_CONFIGURED) -> str:
    """Return the full text: quotes for an answer, key sentences for a summary, otherwise the question itself."""
    if prompt.purpose == "summary":
        limit = min(_MAX_SUMMARY_CHARS, prompt.max_tokens * _SUMMARY_CHARS_PER_TOKEN)
        return " ".join(key_sentences([_without_fixed_phrases(prompt.question or prompt.messages[-1].text)], limit))
    if prompt.purpose != "answer":
        return prompt.question
    notes = [phrases.image] if any(message.images for message in prompt.messages) else []
    if prompt.told:
        return "\n\n".join([*notes, user_messages.FACT_SAVED, *(f"“{one}”" for one in prompt.told)])
    if not prompt.looked_up:
        return "\n\n".join([*notes, user_messages.SMALL_TALK[small_talk(prompt.question) or "thanks"]])
    facts = [_attributed(fact.text, fact.author, fact.said_at) for fact in prompt.facts]
    messages = [
        _attributed(one.text, one.author, one.at) for one in prompt.said if not _is_fact(one.text, prompt.facts)
    ]
    from_thread = [user_messages.SAID_IN_THREAD, *facts, *messages] if facts or messages else []
    if prompt.overview:
        return "\n\n".join([phrases.overview, *map(_format_quote, telling_quotes(prompt.passages))])
    quotes = _quotes(prompt)
    from_documents = [phrases.intro, *quotes] if quotes else []
    return "\n\n".join([*notes, *((from_thread + from_documents) or [phrases.nothing])])


def _quotes(prompt: Prompt) -> list[str]:
    """Return the quotes with their markers, below the label of its part each if the question has parts."""
    groups = quotes_by_part(prompt.parts, prompt.passages, prompt.carried)
    if not groups:
        return list(map(_format_quote, best_quotes(prompt.question, prompt.passages, prompt.carried)))
    return [line for label, quotes in groups for line in (f"**{label}**", *map(_format_quote, quotes))]


def _without_fixed_phrases(text: str) -> str:
    for phrase in _FIXED_PHRASES:
        text = text.replace(phrase, "")
    return text


def _is_fact(sentence: str, facts: Sequence[Fact]) -> bool:
    """Return whether the sentence states one of the facts."""
    return any(fact.text.casefold() in sentence.casefold() for fact in facts)


def _attributed(text: str, author: str, at: datetime) -> str:
    return f"“{text}” ({author}, {at:%d %B %Y})"


def _format_quote(quote: Quote) -> str:
    """Return a quote with its marker: code as a block, anything else in quotation marks on one line.

    A table row is preceded by its header.
    """
    if quote.kind == "code":
        return f"{quote.text}\n[{quote.n}]"
    line = " ".join(quote.text.split())
    if quote.kind == "row":
        line = line.strip("| ")
    cells = [cell.strip() for cell in quote.header.split("|") if cell.strip()]
    return f"{', '.join(cells)}: “{line}” [{quote.n}]" if cells else f"“{line}” [{quote.n}]"


def _deltas(text: str) -> list[str]:
    """Return the text in small pieces, as a model would stream it."""
    words = _WORD.findall(text)
    return ["".join(words[at : at + _WORDS_PER_DELTA]) for at in range(0, len(words), _WORDS_PER_DELTA)]
