"""Builds real adapters with real SDKs that talk to the provider double."""

from __future__ import annotations

from functools import partial

from bot.llm.build import DEFAULT_MODELS
from bot.llm.prices import Prices
from bot.llm.providers.anthropic import AnthropicLLM
from bot.llm.providers.call_metering import Accounting
from bot.llm.providers.openai import OpenAILLM
from bot.llm.tokens import TokenCounter
from tests.doubles.models import ModelDouble
from tests.doubles.models_billing import ProviderName

Adapter = AnthropicLLM | OpenAILLM

ANTHROPIC_KEY = "sk-ant-double"
"""The key that a double accepts."""


def provider(name: ProviderName, double: ModelDouble, counter: TokenCounter | None = None) -> Adapter:
    """Return the adapter of one provider with Parley's models and prices."""
    if name == "anthropic":
        return anthropic(double.anthropic_url, counter=counter)
    return OpenAILLM(
        double.openai_key,
        DEFAULT_MODELS[name],
        _accounting(name, counter),
        base_url=double.openai_url,
        compatible=True,
        usage_timeout=0.5,
    )


def anthropic(
    url: str, kind: type[AnthropicLLM] = AnthropicLLM, *, counter: TokenCounter | None = None
) -> AnthropicLLM:
    """Return an adapter for the Anthropic side of a double at ``url``, which may be in another process."""
    return kind(ANTHROPIC_KEY, DEFAULT_MODELS["anthropic"], _accounting("anthropic", counter), base_url=url)


def _accounting(name: ProviderName, counter: TokenCounter | None) -> Accounting:
    return Accounting(counter or TokenCounter(), partial(Prices().cost, name))
