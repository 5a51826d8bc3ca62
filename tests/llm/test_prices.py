"""Prices of calls: genai-prices, the operator's file, size tiers, and unknown prices."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.llm.prices import Prices, is_private
from bot.types.usage import Usage
from tests.doubles.models_billing import PRICES, Metered, dollars

LOCAL = "http://127.0.0.1:11434/v1"


@pytest.mark.parametrize("model", [name for name in PRICES if not name.startswith("text-")])
@pytest.mark.parametrize("size", [1_000, 99_000, 100_001, 250_000, 280_000])
def test_every_default_model_costs_what_the_provider_bills(model: str, size: int) -> None:
    provider = "anthropic" if model.startswith("claude") else "openai"
    usage = Usage(size - 600, 300, 200, 100, 777)
    metered = Metered(size - 600, 300, 200, 100)
    assert Prices().cost(provider, model, usage).usd == dollars(
        "anthropic" if provider == "anthropic" else "openai", model, metered, 777
    )


@pytest.mark.parametrize("model", ["gpt-6-luna", "claude-haiku-5-5", "own-model"])
def test_calls_between_two_steps_are_priced_by_their_sum(model: str, tmp_path: Path) -> None:
    prices = Prices.load(_file(tmp_path, {"own-model": {"input": 0.1, "output": 3}}))
    provider = "anthropic" if model.startswith("claude") else "openai"
    bounds = (0, *prices.steps, 1_000_000)
    for low, high in itertools.pairwise(bounds):
        sizes = (low + 1, (low + high) // 2, high)
        calls = [
            Usage(size - 1, 0, 0, 1, n) if size < 99 else Usage(size - 66, 33, 22, 11, n)
            for n, size in enumerate(sizes)
        ]
        each = [prices.cost(provider, model, call).usd or Decimal(0) for call in calls]
        whole = prices.cost(provider, model, sum(calls, Usage()), calls=len(calls))
        assert whole.usd == pytest.approx(sum(each), rel=Decimal("1e-20"))


def test_embeddings_have_a_price() -> None:
    cost = Prices().cost("openai", "text-embedding-3-small", Usage(input_tokens=1_000_000))
    assert cost.usd == Decimal("0.02")


@pytest.mark.parametrize(
    ("provider", "model", "url"),
    [
        ("openai", "llama3.3", LOCAL),
        ("openai", "gpt-oss-20b", LOCAL),
        ("openai", "some-model", "https://models.example.org/v1"),
        ("anthropic", "claude-99", None),
    ],
)
def test_an_unknown_model_is_unknown_and_not_free(provider: str, model: str, url: str | None) -> None:
    cost = Prices().cost(provider, model, Usage(input_tokens=1000), base_url=url)
    assert (cost.usd, cost.version) == (None, "unknown")


def test_a_proxy_on_this_machine_keeps_the_price_of_the_providers_models() -> None:
    usage = Usage(input_tokens=1000, completion_tokens=100)
    assert Prices().cost("openai", "gpt-6-luna", usage, base_url=LOCAL) == Prices().cost("openai", "gpt-6-luna", usage)


def test_another_provider_is_priced_by_its_own_list() -> None:
    url = "https://api.groq.com/openai/v1"
    assert Prices().cost("openai", "llama-3.3-70b-versatile", Usage(input_tokens=1000), base_url=url).usd


def _file(folder: Path, value: object) -> Path:
    path = folder / "prices.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_the_file_goes_first_and_names_its_version(tmp_path: Path) -> None:
    row = {"input": 1, "output": 2, "cache_read": 0.5, "cache_write": 3, "cache_write_long": 4}
    prices = Prices.load(_file(tmp_path, {"llama3.3": row, "gpt-6-luna": {"input": 10, "output": 20}}))
    usage = Usage(1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000)
    cost = prices.cost("openai", "llama3.3", usage, base_url=LOCAL)
    assert cost.usd == Decimal("10.5")
    assert cost.version.startswith("file ")
    assert prices.cost("openai", "gpt-6-luna", Usage(1_000_000, 1_000_000)).usd == Decimal(20)
    assert prices.cost("openai", "gpt-6.1-sol", usage).version.startswith("genai-prices")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{not json", "cannot be read"),
        ([1, 2], "must be an object"),
        ({"m": 3}, "m must be an object"),
        ({"m": {"input": 1}}, "m has no output price"),
        ({"m": {"input": 1, "output": -2}}, "the output price of m is -2"),
        ({"m": {"input": 1, "output": "2 dollars"}}, "the output price of m is not a number"),
        ({"m": {"input": True, "output": 1}}, "the input price of m is not a number"),
        ({"m": {"input": 2_000_000, "output": 1}}, "It must be between 0 and 10000"),
        ({"m": {"input": 1, "output": 2, "cache": 1}}, "unknown field cache"),
        ('{"m": {"input": NaN, "output": 1}}', "not a number"),
    ],
)
def test_nonsense_in_the_file_is_one_line(tmp_path: Path, value: object, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Prices.load(_file(tmp_path, value))
    line = str(caught.value)
    assert line.startswith("PARLEY_PRICES_FILE: ")
    assert words in line
    assert "\n" not in line


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Prices.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("url", "private"),
    [
        (LOCAL, True),
        ("http://localhost:1234", True),
        ("http://ollama:11434/v1", True),
        ("http://192.168.1.5/v1", True),
        ("http://[::1]:80/v1", True),
        ("http://gpu.internal/v1", True),
        ("https://api.openai.com/v1", False),
        ("https://8.8.8.8/v1", False),
    ],
)
def test_private_addresses(url: str, private: bool) -> None:
    assert is_private(url) is private
