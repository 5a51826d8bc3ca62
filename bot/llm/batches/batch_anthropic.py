"""Anthropic's batch API for messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bot.engine.ports.llm import Meter, Prompt
from bot.llm import user_messages
from bot.llm.batches.batch import CLOCK_DIFFERENCE, BatchId, Completion, Progress, Result, State, check_prompts
from bot.llm.batches.batch_results import (
    CustomId,
    ResultLine,
    configured_name,
    meter_results,
    no_result,
    still_running,
    translate_errors,
)
from bot.llm.providers import provider_errors
from bot.llm.providers.anthropic import ANTHROPIC, AnthropicLLM, reason_of, usage_of
from bot.llm.providers.error_body import ErrorBody

if TYPE_CHECKING:
    from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse

_STATES: dict[str, State] = {"in_progress": "running", "canceling": "cancelling", "ended": "ended"}
_NOT_FOUND = user_messages.batch_unknown(ANTHROPIC.label)


class AnthropicBatch:
    """Implements ``Batch`` with the client, models and accounting of an adapter."""

    def __init__(self, llm: AnthropicLLM) -> None:
        self._llm = llm

    async def submit(self, prompts: Sequence[Prompt], *, key: str = "") -> BatchId:
        check_prompts(prompts)
        requests: list[Any] = [
            {
                "custom_id": str(CustomId(place, prompt.purpose, prompt.tier, key)),
                "params": self._llm.request(prompt, self._llm.model(prompt.tier)),
            }
            for place, prompt in enumerate(prompts)
        ]
        with translate_errors(self._llm, user_messages.no_batch_api(ANTHROPIC.label, ANTHROPIC.url_setting)):
            client = await self._llm.client()
            created = await client.messages.batches.create(requests=requests)
            return BatchId(ANTHROPIC.name, created.id)

    async def find(self, key: str, *, since: datetime) -> BatchId | None:
        """See ``Batch.find``. The key is in the results, because Anthropic's batches have no metadata."""
        running = False
        with translate_errors(self._llm, user_messages.no_batch_api(ANTHROPIC.label, ANTHROPIC.url_setting)):
            client = await self._llm.client()
            async for remote in client.messages.batches.list(limit=100):  # The newest come first.
                if remote.created_at < since - CLOCK_DIFFERENCE:
                    break
                if remote.processing_status != "ended":
                    running = True
                elif remote.results_url and await self._has_key(remote.id, key):
                    return BatchId(ANTHROPIC.name, remote.id)
        if running:
            raise still_running(ANTHROPIC)
        return None

    async def _has_key(self, batch_id: str, key: str) -> bool:
        """Return whether the first result of a batch bears the key."""
        client = await self._llm.client()
        results = await client.messages.batches.results(batch_id)
        try:
            async for line in results:
                return line.custom_id.endswith(f"-{key}")
        finally:
            await results.close()
        return False

    async def poll(self, batch: BatchId) -> Progress:
        remote = await self._retrieve(batch)
        counts = remote.request_counts
        failed = counts.errored + counts.canceled + counts.expired
        return Progress(_STATES[remote.processing_status], _total(remote), counts.succeeded, failed)

    async def results(self, batch: BatchId, *, meter: Meter) -> list[Result]:
        remote = await self._retrieve(batch)
        if remote.processing_status != "ended":
            raise still_running(ANTHROPIC)
        missing = no_result(ANTHROPIC, "missing")
        if not remote.results_url:  # Anthropic deletes results after 29 days.
            raise missing
        with translate_errors(self._llm, _NOT_FOUND):
            client = await self._llm.client()
            found = await client.messages.batches.results(batch.id)
            lines = [self._line(line) async for line in found]
        seconds = (remote.ended_at - remote.created_at).total_seconds() if remote.ended_at else 0.0
        return meter_results(self._llm, lines, _total(remote), missing, seconds=seconds, meter=meter)

    async def cancel(self, batch: BatchId) -> None:
        with translate_errors(self._llm, _NOT_FOUND):
            client = await self._llm.client()
            await client.messages.batches.cancel(batch.id)

    async def aclose(self) -> None:
        await self._llm.aclose()

    async def _retrieve(self, batch: BatchId) -> MessageBatch:
        with translate_errors(self._llm, _NOT_FOUND):
            client = await self._llm.client()
            remote = await client.messages.batches.retrieve(batch.id)
            remote.request_counts.processing  # noqa: B018  fails for a web page, which becomes an unreadable response
            return remote

    def _line(self, line: MessageBatchIndividualResponse) -> ResultLine:
        custom_id = CustomId.parse(line.custom_id)
        match line.result.type:
            case "succeeded":
                message = line.result.message
                text = "".join(block.text for block in message.content if block.type == "text")
                model = configured_name(self._llm, custom_id, message.model)
                completion = Completion(text, reason_of(message.stop_reason), model)
                return ResultLine(custom_id, completion, usage_of(message.usage))
            case "errored":
                body = ErrorBody.parse(line.result.error.model_dump())
                model = self._llm.model(custom_id.tier)
                return ResultLine(custom_id, provider_errors.from_error_body(ANTHROPIC, model, body))
            case "canceled":
                return ResultLine(custom_id, no_result(ANTHROPIC, "cancelled"))
            case _:
                return ResultLine(custom_id, no_result(ANTHROPIC, "expired"))


def _total(remote: MessageBatch) -> int:
    counts = remote.request_counts
    return counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
