"""Adapter of OpenAI's chat completions, with streaming; also for compatible servers (Ollama, vLLM, llama.cpp)."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bot.engine.ports.llm import Ended, Event, Message, Prompt
from bot.errors import LLMError
from bot.llm.providers import images, provider_errors
from bot.llm.providers.call_metering import Accounting, MeteredCall
from bot.llm.providers.error_body import ErrorBody
from bot.llm.providers.openai_stream import AnswerReader, DoneWatch
from bot.llm.providers.provider import ProviderLLM, drain
from bot.llm.providers.provider_call import AnswerComplete
from bot.llm.structured import schema_instruction
from bot.types.usage import Tier, Usage

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk

OPENAI = provider_errors.ProviderInfo("openai", "OpenAI", "OPENAI_API_KEY", "OPENAI_BASE_URL")
COMPATIBLE = provider_errors.ProviderInfo("openai", "The model server", "OPENAI_API_KEY", "OPENAI_BASE_URL")
API_URL = "https://api.openai.com/v1"

_USAGE_TIMEOUT = 5.0
"""Seconds that a finished answer waits for its usage, which comes last and may be missing."""


class OpenAILLM(ProviderLLM["AsyncOpenAI"]):
    """An LLM that uses OpenAI's API. Without ``base_url``, it calls OpenAI itself. Timeouts are in seconds.

    ``compatible`` servers get no fields that only OpenAI supports; by default, every other address is one.
    """

    def __init__(
        self,
        api_key: str,
        models: Mapping[Tier, str],
        accounting: Accounting,
        *,
        base_url: str | None = None,
        compatible: bool | None = None,
        connect_timeout: float = 5.0,
        read_timeout: float = 120.0,
        usage_timeout: float = _USAGE_TIMEOUT,
    ) -> None:
        self._base_url = (base_url or API_URL).rstrip("/").removesuffix("/chat/completions")  # The SDK's path.
        self._compatible = self._base_url != API_URL if compatible is None else compatible
        super().__init__(COMPATIBLE if self._compatible else OPENAI, models, accounting)
        self._api_key = api_key
        self._timeouts = (connect_timeout, read_timeout)
        self._usage_timeout = usage_timeout

    def _connect(self) -> AsyncOpenAI:
        import httpx2
        import openai

        connect, read = self._timeouts
        return openai.AsyncOpenAI(
            api_key=self._api_key,
            base_url=self._base_url,
            max_retries=0,
            timeout=httpx2.Timeout(read, connect=connect),
            http_client=openai.DefaultAioHttpClient(),
        )

    @property
    def is_provider(self) -> bool:
        return not self._compatible

    async def listed(self) -> frozenset[str]:
        client = await self.client()
        try:
            return frozenset(model.id for model in (await client.models.list()).data)
        except Exception:  # Many compatible servers have no list, or one in their own form.
            return frozenset()

    async def _events(self, prompt: Prompt, call: MeteredCall) -> AsyncGenerator[Event, None]:
        client = await self.client()
        call.sent = True
        try:
            response: AsyncStream[ChatCompletionChunk] = await client.chat.completions.create(
                **self.request(prompt, call.model), stream=True, stream_options={"include_usage": True}
            )
        except Exception:
            call.sent = False
            raise
        reader = AnswerReader(call, inline_reasoning=self._compatible)
        async with response:
            call.responding = True
            content_type = response.response.headers.get("content-type", "")
            if provider_errors.is_web_page(content_type):
                call.sent = False
                raise provider_errors.web_page(self.info)
            if provider_errors.is_json(content_type):
                for event in self._whole(await response.response.aread(), call, reader):
                    yield event
            else:
                async for event in self._chunks(response, call, reader):
                    yield event
                if reader.reason is None:
                    for event in self._whole(await self._unstreamed(client, prompt, call), call, reader):
                        yield event
        yield Ended(reader.reason or "complete", call.model, self.info.name)

    async def _chunks(
        self, response: AsyncStream[ChatCompletionChunk], call: MeteredCall, reader: AnswerReader
    ) -> AsyncGenerator[Event, None]:
        """Yield the events of a stream. Raises LLMError if it ends before its answer does.

        An empty stream of a compatible server yields nothing: its error is known only without streaming.
        """
        done, is_empty = DoneWatch(response.response), True
        async for chunk in response:
            is_empty = False
            if getattr(chunk, "object", None) == "error":
                raise provider_errors.from_error_body(self.info, call.model, ErrorBody.parse(chunk.model_dump()))
            if chunk.choices:
                for event in reader.read(chunk.choices[0]):
                    yield event
            self._record_usage(chunk, call, final=reader.reason is not None)
            if reader.reason is not None:
                yield AnswerComplete()
                await self._await_usage(response, call)
                return
        if done.seen:
            for event in reader.end_without_reason():
                yield event
            call.complete = call.usage is not None
        content_type = response.response.headers.get("content-type", "")
        if is_empty and not done.seen and not provider_errors.is_event_stream(content_type):
            call.sent = False
            raise provider_errors.web_page(self.info)
        if reader.reason is None and not (self._compatible and is_empty and not done.seen):
            raise provider_errors.unfinished(self.info)

    async def _unstreamed(self, client: AsyncOpenAI, prompt: Prompt, call: MeteredCall) -> bytes:
        """Ask without streaming. llama-cpp-python, for one, ends a stream without a word when it refuses the prompt.

        It also drops the connection, which is noticed only when it is used again: hence the one retry.
        """
        call.responding = call.sent = False
        patient = client.with_options(max_retries=1)
        answer = await patient.chat.completions.with_raw_response.create(**self.request(prompt, call.model))
        call.responding = call.sent = True
        return bytes(answer.content)

    def _whole(self, body: bytes, call: MeteredCall, reader: AnswerReader) -> Iterator[Event]:
        """Yield the events of an answer in one piece, from a server that does not stream. Raises LLMError."""
        from openai.types.chat import ChatCompletion

        data = json.loads(body)
        if not isinstance(data, dict) or not data.get("choices"):
            raise provider_errors.from_error_body(self.info, call.model, ErrorBody.parse(data))
        completion = ChatCompletion.construct(**data)
        if completion.usage is not None:
            call.usage, call.complete = usage_of(completion.usage), True
        yield from reader.read(completion.choices[0])
        if reader.reason is None:
            yield from reader.end_without_reason()

    def request(self, prompt: Prompt, model: str) -> dict[str, Any]:
        schema = prompt.schema
        instructions = prompt.system
        if schema is not None and self._compatible:
            instructions = f"{instructions}\n\n{schema_instruction(schema)}".strip()
        system = [{"role": "system", "content": instructions}] if instructions else []
        request: dict[str, Any] = {
            "model": model,
            "messages": [*system, *map(_message, prompt.messages)],
        }
        if self._compatible:
            return request | {"max_tokens": prompt.max_tokens}
        request["max_completion_tokens"] = prompt.max_tokens
        if prompt.cache_key:
            request["prompt_cache_key"] = prompt.cache_key
        if schema is not None:
            json_schema = {"name": "answer", "schema": dict(schema), "strict": True}
            request["response_format"] = {"type": "json_schema", "json_schema": json_schema}
        return request

    def _record_usage(self, chunk: ChatCompletionChunk, call: MeteredCall, *, final: bool) -> None:
        """Record reported usage. Some servers report partial usage with every chunk; only the last report is final."""
        if chunk.usage is not None:
            call.usage = usage_of(chunk.usage)
            call.complete = final

    async def _await_usage(self, response: AsyncStream[ChatCompletionChunk], call: MeteredCall) -> None:
        """Read the rest of the stream. The answer is complete, so an error here only loses the usage."""
        await drain(response, self._usage_timeout, lambda chunk: self._record_usage(chunk, call, final=True))

    def translate(self, model: str, error: Exception) -> LLMError:
        import openai

        return provider_errors.from_exception(self.info, model, error, openai)

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.close()


def _message(message: Message) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.text}
    text = [{"type": "text", "text": message.text}] if message.text else []
    return {"role": message.role, "content": [*map(images.openai_part, message.images), *text]}


def usage_of(reported: Any) -> Usage:
    """Return the reported usage. OpenAI's prompt count includes the cached and the written tokens; subtract them."""
    details = reported.prompt_tokens_details
    cached = (details.cached_tokens if details else None) or 0
    written = (details.cache_write_tokens if details else None) or 0
    completion_details = reported.completion_tokens_details
    return Usage(
        input_tokens=(reported.prompt_tokens or 0) - cached - written,
        cached_tokens=cached,
        cache_write_tokens=written,
        completion_tokens=reported.completion_tokens or 0,
        reasoning_tokens=(completion_details.reasoning_tokens if completion_details else None) or 0,
    )
