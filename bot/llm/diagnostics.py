"""Checks of the configured models for ``parley doctor``: reachable, key accepted, model available, price known."""

from __future__ import annotations

import asyncio

from bot.config import Settings
from bot.errors import ConfigError, LLMError
from bot.llm import build
from bot.llm.prices import Prices
from bot.llm.tokens import TokenCounter
from bot.types.checks import Check
from bot.types.usage import Usage

RETIRED_ON = {
    "claude-sonnet-4-5": "2026-11-30",
    "gpt-5": "2026-12-11",
    "gpt-5-mini": "2026-12-11",
    "gpt-5-nano": "2026-12-11",
    "gpt-4o": "2027-01-14",
    "gpt-4o-mini": "2027-01-14",
    "gpt-4.1": "2027-01-14",
    "gpt-4.1-mini": "2027-01-14",
}
"""Models that their providers will retire, with the announced day, as of November 2026."""

_PROBE_TIMEOUT = 20.0
"""Timeout for the check of one model, in seconds."""


async def check(settings: Settings) -> list[Check]:
    """Check every configured provider with its models, and look up their prices. Never raises."""
    try:
        plan = build.plan(settings)
        prices = Prices.load(settings.prices_file)
    except ConfigError as error:
        return [Check.failed("models", str(error))]
    if not plan.models:
        return [Check("models", True, "no key is set, so answers quote the documents")]
    checks: list[Check] = []
    for name, models in plan.models.items():
        provider = build.adapter(settings, name, models, TokenCounter(), prices)
        base_url = settings.anthropic_base_url if name == "anthropic" else settings.openai_base_url
        try:
            for model in dict.fromkeys(models.values()):
                checks.append(await _probe(provider, model))
                checks.append(_price_check(prices, name, model, base_url))
        finally:
            await provider.aclose()
    return checks


async def _probe(provider: build.Adapter, model: str) -> Check:
    name, info = f"model {model}", provider.info
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT):
            await provider.probe(model)
    except TimeoutError:
        problem = f"{info.label} did not answer within {_PROBE_TIMEOUT:.0f} s"
        return Check(name, False, problem, f"Check the network and {info.url_setting}.")
    except LLMError as error:
        return Check.failed(name, str(error))
    if model in RETIRED_ON:
        detail = f"{info.label} answers, but retires this model on {RETIRED_ON[model]}"
        return Check(name, True, detail, "Change PARLEY_CHEAP_MODEL or PARLEY_STRONG_MODEL before that day.")
    return Check(name, True, f"{info.label} answers")


def _price_check(prices: Prices, provider: str, model: str, base_url: str | None) -> Check:
    cost = prices.cost(provider, model, Usage(input_tokens=1000, completion_tokens=1000), base_url=base_url)
    if cost.usd is not None:
        return Check(f"price of {model}", True, f"known ({cost.version})")
    fix = "To include it in cost reports, add its price to PARLEY_PRICES_FILE."
    return Check(f"price of {model}", True, "unknown", fix)
