"""The passages are quoted when no model can answer, and only then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from bot.engine.ports.llm import Ended, Event, Meter, Prompt, TextDelta
from bot.errors import ContextTooLong, LLMError
from bot.llm.quoting.extractive import NAME
from bot.llm.quoting.quoting_fallback import QuotingFallback
from bot.llm.tokens import TokenCounter
from bot.llm.user_messages import NO_USABLE_MODEL_INTRO, OUTAGE_INTRO, QUOTED_INSTEAD
from bot.types.usage import Purpose, Tier, Usage
from tests.llm.llm_requests import ask, passage, prompt

LEAVE = passage("Everybody has thirty days of leave a year.")
CURE = "Anthropic rejected the key (401). Check ANTHROPIC_API_KEY."


@dataclass
class Models:
    """Models that write some text and fail."""

    error: LLMError
    before: Sequence[str] = ()
    closed: list[str] = field(default_factory=list)

    def model(self, tier: Tier) -> str:
        return f"model-{tier}"

    async def ready(self) -> None:
        return None

    async def count(self, prompt: Prompt) -> int | None:
        return 7

    async def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncGenerator[Event, None]:
        for piece in self.before:
            yield TextDelta(piece)
        raise self.error

    async def aclose(self) -> None:
        self.closed.append("closed")


def quoting(error: LLMError, *before: str) -> QuotingFallback:
    return QuotingFallback(Models(error, before), TokenCounter())


PASSING = ("exhausted", "empty", "thought", "request", "too_large")
LASTING = ("address", "auth", "quota", "model", "setting", "setup", "web_page")
INTRODUCED = [(kind, OUTAGE_INTRO) for kind in PASSING] + [(kind, NO_USABLE_MODEL_INTRO) for kind in LASTING]


@pytest.mark.parametrize(("kind", "intro"), INTRODUCED)
async def test_an_answer_quotes_when_no_model_can_write_it(
    kind: str, intro: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = await ask(quoting(LLMError(CURE, kind=kind), "Half a "), prompt("How many days?", passages=[LEAVE]))
    assert asked.error is None
    assert asked.restarts == [QUOTED_INSTEAD]
    assert asked.text == f"{intro}\n\n“Everybody has thirty days of leave a year.” [1]"
    assert asked.ended == [Ended("complete", NAME, NAME, outage=CURE)]
    assert CURE in caplog.text
    [call] = asked.calls
    assert (call.model, call.usage, call.cost_usd, call.status) == (NAME, Usage(), Decimal(0), "ok")


@pytest.mark.parametrize(
    "error", [ContextTooLong("Ask a shorter question.", kind="context"), LLMError("No images.", kind="images")]
)
async def test_what_the_asker_can_change_is_told(error: LLMError) -> None:
    asked = await ask(quoting(error), prompt("How many days?", passages=[LEAVE]))
    assert asked.error is error
    assert asked.text == ""


@pytest.mark.parametrize("purpose", ["rewrite", "summary", "route", "judge"])
async def test_only_answers_are_quoted(purpose: Purpose) -> None:
    error = LLMError(CURE, kind="auth")
    asked = await ask(quoting(error), prompt("How many days?", passages=[LEAVE], purpose=purpose))
    assert asked.error is error
    assert asked.text == ""
    assert asked.calls == []


async def test_a_stop_is_no_outage() -> None:
    class Slow(Models):
        async def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncGenerator[Event, None]:
            yield TextDelta("Half")
            await asyncio.Event().wait()

    llm = QuotingFallback(Slow(LLMError("")), TokenCounter())
    task = asyncio.create_task(ask(llm))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_everything_else_is_the_models() -> None:
    models = Models(LLMError(""))
    llm = QuotingFallback(models, TokenCounter())
    assert (llm.model("strong"), await llm.count(prompt())) == ("model-strong", 7)
    await llm.aclose()
    assert models.closed == ["closed"]
