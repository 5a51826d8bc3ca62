"""Builds the LLM from the settings: chooses providers and models by the configured keys and model names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Literal

from bot.config import Settings
from bot.engine.ports.llm import LLM
from bot.errors import ConfigError
from bot.llm import user_messages
from bot.llm.batches.batch import Batch
from bot.llm.batches.batch_anthropic import AnthropicBatch
from bot.llm.batches.batch_openai import OpenAIBatch
from bot.llm.batches.batch_sequential import SequentialBatch
from bot.llm.prices import Prices
from bot.llm.providers.anthropic import AnthropicLLM
from bot.llm.providers.call_metering import Accounting
from bot.llm.providers.openai import OpenAILLM
from bot.llm.providers.provider_call import Timeouts
from bot.llm.quoting.extractive import ExtractiveLLM
from bot.llm.quoting.quoting_fallback import QuotingFallback
from bot.llm.resilient import ResilientLLM
from bot.llm.tokens import TokenCounter
from bot.types.usage import Tier, Usage

ProviderName = Literal["anthropic", "openai"]
Adapter = AnthropicLLM | OpenAILLM
TIERS: tuple[Tier, Tier] = ("cheap", "strong")

DEFAULT_MODELS: Mapping[ProviderName, Mapping[Tier, str]] = {
    "anthropic": {"cheap": "claude-haiku-5-5", "strong": "claude-sonnet-5-5"},
    "openai": {"cheap": "gpt-6-luna", "strong": "gpt-6.1-sol"},
}
_SETTING: Mapping[Tier, str] = {"cheap": "PARLEY_CHEAP_MODEL", "strong": "PARLEY_STRONG_MODEL"}
_KEY: Mapping[ProviderName, str] = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}


@dataclass(frozen=True, slots=True)
class Plan:
    """The models of each provider, and for each tier the order of providers; the first is asked, the others are
    fallbacks."""

    models: Mapping[ProviderName, Mapping[Tier, str]]
    order: Mapping[Tier, tuple[ProviderName, ...]]


def build(settings: Settings, *, counter: TokenCounter | None = None, prices: Prices | None = None) -> LLM:
    """Return the configured LLM; without a key, the extractive answerer. Imports no SDK. Raises ConfigError."""
    counter = counter or TokenCounter()
    prices = prices or Prices.load(settings.prices_file)
    chosen = plan(settings)
    if not chosen.models:
        return ExtractiveLLM(counter)
    providers = {name: adapter(settings, name, models, counter, prices) for name, models in chosen.models.items()}
    chains = {tier: [providers[name] for name in chosen.order[tier]] for tier in TIERS}
    timeouts = Timeouts(settings.first_token_timeout, settings.idle_timeout, settings.total_timeout)
    return QuotingFallback(ResilientLLM(chains, timeouts), counter)


def model_names(settings: Settings) -> frozenset[str]:
    """Return the models that may be asked. Raises ConfigError."""
    return frozenset(model for models in plan(settings).models.values() for model in models.values())


def is_free(settings: Settings, prices: Prices) -> bool:
    """Return whether no call can count against a budget: no model is configured, or each is known to cost nothing.

    With PARLEY_COUNT_FREE, models that cost nothing count. Raises ConfigError.
    """
    chosen = plan(settings).models
    if not chosen or settings.count_free:
        return not chosen
    sample = Usage(input_tokens=1000, completion_tokens=1000)
    return all(
        prices.cost(name, model, sample, base_url=_base_url(settings, name)).usd == 0
        for name, models in chosen.items()
        for model in models.values()
    )


def build_batch(settings: Settings, *, counter: TokenCounter | None = None, prices: Prices | None = None) -> Batch:
    """Return the batch API of the cheap tier's first provider, or a sequential batch if it has none."""
    counter = counter or TokenCounter()
    prices = prices or Prices.load(settings.prices_file)
    chosen = plan(settings)
    compatible = settings.openai_base_url and not is_openai(settings.openai_base_url)
    first = next(iter(chosen.order["cheap"]), None)
    if first is None or (first == "openai" and compatible):
        return SequentialBatch(build(settings, counter=counter, prices=prices))
    llm = adapter(settings, first, chosen.models[first], counter, prices)
    return AnthropicBatch(llm) if isinstance(llm, AnthropicLLM) else OpenAIBatch(llm)


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model that a setting or option names, and its provider."""

    provider: ProviderName
    model: str

    @classmethod
    def parse(cls, settings: Settings, name: str, *, named_by: str) -> NamedModel:
        """Parse ``NAME``, ``anthropic:NAME`` or ``openai:NAME``. Raises ConfigError without a key for the provider."""
        return cls(*_parse_model(named_by, name, available_providers(settings)))

    def cost(self, settings: Settings, prices: Prices, usage: Usage) -> Decimal | None:
        """Return what the usage costs; None if the price is unknown."""
        return prices.cost(self.provider, self.model, usage, base_url=_base_url(settings, self.provider)).usd

    def build(self, settings: Settings, counter: TokenCounter, prices: Prices) -> LLM:
        """Return an LLM that asks this model alone, for both tiers."""
        only = adapter(settings, self.provider, dict.fromkeys(TIERS, self.model), counter, prices)
        timeouts = Timeouts(settings.first_token_timeout, settings.idle_timeout, settings.total_timeout)
        return ResilientLLM({tier: [only] for tier in TIERS}, timeouts)

    def build_batch(self, settings: Settings, counter: TokenCounter, prices: Prices) -> Batch:
        """Return the batch API of the model's provider, or a sequential batch where there is none."""
        if self.provider == "openai" and settings.openai_base_url and not is_openai(settings.openai_base_url):
            return SequentialBatch(self.build(settings, counter, prices))
        only = adapter(settings, self.provider, dict.fromkeys(TIERS, self.model), counter, prices)
        return AnthropicBatch(only) if isinstance(only, AnthropicLLM) else OpenAIBatch(only)


def plan(settings: Settings) -> Plan:
    """Choose providers and models by keys and model names. Raises ConfigError for a model whose provider has no key."""
    available = available_providers(settings)
    named: dict[Tier, tuple[ProviderName, str]] = {}
    for tier in TIERS:
        name = settings.cheap_model if tier == "cheap" else settings.strong_model
        if name:
            named[tier] = _parse_model(_SETTING[tier], name, available)
    models: dict[ProviderName, Mapping[Tier, str]] = {
        provider: {
            tier: named[tier][1] if tier in named and named[tier][0] == provider else DEFAULT_MODELS[provider][tier]
            for tier in TIERS
        }
        for provider in available
    }
    if settings.openai_base_url and "openai" in models and not is_openai(settings.openai_base_url):
        models["openai"] = _self_hosted(named, models["openai"])
    order = {
        tier: tuple(sorted(available, key=lambda name: tier in named and name != named[tier][0])) for tier in TIERS
    }
    return Plan(models, order)


def available_providers(settings: Settings) -> tuple[ProviderName, ...]:
    """Return the configured providers. A self-hosted server needs no key."""
    found: list[ProviderName] = []
    if settings.anthropic_api_key:
        found.append("anthropic")
    if settings.openai_api_key or settings.openai_base_url:
        found.append("openai")
    return tuple(found)


def is_openai(base_url: str) -> bool:
    """Return whether an address is OpenAI's own."""
    return "//api.openai.com" in base_url


def adapter(
    settings: Settings, name: ProviderName, models: Mapping[Tier, str], counter: TokenCounter, prices: Prices
) -> Adapter:
    """Return the adapter of one provider."""
    base_url = _base_url(settings, name)
    secret = settings.anthropic_api_key if name == "anthropic" else settings.openai_api_key
    key = secret.get_secret_value() if secret else "none"
    price, context = partial(prices.cost, name, base_url=base_url), partial(prices.context, name)
    make = AnthropicLLM if name == "anthropic" else OpenAILLM
    return make(
        key,
        models,
        Accounting(counter, price, context=context),
        base_url=base_url,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.total_timeout,
    )


def _base_url(settings: Settings, name: ProviderName) -> str | None:
    return settings.anthropic_base_url if name == "anthropic" else settings.openai_base_url


def _parse_model(named_by: str, name: str, available: tuple[ProviderName, ...]) -> tuple[ProviderName, str]:
    """Return the provider and model that a setting names: ``NAME``, ``anthropic:NAME`` or ``openai:NAME``."""
    provider: ProviderName
    head, colon, rest = name.partition(":")
    if colon and head in ("anthropic", "openai") and rest:
        provider, model = ("anthropic" if head == "anthropic" else "openai"), rest
    else:
        provider, model = ("anthropic" if name.startswith("claude") else "openai"), name
    if provider not in available:
        raise ConfigError(user_messages.key_missing(named_by, model, _KEY[provider]))
    return provider, model


def _self_hosted(named: Mapping[Tier, tuple[ProviderName, str]], models: Mapping[Tier, str]) -> Mapping[Tier, str]:
    """Return a self-hosted server's models. It has only named models, so a single one serves both tiers."""
    names = [model for provider, model in named.values() if provider == "openai"]
    if len(names) != 1 or names[0] in DEFAULT_MODELS["openai"].values():
        return models
    return dict.fromkeys(TIERS, names[0])
