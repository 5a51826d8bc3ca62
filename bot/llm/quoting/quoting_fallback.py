"""Quotes the passages when no model can answer; implements the ``LLM`` protocol itself."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from dataclasses import replace

from bot.engine.aio import closing
from bot.engine.ports.llm import LLM, Ended, Event, Meter, Prompt, Restarted
from bot.errors import ContextTooLong, LLMError
from bot.llm import user_messages
from bot.llm.quoting.extractive import ExtractiveLLM, Outage
from bot.llm.tokens import TokenCounter
from bot.types.usage import Tier

log = logging.getLogger(__name__)

_ASKER_CAN_FIX = ("images",)
"""Kinds of errors that the asker avoids with another question. A prompt that is too long is another one."""


class QuotingFallback:
    """Asks models, and quotes the passages of an answer's prompt if none of them can answer.

    The last event of quotes has the ``outage``: what failed and how to fix it, which is for operators and not for the
    asker. Raises LLMError for other prompts, and for what the asker can fix.
    """

    def __init__(self, models: LLM, counter: TokenCounter) -> None:
        self._models = models
        self._quotes: dict[Outage, ExtractiveLLM] = {
            "passing": ExtractiveLLM(counter, outage="passing"),
            "lasting": ExtractiveLLM(counter, outage="lasting"),
        }

    def model(self, tier: Tier) -> str:
        return self._models.model(tier)

    async def ready(self) -> None:
        await self._models.ready()

    async def count(self, prompt: Prompt) -> int | None:
        return await self._models.count(prompt)

    async def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncGenerator[Event, None]:
        try:
            async with closing(self._models.stream(prompt, meter=meter)) as events:
                async for event in events:
                    yield event
            return
        except LLMError as error:
            if prompt.purpose != "answer" or isinstance(error, ContextTooLong) or error.kind in _ASKER_CAN_FIX:
                raise
            outage = str(error)
            quotes = self._quotes["lasting" if error.needs_admin else "passing"]
        log.error("no model can answer, so passages are quoted: %s", outage)
        yield Restarted(user_messages.QUOTED_INSTEAD)
        async with closing(quotes.stream(prompt, meter=meter)) as events:
            async for event in events:
                yield replace(event, outage=outage) if isinstance(event, Ended) else event

    async def aclose(self) -> None:
        await self._models.aclose()
