"""OpenAI's batch API for chat completions: uploads a file of requests, downloads files of answers and errors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from bot.engine.ports.llm import Meter, Prompt
from bot.errors import LLMError
from bot.llm import user_messages
from bot.llm.batches.batch import CLOCK_DIFFERENCE, BatchId, Completion, Progress, Result, State, check_prompts
from bot.llm.batches.batch_results import (
    CustomId,
    ResultLine,
    configured_name,
    json_lines,
    meter_results,
    no_result,
    still_running,
    translate_errors,
)
from bot.llm.providers import provider_errors
from bot.llm.providers.error_body import ErrorBody
from bot.llm.providers.openai import OpenAILLM, usage_of
from bot.llm.providers.openai_stream import reason_of

if TYPE_CHECKING:
    from openai.types import Batch as RemoteBatch

_ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
_FILE_LIFETIME = 7 * 24 * 3600
"""Seconds after which OpenAI deletes the files, which contain parts of documents."""
_KEY = "parley_key"
"""The name of a batch's key in its metadata."""
_ENDED = ("completed", "expired", "cancelled", "failed")


class OpenAIBatch:
    """Implements ``Batch`` with the client, models and accounting of an adapter."""

    def __init__(self, llm: OpenAILLM) -> None:
        self._llm = llm
        self._info = llm.info
        self._not_found = user_messages.batch_unknown(llm.info.label)

    async def submit(self, prompts: Sequence[Prompt], *, key: str = "") -> BatchId:
        check_prompts(prompts)
        rows = [json.dumps(self._row(place, prompt)) for place, prompt in enumerate(prompts)]
        with translate_errors(self._llm, user_messages.no_batch_api(self._info.label, self._info.url_setting)):
            client = await self._llm.client()
            file = await client.files.create(
                file=("prompts.jsonl", "\n".join(rows).encode()),
                purpose="batch",
                expires_after={"anchor": "created_at", "seconds": _FILE_LIFETIME},
            )
            created = await client.batches.create(
                input_file_id=file.id,
                endpoint=_ENDPOINT,
                completion_window="24h",
                output_expires_after={"anchor": "created_at", "seconds": _FILE_LIFETIME},
                metadata={_KEY: key} if key else None,
            )
            return BatchId(self._info.name, created.id)

    async def find(self, key: str, *, since: datetime) -> BatchId | None:
        with translate_errors(self._llm, user_messages.no_batch_api(self._info.label, self._info.url_setting)):
            client = await self._llm.client()
            async for remote in client.batches.list(limit=100):  # The newest come first.
                if remote.created_at < (since - CLOCK_DIFFERENCE).timestamp():
                    break
                if (remote.metadata or {}).get(_KEY) == key:
                    return BatchId(self._info.name, remote.id)
        return None

    async def poll(self, batch: BatchId) -> Progress:
        remote = await self._retrieve(batch)
        counts = remote.request_counts
        state: State = "running"
        if remote.status in _ENDED:
            state = "ended"
        elif remote.status == "cancelling":
            state = "cancelling"
        if counts is None:
            return Progress(state, 0, 0, 0)
        return Progress(state, counts.total, counts.completed, counts.failed)

    async def results(self, batch: BatchId, *, meter: Meter) -> list[Result]:
        remote = await self._retrieve(batch)
        if remote.status not in _ENDED:
            raise still_running(self._info)
        if remote.status == "failed":
            raise self._rejected(remote)
        text = ""
        with translate_errors(self._llm, self._not_found):
            client = await self._llm.client()
            for file in filter(None, (remote.output_file_id, remote.error_file_id)):
                text += (await client.files.content(file)).text + "\n"
            lines = [self._line(row) for row in json_lines(text)]
        ended = remote.completed_at or remote.expired_at or remote.cancelled_at or remote.created_at
        total = remote.request_counts.total if remote.request_counts else 0
        seconds = float(ended - remote.created_at)
        return meter_results(self._llm, lines, total, self._missing(remote), seconds=seconds, meter=meter)

    async def cancel(self, batch: BatchId) -> None:
        with translate_errors(self._llm, self._not_found):
            client = await self._llm.client()
            await client.batches.cancel(batch.id)

    async def aclose(self) -> None:
        await self._llm.aclose()

    def _row(self, place: int, prompt: Prompt) -> dict[str, Any]:
        return {
            "custom_id": str(CustomId(place, prompt.purpose, prompt.tier)),
            "method": "POST",
            "url": _ENDPOINT,
            "body": self._llm.request(prompt, self._llm.model(prompt.tier)),
        }

    async def _retrieve(self, batch: BatchId) -> RemoteBatch:
        with translate_errors(self._llm, self._not_found):
            client = await self._llm.client()
            remote = await client.batches.retrieve(batch.id)
            remote.status  # noqa: B018  fails for a web page, which becomes an unreadable response
            return remote

    def _rejected(self, remote: RemoteBatch) -> LLMError:
        """Return the error for a batch that the provider rejected as a whole."""
        errors = (remote.errors.data or []) if remote.errors else []
        body = ErrorBody()
        if errors:
            body = ErrorBody("", errors[0].code or "", errors[0].message or "")
        error = provider_errors.from_status(self._info, self._llm.model("cheap"), 400, body)
        return LLMError(str(error), provider=error.provider, status=error.status, kind="rejected")

    def _missing(self, remote: RemoteBatch) -> LLMError:
        """Return the result of prompts that are in neither file."""
        if remote.status == "cancelled":
            return no_result(self._info, "cancelled")
        return no_result(self._info, "expired" if remote.status == "expired" else "missing")

    def _line(self, row: Mapping[str, Any]) -> ResultLine:
        custom_id = CustomId.parse(str(row["custom_id"]))
        error = row.get("error")
        if error:
            return ResultLine(custom_id, self._failed(custom_id, str(error.get("code") or ""), error))
        response = row["response"]
        if response["status_code"] >= 400:
            body = ErrorBody.parse(response["body"])
            model = self._llm.model(custom_id.tier)
            return ResultLine(custom_id, provider_errors.from_status(self._info, model, response["status_code"], body))
        return self._completed(custom_id, response["body"])

    def _failed(self, custom_id: CustomId, code: str, error: Mapping[str, Any]) -> LLMError:
        if code == "batch_expired":
            return no_result(self._info, "expired")
        if code == "batch_cancelled":
            return no_result(self._info, "cancelled")
        body = ErrorBody.parse(error)
        return provider_errors.from_error_body(self._info, self._llm.model(custom_id.tier), body)

    def _completed(self, custom_id: CustomId, body: Mapping[str, Any]) -> ResultLine:
        from openai.types.chat import ChatCompletion

        answer = ChatCompletion.model_validate(body)
        choice = answer.choices[0]
        refusal = choice.message.refusal
        reason = reason_of(choice.finish_reason, refused=bool(refusal))
        model = configured_name(self._llm, custom_id, answer.model)
        text = choice.message.content or refusal or ""
        usage = usage_of(answer.usage) if answer.usage else None
        return ResultLine(custom_id, Completion(text, reason, model), usage)
