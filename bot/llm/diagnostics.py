"""Whether the configured models can be used, told in one line each."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bot.config import Settings
from bot.errors import ConfigError, LLMError
from bot.llm import build
from bot.llm.prices import Prices
from bot.llm.tokens import TokenCounter
from bot.types.usage import Usage

ENDING = {
    "claude-sonnet-4-5": "2026-11-30",
    "gpt-5": "2026-12-11",
    "gpt-5-mini": "2026-12-11",
    "gpt-5-nano": "2026-12-11",
    "gpt-4o": "2027-01-14",
    "gpt-4o-mini": "2027-01-14",
    "gpt-4.1": "2027-01-14",
    "gpt-4.1-mini": "2027-01-14",
}
"""Models that their providers have announced to switch off, as of November 2026."""

_LONGEST = 20.0
"""Seconds for one model."""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding for the operator; ``fix`` is empty where there is nothing to do."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


async def check(settings: Settings) -> list[Check]:
    """Try every configured provider with its models, and look up their prices. Never raises."""
    try:
        plan = build.plan(settings)
        prices = Prices.load(settings.prices_file)
    except ConfigError as error:
        return [_finding("models", str(error))]
    if not plan.models:
        return [Check("models", True, "no key is set: answers quote the documents and no model writes")]
    found: list[Check] = []
    for name, models in plan.models.items():
        provider = build.adapter(settings, name, models, TokenCounter(), prices)
        base_url = settings.anthropic_base_url if name == "anthropic" else settings.openai_base_url
        try:
            for model in dict.fromkeys(models.values()):
                found.append(await _tried(provider, model))
                found.append(_priced(prices, name, model, base_url))
        finally:
            await provider.aclose()
    return found


async def _tried(provider: build.Adapter, model: str) -> Check:
    name = f"model {model}"
    try:
        async with asyncio.timeout(_LONGEST):
            await provider.probe(model)
    except TimeoutError:
        who = provider.who
        return Check(
            name, False, f"{who.label} did not answer in {_LONGEST:.0f} s", f"Check the network and {who.url}."
        )
    except LLMError as fault:
        return _finding(name, str(fault))
    if model in ENDING:
        words = f"{provider.who.label} answers, and switches this model off on {ENDING[model]}"
        return Check(name, True, words, "Change PARLEY_CHEAP_MODEL or PARLEY_STRONG_MODEL before that day.")
    return Check(name, True, f"{provider.who.label} answers")


def _priced(prices: Prices, provider: str, model: str, base_url: str | None) -> Check:
    cost = prices.cost(provider, model, Usage(input_tokens=1000, completion_tokens=1000), base_url=base_url)
    if cost.usd is not None:
        return Check(f"price of {model}", True, f"known ({cost.version})")
    return Check(f"price of {model}", True, "unknown, and shown as such", "PARLEY_PRICES_FILE can name it.")


def _finding(name: str, line: str) -> Check:
    """A fault and its cure from the one line that says both."""
    fault, _, cure = line.partition(". ")
    return Check(name, False, fault.rstrip("."), cure)
