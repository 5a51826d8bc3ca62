"""What the adapters of real providers share: one ledger row for every call, and LLMError for every failure."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from bot.engine.ports.llm import Ended, Event, Meter, Prompt, TextDelta
from bot.errors import LLMError, ParleyError
from bot.llm import provider_errors
from bot.llm.call_metering import Books, OpenCall, estimate_prompt, has_images, may_be_near
from bot.llm.provider_errors import Who
from bot.llm.tokens import is_near
from bot.types.usage import Tier, Usage

log = logging.getLogger(__name__)

Client = TypeVar("Client")


class ProviderLLM(ABC, Generic[Client]):
    """An LLM over one SDK. The SDK is imported and its client built, off the event loop, at the first call."""

    def __init__(self, who: Who, models: Mapping[Tier, str], books: Books, *, count_patience: float = 5.0) -> None:
        self.who = who
        self._count_patience = count_patience
        self.name = who.label
        self._models = dict(models)
        self._books = books
        self._client: Client | None = None
        self._building = asyncio.Lock()

    def model(self, tier: Tier) -> str:
        return self._models[tier]

    @property
    def books(self) -> Books:
        """What its calls are booked with."""
        return self._books

    async def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncGenerator[Event, None]:
        call = OpenCall(prompt, self.who.provider, self.model(prompt.tier), meter, self._books)
        try:
            await self._check_length(call)
            await call.open()
            async with aclosing(self._events(prompt, call)) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        call.wrote(event.text)
                    elif isinstance(event, Ended):
                        call.settle("ok")
                    yield event
        except LLMError as fault:
            call.settle("error", _brief(fault))
            raise
        except (asyncio.CancelledError, GeneratorExit):
            call.settle("cancelled")
            raise
        except ParleyError:
            # The call was not put on record, so it was not sent.
            call.settle("cancelled")
            raise
        except Exception as error:
            translated = self.fault(call.model, error)
            call.sent = call.sent or translated.kind == "timeout"
            call.settle("error", _brief(translated))
            raise translated from error

    async def count(self, prompt: Prompt) -> int | None:
        """Tokens of the prompt by the provider's own count, free of charge; None where there is none or no answer.

        It takes no longer than a connection may.
        """
        model = self.model(prompt.tier)
        try:
            async with asyncio.timeout(self._count_patience):
                tokens = await self._count(prompt, model)
        except Exception as error:
            log.warning("%s did not count a prompt (%s); the estimate stands", self.who.label, type(error).__name__)
            return None
        if tokens is not None and not has_images(prompt):
            counter = self._books.counter
            counter.learn(model, estimate_prompt(prompt, model, counter), tokens)
        return tokens

    async def _count(self, prompt: Prompt, model: str) -> int | None:
        """Ask the provider's endpoint for it, if it has one."""
        return None

    async def _check_length(self, call: OpenCall) -> None:
        """Raises ContextTooLong before anything is sent; where nobody counts, the provider has the last word."""
        limit = self._books.context(call.model)
        if limit is None or not may_be_near(call.prompt, limit) or not is_near(call.prompt_estimate, limit):
            return
        exact = await self.count(call.prompt)
        if exact is not None and exact > limit:
            raise provider_errors.too_long(self.who, call.model)

    async def ready(self) -> None:
        """Load SDK and price list and build the client, which takes a second once and is not the provider's delay."""
        try:
            await self.client()
        except Exception as error:
            raise LLMError(
                f"{self.who.label} cannot be asked ({type(error).__name__}). Check {self.who.url} and {self.who.key}.",
                provider=self.who.provider,
                kind="setting",
            ) from error

    async def client(self) -> Client:
        """The SDK's client, built once."""
        async with self._building:
            if self._client is None:
                self._client = await asyncio.to_thread(self._prepare)
        return self._client

    def _prepare(self) -> Client:
        for model in self._models.values():
            self._books.price(model, Usage())
        return self._connect()

    @abstractmethod
    async def probe(self, model: str) -> None:
        """Ask whether address, key and model are right, free of charge where that is possible. Raises LLMError."""

    @abstractmethod
    def _connect(self) -> Client:
        """Import the SDK and build its client; runs in a thread."""

    @abstractmethod
    def _events(self, prompt: Prompt, call: OpenCall) -> AsyncGenerator[Event, None]:
        """The provider's stream as events; notes in ``call`` what was sent and what usage was reported."""

    @abstractmethod
    def request(self, prompt: Prompt, model: str) -> dict[str, Any]:
        """The body of a call that is not streamed."""

    @abstractmethod
    def fault(self, model: str, error: Exception) -> LLMError:
        """Translate what the SDK raised."""

    @abstractmethod
    async def aclose(self) -> None: ...


Item = TypeVar("Item")


async def read_rest(rest: AsyncIterator[Item], seconds: float, see: Callable[[Item], None]) -> None:
    """Read a finished answer's stream to its end, so that the connection can be used again. Never raises."""
    try:
        async with asyncio.timeout(seconds):
            async for item in rest:
                see(item)
    except Exception:  # noqa: S110
        pass


def _brief(fault: LLMError) -> str:
    """What the ledger keeps of a failure."""
    return f"{fault.kind} ({fault.status})" if fault.status else fault.kind
