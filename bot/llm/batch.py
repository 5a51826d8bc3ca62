"""Many prompts at half the price within a day: for judged samples and contextual headers, which nobody waits for.

``Batch`` is what a job needs; ``build.build_batch`` makes one. A job keeps ``str(id)``, polls now and then, and takes
the results once, in the order of its prompts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal, Protocol, cast, get_args

from bot.engine.ports.llm import LLM, Ended, Event, Meter, Prompt, Restarted, TextDelta
from bot.errors import LLMError, ParleyError, UsageError
from bot.llm import provider_errors
from bot.llm.call_metering import plausible
from bot.llm.prices import UNKNOWN
from bot.llm.provider import ProviderLLM
from bot.types.usage import Call, Purpose, Tier, Usage

MOST_PROMPTS = 50_000
"""In one batch: OpenAI's limit, Anthropic's is twice that."""

State = Literal["running", "cancelling", "ended"]


@dataclass(frozen=True, slots=True)
class BatchId:
    """Whose batch it is, and its id there."""

    provider: str
    id: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> BatchId:
        """The id that ``str`` wrote. Raises UsageError."""
        provider, colon, name = text.partition(":")
        if not (provider and colon and name):
            raise UsageError(f"{text!r} is no batch. Give PROVIDER:ID, as it was shown when the batch was submitted.")
        return cls(provider, name)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a batch stands; providers may count only at the end."""

    state: State
    total: int
    succeeded: int
    failed: int


@dataclass(frozen=True, slots=True)
class Written:
    """The answer to one prompt."""

    text: str
    reason: Literal["complete", "cut", "refused"]
    model: str


Result = Written | LLMError
"""A prompt's answer, or why it has none: kind ``cancelled``, ``expired``, ``missing``, or as a single call fails."""


class Batch(Protocol):
    """Writes later. Every method raises LLMError; kind ``batch`` is a batch that the provider does not have."""

    async def submit(self, prompts: Sequence[Prompt]) -> BatchId:
        """Hand the prompts over. Raises UsageError for none or too many."""

    async def poll(self, batch: BatchId) -> Progress: ...

    async def results(self, batch: BatchId, *, meter: Meter) -> list[Result]:
        """One result a prompt, in the order of the prompts; all of them are metered, every time.

        Raises LLMError, kind ``running``, before the batch has ended.
        """

    async def cancel(self, batch: BatchId) -> None:
        """Stop soon: what was written until then is charged and among the results."""

    async def aclose(self) -> None: ...


# --- what both providers share


@dataclass(frozen=True, slots=True)
class Ticket:
    """Names a prompt in a batch and says how to book it, whichever process fetches the results."""

    place: int
    purpose: Purpose
    tier: Tier

    def __str__(self) -> str:
        return f"{self.place}-{self.purpose}-{self.tier}"

    @classmethod
    def parse(cls, text: str) -> Ticket:
        """Raises ValueError for the name of somebody else's prompt."""
        place, purpose, tier = text.split("-")
        if purpose not in get_args(Purpose) or tier not in get_args(Tier):
            raise ValueError(text)
        return cls(int(place), cast(Purpose, purpose), cast(Tier, tier))


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a result file. ``usage`` is None where nothing was charged or nothing reported."""

    ticket: Ticket
    result: Result
    usage: Usage | None = None


def check(prompts: Sequence[Prompt]) -> None:
    """Raises UsageError for a batch that no provider takes."""
    if not prompts:
        raise UsageError("A batch needs at least one prompt.")
    if len(prompts) > MOST_PROMPTS:
        raise UsageError(f"A batch holds at most {MOST_PROMPTS} prompts, not {len(prompts)}. Submit several.")


@contextmanager
def translated(llm: ProviderLLM[Any], unknown: str) -> Iterator[None]:
    """Turn what the SDK raises into LLMError; ``unknown`` is what a 404 means here."""
    try:
        yield
    except ParleyError:
        raise
    except Exception as error:
        fault = llm.fault(llm.model("cheap"), error)
        if fault.status in (404, 405):
            fault = LLMError(unknown, provider=fault.provider, status=fault.status, kind="batch")
        raise fault from error


def lost(who: provider_errors.Who) -> str:
    return f"{who.label} does not have this batch (any more). Submit it again."


def no_api(who: provider_errors.Who) -> str:
    return f"{who.label} has no batch API at this address. Check {who.url}."


def running(who: provider_errors.Who) -> LLMError:
    return LLMError(
        f"{who.label} is still at work on this batch. Ask again later; it takes up to 24 hours.",
        provider=who.provider,
        retryable=True,
        kind="running",
    )


def undone(who: provider_errors.Who, why: Literal["cancelled", "expired", "missing"]) -> LLMError:
    """Why a prompt of an ended batch has no answer and cost nothing."""
    words = {
        "cancelled": "was cancelled before its turn",
        "expired": "was not reached within 24 hours",
        "missing": "is not among the results",
    }
    return LLMError(
        f"{who.label}: this prompt {words[why]}. Submit it again.",
        provider=who.provider,
        retryable=why != "cancelled",
        kind=why,
    )


def settle(
    llm: ProviderLLM[Any], lines: Sequence[Line], total: int, rest: LLMError, *, seconds: float, meter: Meter
) -> list[Result]:
    """Book every line and put the results in the order of the prompts; ``rest`` is the result of those not named."""
    found: dict[int, Result] = {}
    for line in lines:
        if line.ticket.place not in found:
            found[line.ticket.place] = line.result
            meter(_call(llm, line, seconds))
    return [found.get(place, rest) for place in range(max(total, 1 + max(found, default=-1)))]


def _call(llm: ProviderLLM[Any], line: Line, seconds: float) -> Call:
    """The ledger row. Without a believable usage the price is unknown: no prompt is at hand to be counted."""
    written = line.result if isinstance(line.result, Written) else None
    text = written.text if written else ""
    model = written.model if written else llm.model(line.ticket.tier)
    usage, estimated = line.usage or Usage(), False
    cost = llm.books.price(model, usage).batched
    if written and not (line.usage and plausible(line.usage, text, max_tokens=1_000_000)):
        usage, cost, estimated = Usage(completion_tokens=llm.books.counter.count(text, model)), UNKNOWN, True
    return Call(
        purpose=line.ticket.purpose,
        provider=llm.who.provider,
        model=model,
        tier=line.ticket.tier,
        usage=usage,
        cost_usd=cost.usd,
        price_version=cost.version,
        status="ok" if written else "cancelled" if _kind(line.result) == "cancelled" else "error",
        latency_ms=seconds * 1000,
        estimated=estimated,
        error=_kind(line.result),
    )


def _kind(result: Result) -> str:
    return result.kind if isinstance(result, LLMError) else ""


def model_of(llm: ProviderLLM[Any], ticket: Ticket, reported: str) -> str:
    """The model as it is configured, where the provider only adds a date to its name."""
    configured = llm.model(ticket.tier)
    return configured if not reported or reported.startswith(configured) else reported


def json_lines(text: str) -> Iterator[Mapping[str, Any]]:
    """Raises ValueError."""
    for line in text.splitlines():
        if line.strip():
            yield json.loads(line)


# --- where there is no batch API


class AtOnce:
    """A batch over any LLM, the extractive answerer above all: asked one by one when the results are fetched.

    There is no discount, and a batch ends with its process.
    """

    def __init__(self, llm: LLM) -> None:
        self._llm = llm
        self._ids = count(1)
        self._waiting: dict[str, tuple[Prompt, ...]] = {}
        self._done: dict[str, list[Result]] = {}

    async def submit(self, prompts: Sequence[Prompt]) -> BatchId:
        check(prompts)
        batch = BatchId("at-once", str(next(self._ids)))
        self._waiting[batch.id] = tuple(prompts)
        return batch

    async def poll(self, batch: BatchId) -> Progress:
        if batch.id in self._done:
            failed = sum(isinstance(result, LLMError) for result in self._done[batch.id])
            total = len(self._done[batch.id])
            return Progress("ended", total, total - failed, failed)
        return Progress("ended", len(self._prompts(batch)), 0, 0)

    async def results(self, batch: BatchId, *, meter: Meter) -> list[Result]:
        if batch.id not in self._done:
            self._done[batch.id] = [await self._ask(prompt, meter) for prompt in self._prompts(batch)]
            self._waiting.pop(batch.id, None)
        return self._done[batch.id]

    async def cancel(self, batch: BatchId) -> None:
        if batch.id not in self._done:
            who = provider_errors.Who("at-once", "The batch", "", "")
            self._done[batch.id] = [undone(who, "cancelled") for _ in self._prompts(batch)]

    async def aclose(self) -> None:
        await self._llm.aclose()

    def _prompts(self, batch: BatchId) -> tuple[Prompt, ...]:
        if batch.id not in self._waiting:
            raise LLMError("This batch ended with the process that held it. Submit it again.", kind="batch")
        return self._waiting[batch.id]

    async def _ask(self, prompt: Prompt, meter: Meter) -> Result:
        pieces: list[str] = []
        try:
            async with aclosing(cast(Any, self._llm.stream(prompt, meter=meter))) as events:
                async for event in events:
                    ended = _follow(event, pieces)
                    if ended is not None:
                        return Written("".join(pieces), ended.reason, ended.model)
        except LLMError as error:
            return error
        return LLMError("The model's answer broke off before its end. Submit it again.", kind="unfinished")


def _follow(event: Event, pieces: list[str]) -> Ended | None:
    match event:
        case TextDelta(text):
            pieces.append(text)
        case Restarted():
            pieces.clear()
        case Ended():
            return event
    return None
