"""Helpers of the batch APIs of both providers: prompt names, error translation, metering."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from bot.engine.ports.llm import Meter
from bot.errors import LLMError, ParleyError
from bot.llm import user_messages
from bot.llm.batches.batch import Completion, Result
from bot.llm.prices import UNKNOWN
from bot.llm.providers.call_metering import is_plausible
from bot.llm.providers.provider import ProviderLLM
from bot.llm.providers.provider_errors import ProviderInfo
from bot.types.usage import Call, Purpose, Tier, Usage


@dataclass(frozen=True, slots=True)
class CustomId:
    """Names a prompt in a batch and holds what its ledger row needs, so that any process can fetch the results."""

    place: int
    purpose: Purpose
    tier: Tier
    key: str = ""
    """The key of the batch, if it has one."""

    def __str__(self) -> str:
        return "-".join(filter(None, (str(self.place), self.purpose, self.tier, self.key)))

    @classmethod
    def parse(cls, text: str) -> CustomId:
        """Parse what ``str`` returned. Raises ValueError for an id that is not ours."""
        place, purpose, tier, *key = text.split("-", 3)
        if purpose not in get_args(Purpose) or tier not in get_args(Tier):
            raise ValueError(text)
        return cls(int(place), cast(Purpose, purpose), cast(Tier, tier), *key)


@dataclass(frozen=True, slots=True)
class ResultLine:
    """One line of a result file. ``usage`` is None if nothing was charged or reported."""

    custom_id: CustomId
    result: Result
    usage: Usage | None = None


@contextmanager
def translate_errors(llm: ProviderLLM[Any], not_found: str) -> Iterator[None]:
    """Turn what the SDK raises into LLMError; ``not_found`` is the message for a 404."""
    try:
        yield
    except ParleyError:
        raise
    except Exception as error:
        translated = llm.translate(llm.model("cheap"), error)
        if translated.status in (404, 405):
            translated = LLMError(not_found, provider=translated.provider, status=translated.status, kind="batch")
        raise translated from error


def still_running(info: ProviderInfo) -> LLMError:
    return LLMError(user_messages.batch_running(info.label), provider=info.name, retryable=True, kind="running")


def no_result(info: ProviderInfo, cause: Literal["cancelled", "expired", "missing"]) -> LLMError:
    """Return why a prompt of an ended batch has no answer. Such a prompt costs nothing."""
    return LLMError(
        user_messages.no_batch_result(info.label, cause),
        provider=info.name,
        retryable=cause != "cancelled",
        kind=cause,
    )


def meter_results(
    llm: ProviderLLM[Any], lines: Sequence[ResultLine], total: int, missing: LLMError, *, seconds: float, meter: Meter
) -> list[Result]:
    """Meter every line and return the results in the order of the prompts; ``missing`` fills the gaps."""
    found: dict[int, Result] = {}
    for line in lines:
        if line.custom_id.place not in found:
            found[line.custom_id.place] = line.result
            meter(_call(llm, line, seconds))
    return [found.get(place, missing) for place in range(max(total, 1 + max(found, default=-1)))]


def _call(llm: ProviderLLM[Any], line: ResultLine, seconds: float) -> Call:
    """Return the ledger row.

    Without plausible usage the price is unknown, because the prompt is no longer available to count.
    """
    completion = line.result if isinstance(line.result, Completion) else None
    text = completion.text if completion else ""
    model = completion.model if completion else llm.model(line.custom_id.tier)
    usage, estimated = line.usage or Usage(), False
    cost = llm.accounting.price(model, usage).batched
    if completion and not (line.usage and is_plausible(line.usage, text, max_tokens=1_000_000)):
        usage = Usage(completion_tokens=llm.accounting.counter.count(text, model))
        cost, estimated = UNKNOWN, True
    return Call(
        purpose=line.custom_id.purpose,
        provider=llm.info.name,
        model=model,
        tier=line.custom_id.tier,
        usage=usage,
        cost_usd=cost.usd,
        price_version=cost.version,
        status="ok" if completion else "cancelled" if _kind(line.result) == "cancelled" else "error",
        latency_ms=seconds * 1000,
        estimated=estimated,
        error=_kind(line.result),
    )


def _kind(result: Result) -> str:
    return result.kind if isinstance(result, LLMError) else ""


def configured_name(llm: ProviderLLM[Any], custom_id: CustomId, reported: str) -> str:
    """Return the configured model name if the provider only added a date to it, otherwise the reported name."""
    configured = llm.model(custom_id.tier)
    return configured if not reported or reported.startswith(configured) else reported


def json_lines(text: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a JSONL text. Raises ValueError.

    Only line breaks end a line: a JSON text may contain the other separators that ``splitlines`` knows.
    """
    for line in text.split("\n"):
        if line.strip():
            yield json.loads(line)
