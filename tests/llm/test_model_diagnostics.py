"""What ``parley doctor`` says about models and model servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.config import Settings
from bot.llm.diagnostics import check
from tests.doubles.models import ModelDouble, Reply, closed_port
from tests.llm.llm_requests import anthropic, prompt
from tests.llm.test_build import settings

pytestmark = pytest.mark.usefixtures("no_provider_settings")


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
    assert not any(one.fix for one in found)


async def test_every_model_writes_two_tokens_and_says_what_they_cost(double: ModelDouble) -> None:
    double.script = lambda _: Reply("one two three four five")
    found = {one.name: one.detail for one in await check(_at(double))}
    assert [line.output for line in double.bill] == [2, 2, 2, 2]
    for line in double.bill:
        spent = f"this check used {line.prompt.total + line.output} tokens, ${line.usd:.6f}"
        assert spent in found[f"model {line.model}"]


async def test_a_failure_that_only_a_real_answer_shows_is_found(double: ModelDouble) -> None:
    double.script = lambda _: Reply(fault="status", status=500, error={"error": {"message": "CUDA out of memory"}})
    wrong = [one for one in await check(_at(double)) if not one.ok]
    assert len(wrong) == 4
    assert all("CUDA out of memory" in one.detail for one in wrong)


async def test_a_reasoning_model_that_needs_more_than_two_tokens_is_fine(double: ModelDouble) -> None:
    words = "Could not finish the message because max_tokens or model output limit was reached."
    double.script = lambda _: Reply(fault="status", status=400, error={"error": {"message": words}})
    assert all(one.ok for one in await check(_at(double)))


async def test_one_model_of_a_self_hosted_server_is_asked_once(double: ModelDouble) -> None:
    double.models.add("llama3.3")
    await check(settings(openai_base_url=double.openai_url, openai_api_key=double.openai_key, cheap_model="llama3.3"))
    assert [line.model for line in double.bill] == ["llama3.3"]


async def test_a_list_that_lacks_the_name_is_a_hint(double: ModelDouble) -> None:
    double.models |= {"loaded.gguf", "my-model"}
    double.unlisted = {"my-model"}
    given = settings(openai_base_url=double.openai_url, openai_api_key=double.openai_key, cheap_model="my-model")
    found = {one.name: one for one in await check(given)}
    assert found["model my-model"].ok
    assert "list of models lacks this name" in found["model my-model"].fix


async def test_an_unknown_model_names_those_that_are_there(double: ModelDouble) -> None:
    double.models = {"llama3.3", "qwen3"}
    given = settings(openai_base_url=double.openai_url, openai_api_key=double.openai_key, cheap_model="llama3")
    wrong = [one for one in await check(given) if not one.ok]
    assert [one.name for one in wrong] == ["model llama3"]
    assert wrong[0].fix.endswith("The server has llama3.3, qwen3.")


async def test_a_server_that_counts_no_tokens_is_fine(double: ModelDouble, caplog: pytest.LogCaptureFixture) -> None:
    double.counts = False
    found = {one.name: one for one in await check(_at(double))}
    assert all(one.ok for one in found.values())
    assert "Parley estimates them" in found["model claude-haiku-5-5"].fix
    llm = anthropic(double)
    before = len(double.requests)
    assert [await llm.count(prompt()) for _ in range(3)] == [None, None, None]
    await llm.aclose()
    assert len(double.requests) - before == 1, "it is asked once"
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


async def test_a_model_that_its_provider_retires_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ModelDouble(openai_kind="openai") as double:
        double.models.add("gpt-4o")
        monkeypatch.setattr("bot.llm.providers.openai.API_URL", double.openai_url)
        found = {one.name: one for one in await check(_at(double, strong_model="gpt-4o"))}
    assert "2027-01-14" in found["model gpt-4o"].detail
    assert "PARLEY_STRONG_MODEL" in found["model gpt-4o"].fix


async def test_ones_own_server_retires_nothing(double: ModelDouble) -> None:
    double.models.add("gpt-4o")
    found = {one.name: one for one in await check(_at(double, strong_model="gpt-4o"))}
    assert "2027" not in found["model gpt-4o"].detail


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
