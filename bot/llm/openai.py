"""Adapter of OpenAI's chat completions, with streaming; also for compatible servers (Ollama, vLLM, llama.cpp)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from bot.engine.ports.llm import Ended, Event, Message, Prompt, TextDelta
from bot.errors import LLMError
from bot.llm import images, provider_errors
from bot.llm.call_metering import Accounting, MeteredCall
from bot.llm.provider import ProviderLLM, drain
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

Reason = Literal["complete", "cut", "refused"]
_REASONS: Mapping[str, Reason] = {"length": "cut", "content_filter": "refused"}


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
        self._base_url = base_url or API_URL
        self._compatible = self._base_url.rstrip("/") != API_URL if compatible is None else compatible
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

    async def probe(self, model: str) -> None:
        client = await self.client()
        try:
            offered = await self._offered(client)
            if offered is None:
                await client.chat.completions.create(
                    model=model, max_tokens=1, messages=[{"role": "user", "content": "Hello"}]
                )
        except LLMError:
            raise
        except Exception as error:
            raise self.translate(model, error) from error
        if offered is not None and not {model, f"{model}:latest"} & offered:
            raise provider_errors.from_status(self.info, model, 404, provider_errors.ErrorBody())

    async def _offered(self, client: AsyncOpenAI) -> set[str] | None:
        """Return the models that the server lists; None if it has no list."""
        import openai

        try:
            answer = await client.models.with_raw_response.list()
        except openai.NotFoundError as error:
            if provider_errors.is_web_page(error.response.headers.get("content-type", "")):
                raise provider_errors.web_page(self.info, 404) from error
            return None
        if provider_errors.is_web_page(answer.headers.get("content-type", "")):
            raise provider_errors.web_page(self.info)
        return {model.id for model in answer.parse().data}

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
        async with response:
            if provider_errors.is_web_page(response.response.headers.get("content-type", "")):
                call.sent = False
                raise provider_errors.web_page(self.info)
            reason: Reason | None = None
            async for chunk in response:
                text, reason = _parse(chunk)
                self._record_usage(chunk, call, final=reason is not None)
                if text:
                    yield TextDelta(text)
                if reason is not None:
                    break
            if reason is None:
                raise provider_errors.unfinished(self.info)
            await self._await_usage(response, call)
        yield Ended(reason, call.model, self.info.name)

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


def _parse(chunk: ChatCompletionChunk) -> tuple[str, Reason | None]:
    """Return the text of a chunk and, for the last one, how the answer ended."""
    if not chunk.choices:
        return "", None
    choice = chunk.choices[0]
    delta = choice.delta
    refusal = delta.refusal if delta else None
    text = (delta.content if delta else None) or refusal or ""
    if choice.finish_reason is None:
        return text, None
    return text, reason_of(choice.finish_reason, refused=bool(refusal))


def reason_of(stop: str | None, *, refused: bool) -> Reason:
    """Return how an answer ended, from its ``finish_reason`` and whether the model refused."""
    return "refused" if refused else _REASONS.get(stop or "", "complete")


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
