"""Parley with LiteLLM's proxy in front of the double of the providers: as an OpenAI and as an Anthropic server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from bot.config import Settings
from bot.llm.diagnostics import check
from bot.llm.prices import Prices
from bot.llm.providers.anthropic import AnthropicLLM
from bot.llm.providers.call_metering import Accounting
from bot.llm.providers.openai import OpenAILLM
from bot.llm.providers.provider_call import Timeouts
from bot.llm.resilient import ResilientLLM
from bot.llm.tokens import TokenCounter
from tests.doubles.models import ModelDouble, Reply
from tests.llm.llm_requests import ANSWER, Adapter, ask, prompt
from tests.peers.programs import Running, free_port, installed, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "sk-proxy-1234"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[ModelDouble]:
    async with ModelDouble() as double:
        yield double


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxy(upstream: ModelDouble, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    program, port, folder = installed("litellm/bin/litellm"), free_port(), tmp_path_factory.mktemp("litellm")
    models = {
        "gpt-6-luna": ("openai/gpt-6-luna", upstream.openai_url, upstream.openai_key),
        "claude-haiku-5-5": ("anthropic/claude-haiku-5-5", upstream.anthropic_url, upstream.anthropic_key),
    }
    config = {
        "model_list": [
            {"model_name": name, "litellm_params": {"model": model, "api_base": base, "api_key": key, "max_retries": 0}}
            for name, (model, base, key) in models.items()
        ],
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"master_key": KEY},
    }
    (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML.
    arguments = [program, "--config", "config.yaml", "--port", str(port), "--host", "127.0.0.1", "--telemetry", "False"]
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    async with running(folder, arguments, port=port, ready="/health/liveliness", environment=environment) as it:
        yield it


@pytest_asyncio.fixture(params=["openai", "anthropic"], loop_scope="module")
async def adapter(request: pytest.FixtureRequest, proxy: Running) -> AsyncIterator[Adapter]:
    made = through(proxy, request.param)
    yield made
    await made.aclose()


def through(proxy: Running, name: str, key: str = KEY) -> Adapter:
    accounting = Accounting(TokenCounter(), partial(Prices().cost, name, base_url=proxy.url))
    if name == "anthropic":
        models = {"cheap": "claude-haiku-5-5", "strong": "claude-haiku-5-5"}
        return AnthropicLLM(key, models, accounting, base_url=proxy.url)  # type: ignore[arg-type]
    models = {"cheap": "gpt-6-luna", "strong": "gpt-6-luna"}
    return OpenAILLM(key, models, accounting, base_url=f"{proxy.url}/v1")  # type: ignore[arg-type]


async def test_an_answer_comes_whole_and_its_usage_is_the_providers(
    adapter: Adapter, upstream: ModelDouble, proxy: Running
) -> None:
    upstream.script = lambda _: Reply(ANSWER)
    asked = await ask(adapter)
    assert (asked.error, asked.text) == (None, ANSWER), proxy.logged()
    assert [ended.reason for ended in asked.ended] == ["complete"]
    [call] = asked.calls
    assert (call.status, call.estimated) == ("ok", False)
    assert call.usage.prompt_tokens == upstream.bill[-1].prompt.total
    assert call.usage.completion_tokens == upstream.bill[-1].output
    assert call.cost_usd == upstream.bill[-1].usd


@pytest.mark.parametrize(("status", "kind"), [(429, "rate_limit"), (500, "server"), (401, "auth")])
async def test_the_providers_errors_keep_their_kind(
    adapter: Adapter, upstream: ModelDouble, status: int, kind: str
) -> None:
    upstream.script = lambda _: Reply(fault="status", status=status)
    asked = await ask(adapter)
    assert asked.error is not None
    assert asked.error.kind == kind
    assert asked.calls[0].usage.total_tokens == 0


async def test_a_cut_answer_is_known_as_cut(adapter: Adapter, upstream: ModelDouble) -> None:
    upstream.script = lambda _: Reply("one two three " * 100)
    asked = await ask(adapter, prompt(max_tokens=20))
    assert [ended.reason for ended in asked.ended] == ["cut"]


async def test_a_stream_that_breaks_behind_the_proxy_is_no_answer(adapter: Adapter, upstream: ModelDouble) -> None:
    upstream.script = lambda _: Reply(ANSWER * 20, fault="reset", after=3)
    chain = ResilientLLM({"cheap": [adapter], "strong": [adapter]}, Timeouts(first_token=20, idle=20, total=60))
    asked = await ask(chain)
    assert asked.error is not None
    assert asked.ended == []


async def test_a_wrong_key_is_told_in_the_proxys_words(proxy: Running) -> None:
    """Without a database of its own, the proxy answers 400 to a key that it does not know."""
    for name in ("openai", "anthropic"):
        made = through(proxy, name, "sk-wrong")
        asked = await ask(made)
        await made.aclose()
        assert asked.error is not None
        assert "No connected db" in str(asked.error)
        assert not asked.error.retryable


async def test_the_doctor_is_content(upstream: ModelDouble, proxy: Running) -> None:
    upstream.script = lambda _: Reply(ANSWER)
    made = {
        "openai_base_url": f"{proxy.url}/v1",
        "openai_api_key": KEY,
        "anthropic_base_url": proxy.url,
        "anthropic_api_key": KEY,
        "strong_model": "gpt-6-luna",
    }
    found = {one.name: one for one in await check(Settings(_env_file=None, **made))}  # type: ignore[arg-type]
    for model in ("gpt-6-luna", "claude-haiku-5-5"):
        assert (found[f"model {model}"].ok, found[f"model {model}"].fix) == (True, ""), found[f"model {model}"]
