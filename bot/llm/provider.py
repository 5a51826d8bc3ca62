"""What the adapters of real providers share: one ledger row for every call, and LLMError for every failure."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from bot.engine.ports import Ended, Event, Meter, Prompt, TextDelta
from bot.errors import LLMError
from bot.llm.faults import Who
from bot.llm.metering import Books, OpenCall
from bot.types import Tier, Usage

Client = TypeVar("Client")


class ProviderLLM(ABC, Generic[Client]):
    """An LLM over one SDK. The SDK is imported and its client built, off the event loop, at the first call."""

    def __init__(self, who: Who, models: Mapping[Tier, str], books: Books) -> None:
        self.who = who
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
        except Exception as error:
            translated = self.fault(call.model, error)
            call.sent = call.sent or translated.kind == "timeout"
            call.settle("error", _brief(translated))
            raise translated from error

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
