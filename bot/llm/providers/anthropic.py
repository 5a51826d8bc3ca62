"""Adapter of Anthropic's Messages API, with streaming and prompt caching."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from bot.engine.ports.llm import CacheLife, Ended, Event, Message, Prompt, TextDelta
from bot.errors import LLMError
from bot.llm.providers import images, provider_errors
from bot.llm.providers.call_metering import Accounting, MeteredCall
from bot.llm.providers.error_body import ErrorBody
from bot.llm.providers.provider import ProviderLLM, drain
from bot.types.usage import Tier, Usage

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic, AsyncStream
    from anthropic.types import CacheControlEphemeralParam, RawMessageStreamEvent, TextBlockParam

ANTHROPIC = provider_errors.ProviderInfo("anthropic", "Anthropic", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")
API_URL = "https://api.anthropic.com"

MIN_CACHED_PREFIX = 512
"""Minimum tokens of a cached prefix: the 5.5 model family silently ignores breakpoints in shorter ones."""
MAX_BREAKPOINTS = 4

_DRAIN_SECONDS = 1.0
"""Time to wait for the end of a stream after its last event."""

Reason = Literal["complete", "cut", "refused"]
_REASONS: Mapping[str, Reason] = {
    "max_tokens": "cut",
    "model_context_window_exceeded": "cut",
    "refusal": "refused",
}


class AnthropicLLM(ProviderLLM["AsyncAnthropic"]):
    """An LLM that uses Anthropic's API. Without ``base_url``, it calls Anthropic itself. Timeouts are in seconds."""

    def __init__(
        self,
        api_key: str,
        models: Mapping[Tier, str],
        accounting: Accounting,
        *,
        base_url: str | None = None,
        connect_timeout: float = 5.0,
        read_timeout: float = 120.0,
    ) -> None:
        super().__init__(ANTHROPIC, models, accounting, count_timeout=connect_timeout)
        self._api_key = api_key
        # The SDK's paths include /v1.
        self._base_url = (base_url or API_URL).rstrip("/").removesuffix("/messages").removesuffix("/v1")
        self._timeouts = (connect_timeout, read_timeout)

    def _connect(self) -> AsyncAnthropic:
        import anthropic
        import httpx2

        connect, read = self._timeouts
        return anthropic.AsyncAnthropic(
            api_key=self._api_key,
            base_url=self._base_url,
            max_retries=0,
            timeout=httpx2.Timeout(read, connect=connect),
            http_client=anthropic.DefaultAioHttpClient(),
        )

    @property
    def is_provider(self) -> bool:
        return self._base_url == API_URL

    async def _events(self, prompt: Prompt, call: MeteredCall) -> AsyncGenerator[Event, None]:
        client = await self.client()
        call.sent = True
        try:
            response: AsyncStream[RawMessageStreamEvent] = await client.messages.create(
                **self.request(prompt, call.model), stream=True
            )
        except Exception:
            call.sent = False
            raise
        stop: str | None = None
        ended, is_empty = False, True
        async with response:
            call.responding = True
            content_type = response.response.headers.get("content-type", "")
            if provider_errors.is_web_page(content_type):
                call.sent = False
                raise provider_errors.web_page(ANTHROPIC)
            if provider_errors.is_json(content_type):
                for part in _whole(await response.response.aread(), call):
                    yield part
                return
            async for event in response:
                is_empty = False
                match event.type:
                    case "message_start":
                        call.usage = usage_of(event.message.usage)
                    case "content_block_delta" if event.delta.type == "text_delta":
                        if event.delta.text:
                            yield TextDelta(event.delta.text)
                    case "content_block_delta" if event.delta.type == "thinking_delta":
                        call.add_reasoning(event.delta.thinking)
                    case "message_delta":
                        stop = event.delta.stop_reason or stop
                        call.usage = usage_of(event.usage, before=call.usage)
                        call.complete = stop is not None and event.usage is not None
                    case "message_stop":
                        ended = True
                        break
            if is_empty and not provider_errors.is_event_stream(content_type):
                call.sent = False
                raise provider_errors.web_page(ANTHROPIC)
            if not ended:
                raise provider_errors.unfinished(ANTHROPIC)
            await drain(response, _DRAIN_SECONDS, lambda _: None)
        yield Ended(reason_of(stop), call.model, ANTHROPIC.name)

    async def _count(self, prompt: Prompt, model: str) -> int:
        client = await self.client()
        body = {name: value for name, value in self.request(prompt, model).items() if name != "max_tokens"}
        return (await client.messages.count_tokens(**body)).input_tokens

    def request(self, prompt: Prompt, model: str) -> dict[str, Any]:
        body = {"model": model, "max_tokens": prompt.max_tokens}
        return body | {"system": self._system(prompt, model), "messages": messages(prompt)} | _output_format(prompt)

    def _system(self, prompt: Prompt, model: str) -> list[TextBlockParam]:
        if not prompt.system:
            return []
        block: TextBlockParam = {"type": "text", "text": prompt.system}
        if self._accounting.counter.count(prompt.system, model) >= MIN_CACHED_PREFIX:
            # Anthropic rejects a breakpoint of one hour after one of five minutes.
            long = prompt.system_cache == "1h" or any(message.cache == "1h" for message in prompt.messages)
            block["cache_control"] = _breakpoint("1h" if long else "5m")
        return [block]

    def translate(self, model: str, error: Exception) -> LLMError:
        import anthropic

        return provider_errors.from_exception(ANTHROPIC, model, error, anthropic)

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.close()


def reason_of(stop: str | None) -> Reason:
    """Return how an answer ended, from its ``stop_reason``."""
    return _REASONS.get(stop or "", "complete")


def _whole(body: bytes, call: MeteredCall) -> Iterator[Event]:
    """Yield the events of an answer in one piece, from a server that does not stream. Raises LLMError."""
    from anthropic.types import Message as Answer

    data = json.loads(body)
    if not isinstance(data, dict) or not data.get("content"):
        raise provider_errors.from_error_body(ANTHROPIC, call.model, ErrorBody.parse(data))
    answer = Answer.construct(**data)
    if answer.usage is not None:
        call.usage, call.complete = usage_of(answer.usage), True
    text = "".join(block.text for block in answer.content if block.type == "text")
    if text:
        yield TextDelta(text)
    yield Ended(reason_of(answer.stop_reason), call.model, ANTHROPIC.name)


def _output_format(prompt: Prompt) -> dict[str, Any]:
    if prompt.schema is None:
        return {}
    return {"output_config": {"format": {"type": "json_schema", "schema": dict(prompt.schema)}}}


def messages(prompt: Prompt) -> list[dict[str, Any]]:
    """Return the messages with the last requested cache breakpoints; one of the four is left for the system prompt."""
    requested = [place for place, message in enumerate(prompt.messages) if message.cache]
    used = requested[-(MAX_BREAKPOINTS - 1) :]
    # Anthropic rejects a breakpoint of five minutes before one of one hour.
    last_long = max((place for place in used if prompt.messages[place].cache == "1h"), default=-1)
    lives: dict[int, CacheLife] = {place: "1h" if place <= last_long else "5m" for place in used}
    return [_message(message, lives.get(place)) for place, message in enumerate(prompt.messages)]


def _breakpoint(life: CacheLife) -> CacheControlEphemeralParam:
    """Return a cache breakpoint. Five minutes is the default, so compatible servers that know no ``ttl`` accept it."""
    return {"type": "ephemeral"} if life == "5m" else {"type": "ephemeral", "ttl": "1h"}


def _message(message: Message, life: CacheLife | None) -> dict[str, Any]:
    blocks: list[Any] = [images.anthropic_block(image) for image in message.images]
    if message.text.strip() or not blocks:
        # Anthropic rejects empty text blocks.
        blocks.append({"type": "text", "text": message.text if message.text.strip() else "(empty)"})
    if life:
        blocks[-1]["cache_control"] = _breakpoint(life)
    return {"role": message.role, "content": blocks}


def usage_of(reported: Any, before: Usage | None = None) -> Usage:
    """Return the reported usage; fields that are missing come from ``before``.

    Anthropic's fields do not overlap. The fields of a delta are cumulative, so they replace earlier ones.
    """
    earlier = before or Usage()
    created = getattr(reported, "cache_creation", None)
    long = getattr(created, "ephemeral_1h_input_tokens", None) if created else None
    long = earlier.cache_write_long_tokens if long is None else long
    earlier_written = earlier.cache_write_tokens + earlier.cache_write_long_tokens
    written = _field(reported, "cache_creation_input_tokens", earlier_written)
    details = getattr(reported, "output_tokens_details", None)
    return Usage(
        input_tokens=_field(reported, "input_tokens", earlier.input_tokens),
        cached_tokens=_field(reported, "cache_read_input_tokens", earlier.cached_tokens),
        cache_write_tokens=written - long,
        cache_write_long_tokens=long,
        completion_tokens=_field(reported, "output_tokens", earlier.completion_tokens),
        reasoning_tokens=_field(details, "thinking_tokens", earlier.reasoning_tokens),
    )


def _field(reported: Any, name: str, default: int) -> int:
    value = getattr(reported, name, None)
    return value if isinstance(value, int) else default
