"""Parley with model servers that others wrote: a mock server from npm, transformers, llama.cpp."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from bot.config import Settings
from bot.errors import ContextTooLong
from bot.llm.diagnostics import check
from bot.llm.prices import Prices
from bot.llm.providers.call_metering import Accounting
from bot.llm.providers.openai import OpenAILLM
from bot.llm.tokens import TokenCounter
from tests.llm.llm_requests import ask, prompt
from tests.peers.programs import Running, free_port, installed, running

HERE = Path(__file__).parent
MOCK = """
streaming: {chunkSize: 7, chunkIntervalMs: 1}
rules:
  - path: "/v1/chat/completions"
    match: "@"
    response:
      status: 200
      content: |
        {"id": "1", "object": "chat.completion", "model": "{{jmes request body.model}}", "choices": [{"message":
        {"role": "assistant", "content": "A hotel in Lisbon may cost 180 EUR a night. [1]"}, "finish_reason": "stop"}]}
  - path: "/v1/chat/completions"
    match: "contains(body.messages[-1].content, 'say 429')"
    response:
      status: 429
      content: '{"error": {"message": "Slow down, see the billing page.", "code": "rate_limit_exceeded"}}'
  - path: "/v1/chat/completions"
    match: "contains(body.messages[-1].content, 'say 401')"
    response:
      status: 401
      content: '{"error": {"message": "Wrong API key.", "type": "invalid_request_error", "code": "invalid_api_key"}}'
  - path: "/v1/models"
    response:
      status: 200
      content: '{"object": "list", "data": [{"id": "mock-1", "object": "model"}]}'
"""


def llm_at(server: Running, model: str, *, path: str = "/v1", key: str = "none") -> OpenAILLM:
    accounting = Accounting(TokenCounter(), partial(Prices().cost, "openai", base_url=server.url))
    return OpenAILLM(key, {"cheap": model, "strong": model}, accounting, base_url=server.url + path)


def settings_at(server: Running, model: str, *, path: str = "/v1") -> Settings:
    made = {"openai_base_url": server.url + path, "cheap_model": model, "openai_api_key": "none"}
    return Settings(_env_file=None, **made)  # type: ignore[arg-type]


# --- a mock server from npm


@pytest.fixture
async def mock(tmp_path: Path) -> AsyncIterator[Running]:
    program, port = installed("npm/node_modules/.bin/mock-llm"), free_port()
    (tmp_path / "mock.yaml").write_text(MOCK)
    arguments = [program, "--config", str(tmp_path / "mock.yaml")]
    async with running(tmp_path / "mock", arguments, port=port, ready="/ready", environment={"PORT": str(port)}) as it:
        yield it


async def test_the_mock_server_streams_an_answer_and_its_errors_are_known(mock: Running) -> None:
    llm = llm_at(mock, "mock-1")
    answered = await ask(llm)
    refused = {words: (await ask(llm, prompt(f"say {words}"))).error for words in ("429", "401")}
    await llm.aclose()
    assert (answered.error, answered.text) == (None, "A hotel in Lisbon may cost 180 EUR a night. [1]")
    assert [ended.reason for ended in answered.ended] == ["complete"]
    assert answered.calls[0].estimated, "it reports no usage"
    assert {words: error and error.kind for words, error in refused.items()} == {"429": "rate_limit", "401": "auth"}


async def test_the_doctor_is_content_with_the_mock_server_and_hints_at_another_name(mock: Running) -> None:
    for model, hint in (("mock-1", ""), ("other", "lacks this name")):
        found = {one.name: one for one in await check(settings_at(mock, model))}
        assert found[f"model {model}"].ok
        assert hint in found[f"model {model}"].fix


# --- servers with a tiny model of random weights


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    subprocess.run([installed("transformers/bin/python"), HERE / "tiny_llama.py", folder], check=True)
    return folder


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    subprocess.run([installed("llama-cpp/bin/python"), HERE / "tiny_gguf.py", file], check=True)
    return file


@pytest.fixture(params=["transformers", "llama-cpp"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Running, str]]:
    """Yield a server and the name of its model."""
    port = free_port()
    if request.param == "transformers":
        model = str(request.getfixturevalue("tiny_model"))
        program = installed("transformers/bin/transformers")
        arguments = [program, "serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", model]
    else:
        model = "tiny.gguf"
        arguments = [installed("llama-cpp/bin/python"), "-m", "llama_cpp.server", "--port", str(port)]
        file = str(request.getfixturevalue("tiny_file"))
        arguments += ["--model", file, "--n_ctx", "2048", "--chat_format", "chatml"]
    async with running(tmp_path / "server", arguments, port=port, ready="/v1/models") as it:
        yield it, model


async def test_a_server_of_its_own_writes_an_answer_that_is_metered(server: tuple[Running, str]) -> None:
    at, model = server
    llm = llm_at(at, model)
    asked = await ask(llm, prompt(max_tokens=24))
    again = await ask(llm, prompt(max_tokens=24))
    await llm.aclose()
    for one in (asked, again):
        assert one.error is None, at.logged()
        assert [ended.reason for ended in one.ended] in (["cut"], ["complete"]), "random weights end at random"
        assert one.calls[0].status == "ok"
        assert 0 < one.calls[0].usage.completion_tokens <= 24
        assert one.calls[0].usage.prompt_tokens > 20


async def test_the_doctor_is_content_with_the_server(server: tuple[Running, str]) -> None:
    at, model = server
    found = {one.name: one for one in await check(settings_at(at, model))}
    assert found[f"model {model}"].ok, found
    assert "this check used" in found[f"model {model}"].detail


async def test_an_address_without_v1_is_told(server: tuple[Running, str]) -> None:
    at, model = server
    llm = llm_at(at, model, path="")
    asked = await ask(llm)
    await llm.aclose()
    assert asked.error is not None
    assert asked.error.kind == "address"
    assert "usually ends in /v1" in str(asked.error)


async def test_stopping_frees_the_server_for_the_next_question(server: tuple[Running, str]) -> None:
    at, model = server
    llm = llm_at(at, model)
    stream = llm.stream(prompt(max_tokens=1500), meter=lambda _: None)
    await anext(stream)
    await stream.aclose()
    async with asyncio.timeout(120):
        assert (await ask(llm, prompt(max_tokens=4))).error is None
    await llm.aclose()


async def test_a_prompt_over_the_context_of_llama_cpp_names_its_limit(tiny_file: Path, tmp_path: Path) -> None:
    port = free_port()
    arguments = [installed("llama-cpp/bin/python"), "-m", "llama_cpp.server", "--port", str(port)]
    arguments += ["--model", str(tiny_file), "--n_ctx", "2048", "--chat_format", "chatml"]
    async with running(tmp_path / "server", arguments, port=port, ready="/v1/models") as at:
        llm = llm_at(at, "tiny.gguf")
        asked = await ask(llm, prompt("how long is a journey? " * 200))
        await llm.aclose()
    assert isinstance(asked.error, ContextTooLong), asked.error
    assert asked.error.limit == 2048
    assert asked.error.counted is not None
    assert asked.error.counted > 4000
