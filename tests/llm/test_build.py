"""Which models are chosen for keys and names, and what ``parley doctor`` reports about them."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from bot.config import Settings
from bot.errors import ConfigError
from bot.llm.build import build, is_free, plan
from bot.llm.diagnostics import check
from bot.llm.extractive import ExtractiveLLM
from bot.llm.prices import Prices, Rates
from bot.llm.resilient import ResilientLLM
from tests.doubles.models import ModelDouble, Reply, closed_port
from tests.llm.requests import ANSWER, ask, prompt


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


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
    assert isinstance(llm, ResilientLLM)
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


# --- parley doctor


def _at(double: ModelDouble, **other: object) -> Settings:
    given: dict[str, object] = {
        "anthropic_api_key": double.anthropic_key,
        "anthropic_base_url": double.anthropic_url,
        "openai_api_key": double.openai_key,
        "openai_base_url": double.openai_url,
    }
    return settings(**{**given, **other})


async def test_all_is_well(double: ModelDouble) -> None:
    found = await check(_at(double))
    assert all(one.ok for one in found)
    assert {one.name for one in found} >= {"model claude-haiku-5-5", "model gpt-6.1-sol", "price of gpt-6-luna"}
    assert double.bill == []


async def test_a_model_that_ends_is_told(double: ModelDouble) -> None:
    double.models.add("gpt-4o")
    found = {one.name: one for one in await check(_at(double, strong_model="gpt-4o"))}
    assert "2027-01-14" in found["model gpt-4o"].detail
    assert "PARLEY_STRONG_MODEL" in found["model gpt-4o"].fix


async def test_no_key_is_fine() -> None:
    [one] = await check(settings())
    assert one.ok


@pytest.mark.parametrize(
    ("other", "detail", "fix"),
    [
        ({"anthropic_api_key": "wrong"}, "Anthropic rejected the key (401)", "Check ANTHROPIC_API_KEY."),
        ({"openai_api_key": "wrong"}, "The model server rejected the key (401)", "Check OPENAI_API_KEY."),
        ({"strong_model": "claude-99"}, "Anthropic does not know claude-99 (404)", "PARLEY_STRONG_MODEL"),
        ({"strong_model": "gpt-99"}, "The model server does not know gpt-99 (404)", "PARLEY_STRONG_MODEL"),
        ({"anthropic_base_url": f"http://127.0.0.1:{closed_port()}"}, "could not be reached", "ANTHROPIC_BASE_URL"),
        ({"openai_base_url": f"http://127.0.0.1:{closed_port()}/v1"}, "could not be reached", "OPENAI_BASE_URL"),
    ],
)
async def test_what_is_wrong_is_one_line_with_its_cure(
    double: ModelDouble, other: dict[str, object], detail: str, fix: str
) -> None:
    wrong = [one for one in await check(_at(double, **other)) if not one.ok]
    assert wrong
    assert all(detail in one.detail and fix in one.fix and "\n" not in one.detail + one.fix for one in wrong)


async def test_a_web_page_behind_the_address(web_page: str) -> None:
    given = settings(anthropic_api_key="k", anthropic_base_url=web_page, openai_api_key="k", openai_base_url=web_page)
    wrong = [one for one in await check(given) if not one.ok]
    assert len(wrong) == 4
    assert all("a web page instead of its API" in one.detail for one in wrong)
    assert {"ANTHROPIC_BASE_URL" in one.fix for one in wrong} == {True, False}


async def test_a_wrong_price_file_and_a_wrong_model(tmp_path: Path, double: ModelDouble) -> None:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"m": {"input": -1, "output": 1}}))
    [one] = await check(_at(double, prices_file=path))
    assert not one.ok
    assert one.detail.startswith("PARLEY_PRICES_FILE")
    [other] = await check(settings(openai_api_key="k", cheap_model="claude-haiku-5-5"))
    assert (other.ok, "ANTHROPIC_API_KEY" in other.detail) == (False, True)


async def test_an_unknown_price_is_told(double: ModelDouble) -> None:
    double.models.add("llama3.3")
    found = await check(
        settings(openai_base_url=double.openai_url, openai_api_key=double.openai_key, cheap_model="llama3.3")
    )
    assert ("price of llama3.3", "unknown") in {(one.name, one.detail) for one in found}


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
