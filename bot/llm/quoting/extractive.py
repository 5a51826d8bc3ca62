"""Answers without a language model: quotes the sentences of the passages that match the question best."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal

from bot.engine.memory import small_talk
from bot.engine.ports.llm import Ended, Event, Meter, Prompt, TextDelta
from bot.llm.providers.call_metering import estimate_prompt
from bot.llm.quoting.fixed_texts import FixedTexts, all_texts, texts_for
from bot.llm.quoting.quote_selection import Quote, best_quotes, quotes_by_part, telling_quotes
from bot.llm.quoting.sentence_ranking import key_sentences
from bot.llm.tokens import TokenCounter
from bot.types.conversation import Fact
from bot.types.usage import NO_MODEL, Call, CallStatus, Tier, Usage

NAME = NO_MODEL

Outage = Literal["passing", "lasting"]
"""Why models that are configured do not answer: a fault that passes, or one that lasts until an admin corrects it."""

_WORD = re.compile(r"\S+\s*|\s+")
_WORDS_PER_DELTA = 6
_SUMMARY_CHARS_PER_TOKEN = 3
_MAX_SUMMARY_CHARS = 1500


class ExtractiveLLM:
    """An LLM that only quotes. It costs nothing; its tokens are counted locally, in an ``outage`` not at all."""

    name = "The extractive answerer"

    def __init__(
        self, counter: TokenCounter, *, clock: Callable[[], float] = time.perf_counter, outage: Outage | None = None
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
            # In a thread, since quoting computes, and the model that tells the language may have to be loaded.
            for delta in _deltas(await asyncio.to_thread(compose, prompt, outage=self._outage)):
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


def compose(prompt: Prompt, *, outage: Outage | None = None) -> str:
    """Return the full text: quotes for an answer, key sentences for a summary, otherwise the question itself.

    The texts around the quotes are in the language of the question, and say how long an ``outage`` lasts, if it is one.
    """
    if prompt.purpose == "summary":
        limit = min(_MAX_SUMMARY_CHARS, prompt.max_tokens * _SUMMARY_CHARS_PER_TOKEN)
        return " ".join(key_sentences([_without_fixed_texts(prompt.question or prompt.messages[-1].text)], limit))
    if prompt.purpose != "answer":
        return prompt.question
    earlier = [message.text for message in prompt.messages[:-1] if message.role == "user"]
    texts = texts_for(prompt.question, earlier)
    notes = []
    if any(message.images for message in prompt.messages):
        notes.append(texts.outage_image if outage else texts.image)
    if prompt.told:
        return "\n\n".join([*notes, texts.fact_saved, *(f"“{one}”" for one in prompt.told)])
    if not prompt.looked_up:
        return "\n\n".join([*notes, texts.small_talk(small_talk(prompt.question) or "thanks")])
    from_thread = _said_in_thread(prompt, texts)
    if prompt.overview:
        overview = texts.outage_overview if outage else texts.overview
        return "\n\n".join([overview, *map(_format_quote, telling_quotes(prompt.passages))])
    quotes = _quotes(prompt)
    intro, nothing = {
        None: (texts.intro, texts.nothing),
        "passing": (texts.outage_intro, texts.outage_nothing),
        "lasting": (texts.no_usable_model_intro, texts.no_usable_model_nothing),
    }[outage]
    from_documents = [intro, *quotes] if quotes else []
    return "\n\n".join([*notes, *((from_thread + from_documents) or [nothing])])


def _said_in_thread(prompt: Prompt, texts: FixedTexts) -> list[str]:
    """Return the facts and messages of the thread below a line that names it; empty if there are none."""
    facts = [_attributed(fact.text, fact.author, fact.said_at, texts) for fact in prompt.facts]
    messages = [
        _attributed(one.text, one.author, one.at, texts) for one in prompt.said if not _is_fact(one.text, prompt.facts)
    ]
    return [texts.said_in_thread, *facts, *messages] if facts or messages else []


def _quotes(prompt: Prompt) -> list[str]:
    """Return the quotes with their markers, below the label of its part each if the question has parts."""
    groups = quotes_by_part(prompt.parts, prompt.passages, prompt.carried)
    if not groups:
        return list(map(_format_quote, best_quotes(prompt.question, prompt.passages, prompt.carried)))
    return [line for label, quotes in groups for line in (f"**{label}**", *map(_format_quote, quotes))]


def _without_fixed_texts(text: str) -> str:
    """Return the text without the fixed texts of earlier answers, which a summary must not quote."""
    for fixed in all_texts():
        text = text.replace(fixed, "")
    return text


def _is_fact(sentence: str, facts: Sequence[Fact]) -> bool:
    """Return whether the sentence states one of the facts."""
    return any(fact.text.casefold() in sentence.casefold() for fact in facts)


def _attributed(text: str, author: str, at: datetime, texts: FixedTexts) -> str:
    return f"“{text}” ({author}, {at.strftime(texts.date)})"


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
