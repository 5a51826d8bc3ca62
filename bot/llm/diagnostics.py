"""Checks of the configured models for ``parley doctor``: reachable, key accepted, model available, price known."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

from bot.config import Settings
from bot.engine.ports.llm import Message, Prompt
from bot.errors import ConfigError, LLMError
from bot.llm import build
from bot.llm.prices import Prices
from bot.llm.providers.anthropic import AnthropicLLM
from bot.llm.tokens import TokenCounter
from bot.types.checks import Check
from bot.types.usage import Call, Tier, Usage

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

_TIMEOUT = 20.0
"""Seconds to wait for one model's answer, at least."""
_PROBE_TOKENS = 2
_SHOWN_NAMES = 5
"""Names of a server's list that a hint shows."""


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
            for model, tier in {model: tier for tier, model in models.items()}.items():
                checks.append(await _probe(provider, tier, model, max(_TIMEOUT, settings.first_token_timeout)))
                checks.append(_price_check(prices, name, model, base_url))
        finally:
            await provider.aclose()
    return checks


async def _probe(provider: build.Adapter, tier: Tier, model: str, seconds: float) -> Check:
    """Ask the model for two tokens, as an answer is asked for, and say what that cost."""
    name, info = f"model {model}", provider.info
    prompt = Prompt("answer", tier, "", (Message("user", "Hello"),), max_tokens=_PROBE_TOKENS)
    calls: list[Call] = []
    try:
        async with asyncio.timeout(seconds), aclosing(provider.stream(prompt, meter=calls.append)) as events:
            async for _ in events:
                pass
    except TimeoutError:
        problem = f"{info.label} did not answer within {seconds:.0f} s"
        return Check(name, False, problem, f"Check the network and {info.url_setting}.")
    except LLMError as error:
        if not _stopped_by_limit(error):
            return await _explained(provider, name, error)
    spent = calls[0].usage.total_tokens if calls else 0
    cost = calls[0].cost_usd if calls else None
    price = "price unknown" if cost is None else f"${cost:.6f}"
    detail = f"{info.label} answers (this check used {spent} tokens, {price})"
    if provider.is_provider and model in RETIRED_ON:
        detail = f"{detail}, but retires this model on {RETIRED_ON[model]}"
        return Check(name, True, detail, "Change PARLEY_CHEAP_MODEL or PARLEY_STRONG_MODEL before that day.")
    return Check(name, True, detail, await _hint(provider, model, prompt))


def _stopped_by_limit(error: LLMError) -> bool:
    """Return whether a reasoning model reports, as an error, that it used up the few tokens of the check."""
    return error.kind == "request" and "output limit was reached" in str(error)


async def _explained(provider: build.Adapter, name: str, error: LLMError) -> Check:
    """Return a failed check. For an unknown model, the fix names those that the server has."""
    failed = Check.failed(name, str(error))
    listed = sorted(await provider.listed()) if error.kind == "model" else []
    if not listed:
        return failed
    more = ", ..." if len(listed) > _SHOWN_NAMES else ""
    return replace(failed, fix=f"{failed.fix} The server has {', '.join(listed[:_SHOWN_NAMES])}{more}.")


async def _hint(provider: build.Adapter, model: str, prompt: Prompt) -> str:
    """Return what is unusual about a server whose model answers; empty if nothing is."""
    listed = await provider.listed()
    if listed and not {model, f"{model}:latest"} & listed:
        return "The server's list of models lacks this name, so another model may answer. Check the name."
    if isinstance(provider, AnthropicLLM) and await provider.count(prompt) is None:
        return "The server counts no tokens, so Parley estimates them."
    return ""


def _price_check(prices: Prices, provider: str, model: str, base_url: str | None) -> Check:
    cost = prices.cost(provider, model, Usage(input_tokens=1000, completion_tokens=1000), base_url=base_url)
    if cost.usd is not None:
        return Check(f"price of {model}", True, f"known ({cost.version})")
    fix = "To include it in cost reports, add its price to PARLEY_PRICES_FILE."
    return Check(f"price of {model}", True, "unknown", fix)
