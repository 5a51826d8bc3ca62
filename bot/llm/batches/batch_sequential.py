"""A batch for any LLM without a batch API, such as the extractive answerer: asks the prompts one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import count

from bot.engine.aio import closing
from bot.engine.ports.llm import LLM, Ended, Event, Meter, Prompt, Restarted, TextDelta
from bot.errors import LLMError
from bot.llm import user_messages
from bot.llm.batches.batch import BatchId, Completion, Progress, Result, check_prompts
from bot.llm.batches.batch_results import no_result
from bot.llm.providers.provider_errors import ProviderInfo


class SequentialBatch:
    """Implements ``Batch`` by asking the prompts when the results are fetched.

    There is no discount, and a batch ends with its process.
    """

    def __init__(self, llm: LLM) -> None:
        self._llm = llm
        self._ids = count(1)
        self._waiting: dict[str, tuple[Prompt, ...]] = {}
        self._done: dict[str, list[Result]] = {}

    async def submit(self, prompts: Sequence[Prompt], *, key: str = "") -> BatchId:
        check_prompts(prompts)
        batch = BatchId("at-once", str(next(self._ids)))
        self._waiting[batch.id] = tuple(prompts)
        return batch

    async def find(self, key: str, *, since: datetime) -> BatchId | None:
        """Return None: a batch whose id was not stored was not run either."""
        return None

    async def poll(self, batch: BatchId) -> Progress:
        if batch.id in self._done:
            failed = sum(isinstance(result, LLMError) for result in self._done[batch.id])
            total = len(self._done[batch.id])
            return Progress("ended", total, total - failed, failed)
        return Progress("ended", len(self._prompts(batch)), 0, 0)

    async def results(self, batch: BatchId, *, meter: Meter) -> list[Result]:
        if batch.id not in self._done:
            self._done[batch.id] = [await self._ask(prompt, meter) for prompt in self._prompts(batch)]
            self._waiting.pop(batch.id, None)
        return self._done[batch.id]

    async def cancel(self, batch: BatchId) -> None:
        if batch.id not in self._done:
            info = ProviderInfo("at-once", "The batch", "", "")
            self._done[batch.id] = [no_result(info, "cancelled") for _ in self._prompts(batch)]

    async def aclose(self) -> None:
        await self._llm.aclose()

    def _prompts(self, batch: BatchId) -> tuple[Prompt, ...]:
        if batch.id not in self._waiting:
            raise LLMError(user_messages.BATCH_LOST, kind="batch")
        return self._waiting[batch.id]

    async def _ask(self, prompt: Prompt, meter: Meter) -> Result:
        pieces: list[str] = []
        try:
            async with closing(self._llm.stream(prompt, meter=meter)) as events:
                async for event in events:
                    ended = _collect(event, pieces)
                    if ended is not None:
                        return Completion("".join(pieces), ended.reason, ended.model)
        except LLMError as error:
            return error
        return LLMError(user_messages.BATCH_UNFINISHED, kind="unfinished")


def _collect(event: Event, pieces: list[str]) -> Ended | None:
    """Add the event's text to ``pieces``; return the end of the answer."""
    match event:
        case TextDelta(text):
            pieces.append(text)
        case Restarted():
            pieces.clear()
        case Ended():
            return event
    return None
