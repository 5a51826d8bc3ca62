"""OpenAI's batches of chat completions: a file of requests in, a file of answers and one of errors out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from bot.engine.ports.llm import Meter, Prompt
from bot.errors import LLMError
from bot.llm import provider_errors
from bot.llm.batch import (
    BatchId,
    Line,
    Progress,
    Result,
    State,
    Ticket,
    Written,
    check,
    json_lines,
    lost,
    model_of,
    no_api,
    running,
    settle,
    translated,
    undone,
)
from bot.llm.openai import OpenAILLM, reason_of, usage_of

if TYPE_CHECKING:
    from openai.types import Batch as Known

_ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
_KEPT = 7 * 24 * 3600
"""Seconds that the files, which hold pieces of documents, stay at the provider."""
_ENDED = ("completed", "expired", "cancelled", "failed")


class OpenAIBatch:
    """A Batch over the adapter's client, models and books."""

    def __init__(self, llm: OpenAILLM) -> None:
        self._llm = llm

    async def submit(self, prompts: Sequence[Prompt]) -> BatchId:
        check(prompts)
        rows = [json.dumps(self._row(place, prompt)) for place, prompt in enumerate(prompts)]
        with translated(self._llm, no_api(self._llm.who)):
            client = await self._llm.client()
            file = await client.files.create(
                file=("prompts.jsonl", "\n".join(rows).encode()),
                purpose="batch",
                expires_after={"anchor": "created_at", "seconds": _KEPT},
            )
            made = await client.batches.create(
                input_file_id=file.id,
                endpoint=_ENDPOINT,
                completion_window="24h",
                output_expires_after={"anchor": "created_at", "seconds": _KEPT},
            )
            return BatchId(self._llm.who.provider, made.id)

    async def poll(self, batch: BatchId) -> Progress:
        known = await self._known(batch)
        counts = known.request_counts
        state: State = "running"
        if known.status in _ENDED:
            state = "ended"
        elif known.status == "cancelling":
            state = "cancelling"
        if counts is None:
            return Progress(state, 0, 0, 0)
        return Progress(state, counts.total, counts.completed, counts.failed)

    async def results(self, batch: BatchId, *, meter: Meter) -> list[Result]:
        known = await self._known(batch)
        if known.status not in _ENDED:
            raise running(self._llm.who)
        if known.status == "failed":
            raise self._rejected(known)
        text = ""
        with translated(self._llm, lost(self._llm.who)):
            client = await self._llm.client()
            for file in filter(None, (known.output_file_id, known.error_file_id)):
                text += (await client.files.content(file)).text + "\n"
            lines = [self._line(row) for row in json_lines(text)]
        ended = known.completed_at or known.expired_at or known.cancelled_at or known.created_at
        total = known.request_counts.total if known.request_counts else 0
        seconds = float(ended - known.created_at)
        return settle(self._llm, lines, total, self._rest(known), seconds=seconds, meter=meter)

    async def cancel(self, batch: BatchId) -> None:
        with translated(self._llm, lost(self._llm.who)):
            client = await self._llm.client()
            await client.batches.cancel(batch.id)

    async def aclose(self) -> None:
        await self._llm.aclose()

    def _row(self, place: int, prompt: Prompt) -> dict[str, Any]:
        return {
            "custom_id": str(Ticket(place, prompt.purpose, prompt.tier)),
            "method": "POST",
            "url": _ENDPOINT,
            "body": self._llm.request(prompt, self._llm.model(prompt.tier)),
        }

    async def _known(self, batch: BatchId) -> Known:
        with translated(self._llm, lost(self._llm.who)):
            client = await self._llm.client()
            known = await client.batches.retrieve(batch.id)
            known.status  # noqa: B018  a web page has no such thing and is told as unreadable
            return known

    def _rejected(self, known: Known) -> LLMError:
        """The whole batch was found wanting before it began."""
        told = (known.errors.data or []) if known.errors else []
        said = (
            provider_errors.Said("", told[0].code or "", told[0].message or "")
            if told
            else provider_errors.Said("", "", "")
        )
        return provider_errors.of_status(self._llm.who, self._llm.model("cheap"), 400, said)

    def _rest(self, known: Known) -> LLMError:
        """Prompts that stand in neither file."""
        if known.status == "cancelled":
            return undone(self._llm.who, "cancelled")
        return undone(self._llm.who, "expired" if known.status == "expired" else "missing")

    def _line(self, row: Mapping[str, Any]) -> Line:
        ticket = Ticket.parse(str(row["custom_id"]))
        error = row.get("error")
        if error:
            return Line(ticket, self._failed(ticket, str(error.get("code") or ""), error))
        response = row["response"]
        if response["status_code"] >= 400:
            said = provider_errors.Said.of(response["body"])
            model = self._llm.model(ticket.tier)
            return Line(ticket, provider_errors.of_status(self._llm.who, model, response["status_code"], said))
        return self._written(ticket, response["body"])

    def _failed(self, ticket: Ticket, code: str, error: Mapping[str, Any]) -> LLMError:
        if code == "batch_expired":
            return undone(self._llm.who, "expired")
        if code == "batch_cancelled":
            return undone(self._llm.who, "cancelled")
        return provider_errors.of_said(self._llm.who, self._llm.model(ticket.tier), provider_errors.Said.of(error))

    def _written(self, ticket: Ticket, body: Mapping[str, Any]) -> Line:
        from openai.types.chat import ChatCompletion

        answer = ChatCompletion.model_validate(body)
        choice = answer.choices[0]
        refusal = choice.message.refusal
        reason = reason_of(choice.finish_reason, refused=bool(refusal))
        model = model_of(self._llm, ticket, answer.model)
        text = choice.message.content or refusal or ""
        return Line(ticket, Written(text, reason, model), usage_of(answer.usage) if answer.usage else None)
