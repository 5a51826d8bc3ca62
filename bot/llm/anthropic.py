"""Anthropic's Messages API, streamed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from bot.engine.ports.llm import CacheLife, Ended, Event, Message, Prompt, TextDelta
from bot.errors import LLMError
from bot.llm import images, provider_errors
from bot.llm.call_metering import Books, OpenCall
from bot.llm.provider import ProviderLLM, read_rest
from bot.types.usage import Tier, Usage

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic, AsyncStream
    from anthropic.types import CacheControlEphemeralParam, RawMessageStreamEvent, TextBlockParam

WHO = provider_errors.Who("anthropic", "Anthropic", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")
API_URL = "https://api.anthropic.com"

SMALLEST_CACHED_PREFIX = 512
"""Tokens: a shorter prefix is not cached by the 5.5 family, and nothing says so."""
MOST_BREAKPOINTS = 4

_REST_PATIENCE = 1.0
"""Seconds to wait for the end of a stream whose last event has come."""

Reason = Literal["complete", "cut", "refused"]
_REASONS: Mapping[str, Reason] = {
    "max_tokens": "cut",
    "model_context_window_exceeded": "cut",
    "refusal": "refused",
}


class AnthropicLLM(ProviderLLM["AsyncAnthropic"]):
    """``base_url`` None is the provider itself; ``connect_timeout`` in seconds."""

    def __init__(
        self,
        api_key: str,
        models: Mapping[Tier, str],
        books: Books,
        *,
        base_url: str | None = None,
        connect_timeout: float = 5.0,
        read_timeout: float = 120.0,
    ) -> None:
        super().__init__(WHO, models, books, count_patience=connect_timeout)
        self._api_key = api_key
        self._base_url = (base_url or API_URL).rstrip("/").removesuffix("/v1")  # the SDK puts /v1 in its paths
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

    async def probe(self, model: str) -> None:
        client = await self.client()
        try:
            answer = await client.messages.with_raw_response.count_tokens(
                model=model, messages=[{"role": "user", "content": "Hello"}]
            )
        except Exception as error:
            raise self.fault(model, error) from error
        if provider_errors.is_web_page(answer.headers.get("content-type", "")):
            raise provider_errors.web_page(WHO)

    async def _events(self, prompt: Prompt, call: OpenCall) -> AsyncGenerator[Event, None]:
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
        ended = False
        async with response:
            if provider_errors.is_web_page(response.response.headers.get("content-type", "")):
                call.sent = False
                raise provider_errors.web_page(WHO)
            async for event in response:
                match event.type:
                    case "message_start":
                        call.usage = usage_of(event.message.usage)
                    case "content_block_delta" if event.delta.type == "text_delta":
                        if event.delta.text:
                            yield TextDelta(event.delta.text)
                    case "message_delta":
                        stop = event.delta.stop_reason or stop
                        call.usage = usage_of(event.usage, before=call.usage)
                        call.complete = stop is not None and event.usage is not None
                    case "message_stop":
                        ended = True
                        break
            if not ended:
                raise provider_errors.unfinished(WHO)
            await read_rest(response, _REST_PATIENCE, lambda _: None)
        yield Ended(reason_of(stop), call.model, WHO.provider)

    async def _count(self, prompt: Prompt, model: str) -> int:
        client = await self.client()
        body = {name: value for name, value in self.request(prompt, model).items() if name != "max_tokens"}
        return (await client.messages.count_tokens(**body)).input_tokens

    def request(self, prompt: Prompt, model: str) -> dict[str, Any]:
        """The body of a call that is not streamed."""
        head = {"model": model, "max_tokens": prompt.max_tokens}
        return head | {"system": self._system(prompt, model), "messages": messages(prompt)} | _output_format(prompt)

    def _system(self, prompt: Prompt, model: str) -> list[TextBlockParam]:
        if not prompt.system:
            return []
        block: TextBlockParam = {"type": "text", "text": prompt.system}
        if self._books.counter.count(prompt.system, model) >= SMALLEST_CACHED_PREFIX:
            # An entry of an hour must not come after one of five minutes.
            long = prompt.system_cache == "1h" or any(message.cache == "1h" for message in prompt.messages)
            block["cache_control"] = _breakpoint("1h" if long else "5m")
        return [block]

    def fault(self, model: str, error: Exception) -> LLMError:
        import anthropic

        return provider_errors.of_exception(WHO, model, error, anthropic)

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.close()


def reason_of(stop: str | None) -> Reason:
    """How an answer ended, by its ``stop_reason``."""
    return _REASONS.get(stop or "", "complete")


def _output_format(prompt: Prompt) -> dict[str, Any]:
    if prompt.schema is None:
        return {}
    return {"output_config": {"format": {"type": "json_schema", "schema": dict(prompt.schema)}}}


def messages(prompt: Prompt) -> list[dict[str, Any]]:
    """The messages with the last cache breakpoints asked for; one of the four is left to the system prompt."""
    wanted = [place for place, message in enumerate(prompt.messages) if message.cache]
    kept = wanted[-(MOST_BREAKPOINTS - 1) :]
    # A breakpoint of five minutes must not come before one of an hour.
    longest = max((place for place in kept if prompt.messages[place].cache == "1h"), default=-1)
    lives: dict[int, CacheLife] = {place: "1h" if place <= longest else "5m" for place in kept}
    return [_message(message, lives.get(place)) for place, message in enumerate(prompt.messages)]


def _breakpoint(life: CacheLife) -> CacheControlEphemeralParam:
    """Five minutes are the provider's default, which compatible servers know too."""
    return {"type": "ephemeral"} if life == "5m" else {"type": "ephemeral", "ttl": "1h"}


def _message(message: Message, life: CacheLife | None) -> dict[str, Any]:
    blocks: list[Any] = [images.anthropic_block(image) for image in message.images]
    if message.text.strip() or not blocks:
        blocks.append({"type": "text", "text": message.text if message.text.strip() else "(empty)"})  # never empty
    if life:
        blocks[-1]["cache_control"] = _breakpoint(life)
    return {"role": message.role, "content": blocks}


def usage_of(reported: Any, before: Usage | None = None) -> Usage:
    """Anthropic's fields are disjoint already, and those of a delta cumulative: they replace what was known."""
    known = before or Usage()
    created = getattr(reported, "cache_creation", None)
    long = getattr(created, "ephemeral_1h_input_tokens", None) if created else None
    long = known.cache_write_long_tokens if long is None else long
    written = _or(reported, "cache_creation_input_tokens", known.cache_write_tokens + known.cache_write_long_tokens)
    details = getattr(reported, "output_tokens_details", None)
    return Usage(
        input_tokens=_or(reported, "input_tokens", known.input_tokens),
        cached_tokens=_or(reported, "cache_read_input_tokens", known.cached_tokens),
        cache_write_tokens=written - long,
        cache_write_long_tokens=long,
        completion_tokens=_or(reported, "output_tokens", known.completion_tokens),
        reasoning_tokens=_or(details, "thinking_tokens", known.reasoning_tokens),
    )


def _or(reported: Any, name: str, otherwise: int) -> int:
    value = getattr(reported, name, None)
    return value if isinstance(value, int) else otherwise
