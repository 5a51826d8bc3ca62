"""Which models are chosen for keys and names."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from bot.config import Settings
from bot.errors import ConfigError
from bot.llm.build import build, is_free, plan
from bot.llm.prices import Prices, Rates
from bot.llm.quoting.extractive import ExtractiveLLM
from tests.doubles.models import ModelDouble, Reply
from tests.llm.llm_requests import ANSWER, ask, prompt

pytestmark = pytest.mark.usefixtures("no_provider_settings")


def settings(**values: object) -> Settings:
    return Settings(**values)  # type: ignore[arg-type]


BOTH: dict[str, object] = {"anthropic_api_key": "sk-ant-x", "openai_api_key": "sk-x"}


def test_no_key_quotes() -> None:
    llm = build(settings())
    assert isinstance(llm, ExtractiveLLM)
    assert llm.model("strong") == "extractive"


@pytest.mark.parametrize(
    ("given", "cheap", "strong"),
    [
        ({"anthropic_api_key": "k"}, "claude-haiku-5-5", "claude-sonnet-5-5"),
        ({"openai_api_key": "k"}, "gpt-6-luna", "gpt-6.1-sol"),
        (BOTH, "claude-haiku-5-5", "claude-sonnet-5-5"),
        ({**BOTH, "cheap_model": "gpt-6-luna"}, "gpt-6-luna", "claude-sonnet-5-5"),
        ({**BOTH, "strong_model": "openai:gpt-6.1-terra"}, "claude-haiku-5-5", "gpt-6.1-terra"),
        ({"anthropic_api_key": "k", "strong_model": "anthropic:my-proxy"}, "claude-haiku-5-5", "my-proxy"),
        ({"openai_base_url": "http://localhost:11434/v1", "cheap_model": "llama3.3"}, "llama3.3", "llama3.3"),
        ({"openai_base_url": "http://localhost:11434/v1", "cheap_model": "qwen3:8b"}, "qwen3:8b", "qwen3:8b"),
        ({"openai_base_url": "http://localhost/v1", "cheap_model": "a", "strong_model": "b"}, "a", "b"),
    ],
)
def test_the_first_model_of_each_tier(given: dict[str, object], cheap: str, strong: str) -> None:
    llm = build(settings(**given))
    assert not isinstance(llm, ExtractiveLLM)
    assert (llm.model("cheap"), llm.model("strong")) == (cheap, strong)


def test_with_two_keys_the_other_is_the_fallback() -> None:
    made = plan(settings(**BOTH, strong_model="gpt-6.1-terra"))
    assert made.order == {"cheap": ("anthropic", "openai"), "strong": ("openai", "anthropic")}
    assert made.models["anthropic"]["strong"] == "claude-sonnet-5-5"
    assert made.models["openai"] == {"cheap": "gpt-6-luna", "strong": "gpt-6.1-terra"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"openai_api_key": "k", "strong_model": "claude-opus-5-5"}, "PARLEY_STRONG_MODEL: .*ANTHROPIC_API_KEY"),
        ({"anthropic_api_key": "k", "cheap_model": "gpt-6-luna"}, "PARLEY_CHEAP_MODEL: .*OPENAI_API_KEY"),
        ({"cheap_model": "gpt-6-luna"}, "PARLEY_CHEAP_MODEL: .*OPENAI_API_KEY"),
    ],
)
def test_a_model_without_its_key_stops_the_start(given: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(settings(**given))


def test_building_loads_no_sdk() -> None:
    code = (
        "import sys; from bot.config import Settings; from bot.llm.build import build; import bot.llm.diagnostics;"
        "build(Settings(anthropic_api_key='k', openai_api_key='k'));"
        "print([name for name in ('anthropic', 'openai', 'genai_prices', 'Stemmer') if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"


async def test_the_whole_way_from_settings_to_the_wire(double: ModelDouble) -> None:
    double.script = lambda seen: Reply(fault="status", status=529) if seen.provider == "anthropic" else Reply(ANSWER)
    llm = build(
        settings(
            anthropic_api_key=double.anthropic_key,
            anthropic_base_url=double.anthropic_url,
            openai_api_key=double.openai_key,
            openai_base_url=double.openai_url,
        )
    )
    asked = await ask(llm, prompt(tier="strong"))
    await llm.aclose()
    assert asked.text == ANSWER
    assert asked.ended[0].model == "gpt-6.1-sol"
    assert [call.model for call in asked.calls] == ["claude-sonnet-5-5", "claude-sonnet-5-5", "gpt-6.1-sol"]
    assert asked.calls[-1].cost_usd == double.bill[-1].usd


@pytest.mark.parametrize(
    ("given", "free"),
    [
        ({}, True),
        ({"count_free": True}, True),
        ({"openai_base_url": "http://127.0.0.1:11434/v1", "cheap_model": "own"}, True),
        ({"openai_base_url": "http://127.0.0.1:11434/v1", "cheap_model": "own", "count_free": True}, False),
        ({"openai_base_url": "http://127.0.0.1:11434/v1", "cheap_model": "other"}, False),
        ({"openai_base_url": "http://127.0.0.1:11434/v1", "cheap_model": "own", "anthropic_api_key": "key"}, False),
    ],
)
def test_only_what_is_known_to_cost_nothing_is_free(given: dict[str, object], free: bool) -> None:
    prices = Prices({"own": Rates(*[Decimal(0)] * 5)})
    assert is_free(settings(**given), prices) is free
