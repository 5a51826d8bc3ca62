"""Prices of model calls: the operator's price file first, then genai-prices. An unknown price is None, never 0."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bot.errors import ConfigError
from bot.types.usage import Usage

_MILLION = Decimal(1_000_000)
_FIELDS = ("input", "output", "cache_read", "cache_write", "cache_write_long")
_MAX_PRICE = 10_000
"""Highest accepted price in USD per million tokens. A higher price in a file is probably in the wrong unit."""

_LONG_WRITE_SURCHARGE = {"gpt-6-luna": "0.125", "gpt-6.1-terra": "1.25", "gpt-6.1-sol": "2.5"}
"""USD per million tokens that a 12-hour cache write at OpenAI costs more than a 30-minute one.

genai-prices has only the 30-minute price. As of November 2026. The surcharge doubles, like every input price, in
requests above 272,000 tokens.
"""
_LONG_PROMPT = 272_000

_OPEN_WEIGHTS = ("gpt-oss",)
"""Open-weight models that OpenAI lists. Anyone can run them, so a listed price may not apply."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a call. ``usd`` is None if the price is unknown; ``version`` names the price table."""

    usd: Decimal | None
    version: str

    @property
    def batched(self) -> Cost:
        """Return the cost of the same call in a batch: both providers charge half."""
        return Cost(None if self.usd is None else self.usd / 2, f"{self.version} batch")


UNKNOWN = Cost(None, "unknown")


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per million tokens."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    cache_write_long: Decimal

    def cost(self, usage: Usage) -> Decimal:
        return (
            self.input * usage.input_tokens
            + self.output * usage.completion_tokens
            + self.cache_read * usage.cached_tokens
            + self.cache_write * usage.cache_write_tokens
            + self.cache_write_long * usage.cache_write_long_tokens
        ) / _MILLION


class Prices:
    """The price table. ``cost`` never raises; if a price is missing, the cost is unknown."""

    def __init__(self, overrides: Mapping[str, Rates] | None = None, version: str = "") -> None:
        self._overrides = dict(overrides or {})
        self._version = version

    @classmethod
    def load(cls, path: Path | None) -> Prices:
        """Load the price file, if there is one. Raises ConfigError."""
        if path is None:
            return cls()
        try:
            raw = path.read_bytes()
            table = json.loads(raw)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else f"not JSON, {error}"
            raise ConfigError(f"PARLEY_PRICES_FILE: {path} cannot be read ({reason}). Correct or unset it.") from None
        if not isinstance(table, dict):
            raise _invalid("the file must be an object of models, each with input and output in USD per million")
        overrides = {str(model): _rates(str(model), row) for model, row in table.items()}
        return cls(overrides, f"file {hashlib.sha256(raw).hexdigest()[:8]}")

    @cached_property
    def steps(self) -> Sequence[int]:
        """The prompt sizes in tokens above which some model has another price, in ascending order."""
        found = {_LONG_PROMPT}
        for provider in self._package.data.providers:
            for model in provider.models:
                for price in model.prices if isinstance(model.prices, list) else [model]:
                    tiered = (getattr(value, "tiers", ()) for value in vars(price.prices).values())
                    found.update(tier.start for tiers in tiered for tier in tiers)
        return sorted(found)

    def cost(self, provider: str, model: str, usage: Usage, *, base_url: str | None = None, calls: int = 1) -> Cost:
        """Return the cost of one call; ``base_url`` is its address if it did not go to the provider itself.

        A server on a private address may relay a provider's models, which keep their price. For a model that the
        provider does not sell, the price is unknown. With ``calls``, the usage is the sum of so many calls, and none of
        the ``steps`` lies between the sizes of their prompts.
        """
        rates = self._overrides.get(model)
        if rates is not None:
            return Cost(rates.cost(usage), self._version)
        if base_url and is_private(base_url) and model.startswith(_OPEN_WEIGHTS):
            return UNKNOWN
        if base_url and not is_private(base_url):
            listed = self._listed(usage, calls, model, provider_api_url=base_url)
            if listed is not None:
                return listed
        return self._listed(usage, calls, model, provider_id=provider) or UNKNOWN

    def context(self, provider: str, model: str) -> int | None:
        """Return a model's context window in tokens, prompt and answer together; None if it is unknown."""
        try:
            listed = self._package.calc_price(self._package.Usage(input_tokens=1), model, provider_id=provider)
        except (LookupError, ValueError):
            return None
        window = listed.model.context_window
        return window if isinstance(window, int) else None

    def _listed(self, usage: Usage, calls: int, model: str, **where: str) -> Cost | None:
        """Return the listed cost. Within a step a cost is linear, so calls cost their number times their mean call."""
        try:
            mean = self._package.calc_price(self._as_listed(usage, calls), model, **where)
        except (LookupError, ValueError):
            return None
        usd = mean.total_price * calls + _surcharge(model, usage, calls)
        return Cost(usd, f"genai-prices {self._package.__version__}")

    @cached_property
    def _package(self) -> Any:
        import genai_prices
        import genai_prices.data

        return genai_prices

    def _as_listed(self, usage: Usage, calls: int) -> Any:
        """Return the mean call for genai-prices, where input_tokens includes the cached and the written tokens."""
        counts = {
            "input_tokens": usage.prompt_tokens,
            "output_tokens": usage.completion_tokens,
            "cache_read_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens + usage.cache_write_long_tokens,
            "cache_write_1h_tokens": usage.cache_write_long_tokens,
        }
        return self._package.Usage(
            **{name: count if calls == 1 else Decimal(count) / calls for name, count in counts.items()}
        )


def is_private(url: str) -> bool:
    """Return whether an address is on this machine or a private network, where models have no price."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or "." not in host or host.endswith((".local", ".internal", ".localhost", ".lan"))
    return address.is_private or address.is_loopback or address.is_link_local


def _surcharge(model: str, usage: Usage, calls: int) -> Decimal:
    factor = 2 if usage.prompt_tokens > _LONG_PROMPT * calls else 1
    return Decimal(_LONG_WRITE_SURCHARGE.get(model, "0")) * usage.cache_write_long_tokens * factor / _MILLION


def _rates(model: str, row: object) -> Rates:
    """Parse one row of the file. A missing cache price is the input price, which is too high for reads."""
    if not isinstance(row, dict):
        raise _invalid(f"{model} must be an object with input and output in USD per million tokens")
    unknown = sorted(set(map(str, row)) - set(_FIELDS))
    if unknown:
        raise _invalid(f"{model} has an unknown field {unknown[0]}. The fields are {', '.join(_FIELDS)}")
    missing = [name for name in ("input", "output") if name not in row]
    if missing:
        raise _invalid(f"{model} has no {missing[0]} price")
    numbers = {name: _number(model, name, value) for name, value in row.items()}
    uncached = numbers["input"]
    write = numbers.get("cache_write", uncached)
    return Rates(
        uncached,
        numbers["output"],
        numbers.get("cache_read", uncached),
        write,
        numbers.get("cache_write_long", max(write, uncached)),
    )


def _number(model: str, name: str, value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _invalid(f"the {name} price of {model} is not a number")
    if not 0 <= value <= _MAX_PRICE:
        raise _invalid(f"the {name} price of {model} is {value}. It must be between 0 and {_MAX_PRICE} USD per million")
    return Decimal(str(value))


def _invalid(problem: str) -> ConfigError:
    return ConfigError(f"PARLEY_PRICES_FILE: {problem}. Correct or unset it.")
