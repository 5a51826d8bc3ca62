"""Which models there are, given the keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from bot.config import Settings
from bot.engine.ports.llm import LLM
from bot.errors import ConfigError
from bot.llm.anthropic import AnthropicLLM
from bot.llm.batch import AtOnce, Batch
from bot.llm.batch_anthropic import AnthropicBatch
from bot.llm.batch_openai import OpenAIBatch
from bot.llm.call_metering import Books
from bot.llm.extractive import ExtractiveLLM
from bot.llm.openai import OpenAILLM
from bot.llm.prices import Prices
from bot.llm.resilient import Patience, ResilientLLM
from bot.llm.tokens import TokenCounter
from bot.types.usage import Tier

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
    """The models of each provider, and the order in which a tier asks the providers."""

    models: Mapping[ProviderName, Mapping[Tier, str]]
    order: Mapping[Tier, tuple[ProviderName, ...]]


def build(settings: Settings, *, counter: TokenCounter | None = None, prices: Prices | None = None) -> LLM:
    """The LLM of these settings; without a key the extractive answerer. Raises ConfigError. Imports no SDK."""
    counter = counter or TokenCounter()
    prices = prices or Prices.load(settings.prices_file)
    made = plan(settings)
    if not made.models:
        return ExtractiveLLM(counter)
    providers = {name: adapter(settings, name, models, counter, prices) for name, models in made.models.items()}
    chains = {tier: [providers[name] for name in made.order[tier]] for tier in TIERS}
    patience = Patience(settings.first_token_timeout, settings.idle_timeout, settings.total_timeout)
    return ResilientLLM(chains, patience)


def build_batch(settings: Settings, *, counter: TokenCounter | None = None, prices: Prices | None = None) -> Batch:
    """A batch at the provider that the cheap tier asks first; where it has no API, one that asks it one by one."""
    counter = counter or TokenCounter()
    prices = prices or Prices.load(settings.prices_file)
    made = plan(settings)
    compatible = settings.openai_base_url and not is_openai(settings.openai_base_url)
    first = next(iter(made.order["cheap"]), None)
    if first is None or (first == "openai" and compatible):
        return AtOnce(build(settings, counter=counter, prices=prices))
    llm = adapter(settings, first, made.models[first], counter, prices)
    return AnthropicBatch(llm) if isinstance(llm, AnthropicLLM) else OpenAIBatch(llm)


def plan(settings: Settings) -> Plan:
    """Decide by keys and model names. Raises ConfigError for a model whose provider has no key."""
    present = keyed(settings)
    wished: dict[Tier, tuple[ProviderName, str]] = {}
    for tier in TIERS:
        name = settings.cheap_model if tier == "cheap" else settings.strong_model
        if name:
            wished[tier] = _wish(tier, name, settings, present)
    models: dict[ProviderName, Mapping[Tier, str]] = {
        provider: {
            tier: wished[tier][1] if tier in wished and wished[tier][0] == provider else DEFAULT_MODELS[provider][tier]
            for tier in TIERS
        }
        for provider in present
    }
    if settings.openai_base_url and "openai" in models and not is_openai(settings.openai_base_url):
        models["openai"] = _served(wished, models["openai"])
    order = {
        tier: tuple(sorted(present, key=lambda name: tier in wished and name != wished[tier][0])) for tier in TIERS
    }
    return Plan(models, order)


def keyed(settings: Settings) -> tuple[ProviderName, ...]:
    """The providers that can be asked. A server of one's own needs no key."""
    found: list[ProviderName] = []
    if settings.anthropic_api_key:
        found.append("anthropic")
    if settings.openai_api_key or settings.openai_base_url:
        found.append("openai")
    return tuple(found)


def is_openai(base_url: str) -> bool:
    """Whether an address is OpenAI's own."""
    return "//api.openai.com" in base_url


def adapter(
    settings: Settings, name: ProviderName, models: Mapping[Tier, str], counter: TokenCounter, prices: Prices
) -> Adapter:
    """The adapter of one provider."""
    base_url = settings.anthropic_base_url if name == "anthropic" else settings.openai_base_url
    secret = settings.anthropic_api_key if name == "anthropic" else settings.openai_api_key
    key = secret.get_secret_value() if secret else "none"
    price, context = partial(prices.cost, name, base_url=base_url), partial(prices.context, name)
    books = Books(counter, price, context=context)
    make = AnthropicLLM if name == "anthropic" else OpenAILLM
    return make(
        key,
        models,
        books,
        base_url=base_url,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.total_timeout,
    )


def _wish(tier: Tier, name: str, settings: Settings, present: tuple[ProviderName, ...]) -> tuple[ProviderName, str]:
    """The provider and model that a setting names: ``NAME``, ``anthropic:NAME`` or ``openai:NAME``."""
    provider: ProviderName
    head, colon, rest = name.partition(":")
    if colon and head in ("anthropic", "openai") and rest:
        provider, model = ("anthropic" if head == "anthropic" else "openai"), rest
    else:
        provider, model = ("anthropic" if name.startswith("claude") else "openai"), name
    if provider not in present:
        raise ConfigError(
            f"{_SETTING[tier]}: {model} needs {_KEY[provider]}, which is not set. Set it, or change the model."
        )
    return provider, model


def _served(wished: Mapping[Tier, tuple[ProviderName, str]], models: Mapping[Tier, str]) -> Mapping[Tier, str]:
    """A server of one's own has the models that were named: one such name serves both tiers."""
    named = [model for provider, model in wished.values() if provider == "openai"]
    if len(named) != 1 or named[0] in DEFAULT_MODELS["openai"].values():
        return models
    return dict.fromkeys(TIERS, named[0])
