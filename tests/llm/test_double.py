"""The provider double enforces the providers' rules: a request that breaks one is rejected, with the real SDKs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest

from tests.doubles.models import ModelDouble, Reply
from tests.doubles.models_billing import AnthropicCache, Block, Metered, dollars

BASE: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 10,
    "messages": [{"role": "user", "content": "Hello"}],
}


@pytest.fixture
async def client(double: ModelDouble) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        api_key=double.anthropic_key, base_url=double.anthropic_url, max_retries=0
    ) as client:
        yield client


@pytest.fixture
async def other(double: ModelDouble) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key=double.openai_key, base_url=double.openai_url, max_retries=0) as client:
        yield client


def _marked(*ttls: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": f"block {t}", "cache_control": {"type": "ephemeral", "ttl": t}} for t in ttls]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperature": 0.5}, "temperature"),
        ({"top_k": 5}, "top_k"),
        ({"glow": 1}, "Extra inputs"),
        ({"messages": [*BASE["messages"], {"role": "assistant", "content": "It is"}]}, "prefill"),
        ({"messages": [{"role": "user", "content": _marked(*["5m"] * 5)}]}, "maximum of 4"),
        ({"messages": [{"role": "user", "content": _marked("5m", "1h")}]}, "must not come after"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "non-empty"),
        ({"max_tokens": None}, "max_tokens"),
    ],
)
async def test_anthropic_refuses(client: anthropic.AsyncAnthropic, change: dict[str, Any], words: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match=words):
        await client.post("/v1/messages", cast_to=object, body={**BASE, **change})


async def test_keys_and_models(client: anthropic.AsyncAnthropic, other: openai.AsyncOpenAI) -> None:
    with pytest.raises(anthropic.AuthenticationError):
        await client.with_options(api_key="sk-ant-other").messages.create(**BASE)
    with pytest.raises(anthropic.NotFoundError):
        await client.messages.create(**{**BASE, "model": "claude-2"})
    with pytest.raises(openai.AuthenticationError):
        await other.with_options(api_key="sk-other").models.list()
    with pytest.raises(openai.NotFoundError):
        await other.chat.completions.create(model="gpt-2", messages=[{"role": "user", "content": "Hi"}])


async def test_whole_answers_counts_and_lists(
    double: ModelDouble, client: anthropic.AsyncAnthropic, other: openai.AsyncOpenAI
) -> None:
    double.script = lambda _: Reply("Good day.")
    message = await client.messages.create(**BASE)
    counted = await client.messages.count_tokens(model=BASE["model"], messages=BASE["messages"])
    completion = await other.chat.completions.create(
        model="gpt-6-luna", messages=[{"role": "user", "content": "Hello"}]
    )
    assert message.content[0].type == "text"
    assert message.content[0].text == "Good day." == completion.choices[0].message.content
    assert message.usage.input_tokens == counted.input_tokens == double.bill[0].prompt.total
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == double.bill[1].prompt.total
    assert "gpt-6-luna" in {model.id async for model in other.models.list()}
    assert "claude-haiku-5-5" in {model.id async for model in client.models.list()}


async def test_embeddings(double: ModelDouble, other: openai.AsyncOpenAI) -> None:
    texts = ["annual leave days", "days of annual leave", "server rack wiring"]
    answer = await other.embeddings.create(model="text-embedding-3-small", input=texts, dimensions=256)
    a, b, c = (row.embedding for row in answer.data)
    assert len(a) == 256
    assert sum(x * x for x in a) == pytest.approx(1, abs=1e-5)
    assert sum(x * y for x, y in zip(a, b, strict=True)) > sum(x * y for x, y in zip(a, c, strict=True))
    assert double.bill[0].prompt.total == answer.usage.prompt_tokens


async def test_it_quotes_by_default(double: ModelDouble, other: openai.AsyncOpenAI) -> None:
    question = (
        "<passages>\n[1] Handbook › Leave\nEverybody has thirty days of leave. More.\n\n"
        "[2] Travel\nHotels cost up to 150 euros a night.\n</passages>\n\nAda asks: How many?"
    )
    answer = await other.chat.completions.create(model="gpt-6-luna", messages=[{"role": "user", "content": question}])
    assert answer.choices[0].message.content == (
        "Everybody has thirty days of leave. [1]\n\nHotels cost up to 150 euros a night. [2]"
    )


def test_the_cache_looks_back_twenty_blocks() -> None:
    cache = AnthropicCache()
    long = Block("word " * 600, "5m")
    more = [Block(f"m{at}") for at in range(30)]
    assert cache.meter("claude-haiku-5-5", [long], 0).written == long.tokens
    near = [Block(long.text), *more[:18], Block("end", "5m")]
    assert cache.meter("claude-haiku-5-5", near, 1).read == long.tokens
    fresh = AnthropicCache()
    fresh.meter("claude-haiku-5-5", [long], 0)
    far = [Block(long.text), *more[:25], Block("end", "5m")]
    assert fresh.meter("claude-haiku-5-5", far, 1).read == 0


def test_long_writes_and_tiers_have_their_price() -> None:
    cache = AnthropicCache()
    metered = cache.meter("claude-sonnet-5-5", [Block("word " * 600, "1h"), Block("tail " * 600, "5m")], 0)
    assert (metered.written_long, metered.written) == (604, 604)
    small, large = Metered(plain=100_000), Metered(plain=100_001)
    low, high = (dollars("anthropic", "claude-haiku-5-5", m, 0) for m in (small, large))
    assert low is not None
    assert high is not None
    assert high > low * 4
