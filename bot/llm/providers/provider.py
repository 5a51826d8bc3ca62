"""Base class of the provider adapters: meters every call and translates every failure into LLMError."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from bot.engine.ports.llm import Ended, Event, Meter, Prompt, TextDelta
from bot.errors import LLMError, ParleyError
from bot.llm import user_messages
from bot.llm.providers import provider_errors
from bot.llm.providers.call_metering import Accounting, MeteredCall, estimate_prompt, has_images, may_be_near
from bot.llm.providers.provider_call import AnswerComplete
from bot.llm.providers.provider_errors import ProviderInfo
from bot.llm.tokens import is_near
from bot.types.usage import Tier, Usage
from knowledge.text.storable_text import StorableStream

log = logging.getLogger(__name__)

Client = TypeVar("Client")

_NOT_OFFERED = (404, 405, 501)
"""Statuses of a server that has no such endpoint."""


class ProviderLLM(ABC, Generic[Client]):
    """An LLM that uses one SDK. The first call imports the SDK and builds its client, off the event loop."""

    def __init__(
        self, info: ProviderInfo, models: Mapping[Tier, str], accounting: Accounting, *, count_timeout: float = 5.0
    ) -> None:
        self.info = info
        self._count_timeout = count_timeout
        self.name = info.label
        self._models = dict(models)
        self._accounting = accounting
        self._client: Client | None = None
        self._building = asyncio.Lock()
        self._uncounted: set[str] = set()

    def model(self, tier: Tier) -> str:
        return self._models[tier]

    @property
    def accounting(self) -> Accounting:
        """Return what the calls are metered with."""
        return self._accounting

    async def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncGenerator[Event, None]:
        call = MeteredCall(prompt, self.info.name, self.model(prompt.tier), meter, self._accounting)
        try:
            await self._check_length(call)
            await call.record_start()
            async with aclosing(self._events(prompt, call)) as events:
                async for event in _storable(events):
                    if isinstance(event, TextDelta) and not isinstance(event, AnswerComplete):
                        call.add_text(event.text)
                    elif isinstance(event, Ended):
                        call.settle("ok")
                    yield event
        except LLMError as error:
            call.settle("error", _ledger_error(error))
            raise
        except (asyncio.CancelledError, GeneratorExit):
            call.settle("cancelled")
            raise
        except ParleyError:
            # The start of the call could not be recorded, so the call was not sent.
            call.settle("cancelled")
            raise
        except Exception as error:
            translated = self.translate(call.model, error)
            if call.responding and translated.kind == "connection":
                translated = provider_errors.unfinished(self.info)
            call.sent = call.sent or translated.kind == "timeout"
            call.settle("error", _ledger_error(translated))
            raise translated from error

    async def count(self, prompt: Prompt) -> int | None:
        """Return the prompt's tokens by the provider's own count, which is free; None if it has none or fails."""
        model = self.model(prompt.tier)
        if model in self._uncounted:
            return None
        try:
            async with asyncio.timeout(self._count_timeout):
                tokens = await self._count(prompt, model)
        except Exception as error:
            if getattr(error, "status_code", None) in _NOT_OFFERED:
                self._uncounted.add(model)
                log.info("%s does not count the tokens of %s; using estimates", self.info.label, model)
            else:
                log.warning("%s did not count a prompt (%s); using the estimate", self.info.label, type(error).__name__)
            return None
        if tokens is not None and not has_images(prompt):
            counter = self._accounting.counter
            counter.learn(model, estimate_prompt(prompt, model, counter), tokens)
        return tokens

    async def _count(self, prompt: Prompt, model: str) -> int | None:
        """Count with the provider's endpoint, if it has one."""
        return None

    async def _check_length(self, call: MeteredCall) -> None:
        """Raise ContextTooLong before anything is sent. Without an exact count, the provider decides."""
        limit = self._accounting.context(call.model)
        if limit is None or not may_be_near(call.prompt, limit) or not is_near(call.prompt_estimate, limit):
            return
        exact = await self.count(call.prompt)
        if exact is not None and exact > limit:
            raise provider_errors.too_long(self.info, call.model)

    async def ready(self) -> None:
        """Load the SDK and the prices, and build the client. This takes about a second, once."""
        try:
            await self.client()
        except Exception as error:
            info = self.info
            message = user_messages.cannot_connect(info.label, type(error).__name__, info.url_setting, info.key_setting)
            raise LLMError(message, provider=info.name, kind="setting") from error

    async def client(self) -> Client:
        """Return the SDK's client, building it at the first call."""
        async with self._building:
            if self._client is None:
                self._client = await asyncio.to_thread(self._prepare)
        return self._client

    def _prepare(self) -> Client:
        for model in self._models.values():
            self._accounting.price(model, Usage())
        return self._connect()

    async def listed(self) -> frozenset[str]:
        """Return the names of the models that the server lists; empty if it has no usable list. Never raises."""
        return frozenset()

    @property
    def is_provider(self) -> bool:
        """Return whether the address is the provider's own, not that of a compatible server."""
        return True

    @abstractmethod
    def _connect(self) -> Client:
        """Import the SDK and build its client. Runs in a thread."""

    @abstractmethod
    def _events(self, prompt: Prompt, call: MeteredCall) -> AsyncGenerator[Event, None]:
        """Yield the provider's stream as events; record in ``call`` what was sent and the reported usage."""

    @abstractmethod
    def request(self, prompt: Prompt, model: str) -> dict[str, Any]:
        """Return the body of a request without streaming."""

    @abstractmethod
    def translate(self, model: str, error: Exception) -> LLMError:
        """Translate an exception of the SDK."""

    @abstractmethod
    async def aclose(self) -> None: ...


Item = TypeVar("Item")


async def drain(stream: AsyncIterator[Item], seconds: float, handle: Callable[[Item], None]) -> None:
    """Read a finished answer's stream to its end, so that the connection can be reused. Never raises."""
    try:
        async with asyncio.timeout(seconds):
            async for item in stream:
                handle(item)
    except Exception:  # noqa: S110
        pass


async def _storable(events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    """Pass the events on with text that the database can store and a tokenizer can read."""
    text = StorableStream()
    async for event in events:
        if isinstance(event, TextDelta) and not isinstance(event, AnswerComplete):
            if shown := text.feed(event.text):
                yield TextDelta(shown)
            continue
        if shown := text.end():
            yield TextDelta(shown)
        yield event


def _ledger_error(error: LLMError) -> str:
    return f"{error.kind} ({error.status})" if error.status else error.kind
