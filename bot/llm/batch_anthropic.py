"""Anthropic's message batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bot.engine.ports.llm import Meter, Prompt
from bot.llm import provider_errors
from bot.llm.anthropic import WHO, AnthropicLLM, reason_of, usage_of
from bot.llm.batch import (
    BatchId,
    Line,
    Progress,
    Result,
    State,
    Ticket,
    Written,
    check,
    lost,
    model_of,
    no_api,
    running,
    settle,
    translated,
    undone,
)

if TYPE_CHECKING:
    from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse

_STATES: dict[str, State] = {"in_progress": "running", "canceling": "cancelling", "ended": "ended"}


class AnthropicBatch:
    """A Batch over the adapter's client, models and books."""

    def __init__(self, llm: AnthropicLLM) -> None:
        self._llm = llm

    async def submit(self, prompts: Sequence[Prompt]) -> BatchId:
        check(prompts)
        requests: list[Any] = [
            {
                "custom_id": str(Ticket(place, prompt.purpose, prompt.tier)),
                "params": self._llm.request(prompt, self._llm.model(prompt.tier)),
            }
            for place, prompt in enumerate(prompts)
        ]
        with translated(self._llm, no_api(WHO)):
            client = await self._llm.client()
            made = await client.messages.batches.create(requests=requests)
            return BatchId(WHO.provider, made.id)

    async def poll(self, batch: BatchId) -> Progress:
        known = await self._known(batch)
        counts = known.request_counts
        failed = counts.errored + counts.canceled + counts.expired
        return Progress(_STATES[known.processing_status], _total(known), counts.succeeded, failed)

    async def results(self, batch: BatchId, *, meter: Meter) -> list[Result]:
        known = await self._known(batch)
        if known.processing_status != "ended":
            raise running(WHO)
        if not known.results_url:  # results go after 29 days
            raise undone(WHO, "missing")
        with translated(self._llm, lost(WHO)):
            client = await self._llm.client()
            found = await client.messages.batches.results(batch.id)
            lines = [self._line(line) async for line in found]
        seconds = (known.ended_at - known.created_at).total_seconds() if known.ended_at else 0.0
        return settle(self._llm, lines, _total(known), undone(WHO, "missing"), seconds=seconds, meter=meter)

    async def cancel(self, batch: BatchId) -> None:
        with translated(self._llm, lost(WHO)):
            client = await self._llm.client()
            await client.messages.batches.cancel(batch.id)

    async def aclose(self) -> None:
        await self._llm.aclose()

    async def _known(self, batch: BatchId) -> MessageBatch:
        with translated(self._llm, lost(WHO)):
            client = await self._llm.client()
            known = await client.messages.batches.retrieve(batch.id)
            known.request_counts.processing  # noqa: B018  a web page has no such thing and is told as unreadable
            return known

    def _line(self, line: MessageBatchIndividualResponse) -> Line:
        ticket = Ticket.parse(line.custom_id)
        match line.result.type:
            case "succeeded":
                message = line.result.message
                text = "".join(block.text for block in message.content if block.type == "text")
                model = model_of(self._llm, ticket, message.model)
                return Line(ticket, Written(text, reason_of(message.stop_reason), model), usage_of(message.usage))
            case "errored":
                said = provider_errors.Said.of(line.result.error.model_dump())
                return Line(ticket, provider_errors.of_said(WHO, self._llm.model(ticket.tier), said))
            case "canceled":
                return Line(ticket, undone(WHO, "cancelled"))
            case _:
                return Line(ticket, undone(WHO, "expired"))


def _total(known: MessageBatch) -> int:
    counts = known.request_counts
    return counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
