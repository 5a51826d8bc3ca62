"""Builds real adapters with real SDKs that talk to the provider double."""

from __future__ import annotations

from functools import partial

from bot.llm.anthropic import AnthropicLLM
from bot.llm.build import DEFAULT_MODELS
from bot.llm.call_metering import Accounting
from bot.llm.openai import OpenAILLM
from bot.llm.prices import Prices
from bot.llm.tokens import TokenCounter
from tests.doubles.models import ModelDouble
from tests.doubles.models_billing import ProviderName

Adapter = AnthropicLLM | OpenAILLM


def provider(name: ProviderName, double: ModelDouble, counter: TokenCounter | None = None) -> Adapter:
    """Return the adapter of one provider with Parley's models and prices."""
    accounting = Accounting(counter or TokenCounter(), partial(Prices().cost, name))
    if name == "anthropic":
        return AnthropicLLM(double.anthropic_key, DEFAULT_MODELS[name], accounting, base_url=double.anthropic_url)
    return OpenAILLM(
        double.openai_key,
        DEFAULT_MODELS[name],
        accounting,
        base_url=double.openai_url,
        compatible=True,
        usage_timeout=0.5,
    )
