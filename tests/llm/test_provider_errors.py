"""The fault matrix of providers over real sockets with the real SDKs: what the person sees, and what it costs.

Two providers; the first one fails. Rows that concern one provider alone run with that one only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest

from bot.engine.ports.llm import Restarted
from bot.errors import ContextTooLong
from bot.llm.providers.provider_call import Timeouts
from bot.llm.resilient import ResilientLLM
from bot.types.usage import Call
from tests.doubles.models import ModelDouble, Reply, Seen, closed_port
from tests.doubles.models_billing import ProviderName
from tests.llm.llm_requests import ANSWER, Adapter, Asked, anthropic, ask, openai, prompt

GOOD = Reply("The other one answers. [1]")
QUICK = Timeouts(first_token=0.8, idle=0.5, total=8.0)


@dataclass
class Pair:
    """Two providers behind one ResilientLLM; ``first`` is the first one."""

    double: ModelDouble
    first: ProviderName
    slept: list[float] = field(default_factory=list)
    made: list[Adapter] = field(default_factory=list)

    def llm(self, timeouts: Timeouts = QUICK, *, alone: bool = False, first_url: str | None = None) -> ResilientLLM:
        one, other = (anthropic, openai) if self.first == "anthropic" else (openai, anthropic)
        first: Adapter = one(self.double, url=first_url)
        second: Adapter = other(self.double)
        self.made += [first, second]
        chain = [first] if alone else [first, second]
        return ResilientLLM(
            {"cheap": chain, "strong": chain}, timeouts, clock=self._clock, sleep=self._sleep, rand=lambda: 0.5
        )

    def _clock(self) -> float:
        return time.monotonic() + sum(self.slept)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def fails(self, *replies: Reply) -> Callable[[Seen], Reply]:
        """Return a script: the first provider gives these replies and repeats the last; the other one answers."""
        told = iter(replies)
        last = replies[-1]

        def script(seen: Seen) -> Reply:
            return next(told, last) if seen.provider == self.first else GOOD

        return script

    def asked_of(self, provider: str) -> int:
        return len([seen for seen in self.double.requests if seen.provider == provider])


@pytest.fixture(params=["anthropic", "openai"])
async def pair(request: pytest.FixtureRequest, double: ModelDouble) -> AsyncIterator[Pair]:
    pair = Pair(double, request.param)
    yield pair
    for adapter in pair.made:
        await adapter.aclose()


def _answered_by_the_other(asked: Asked, pair: Pair) -> None:
    assert asked.error is None
    assert asked.text == GOOD.text
    assert [ended.provider for ended in asked.ended] != [pair.first]
    assert len(asked.ended) == 1
    assert asked.calls[-1].status == "ok"
    assert all(call.status == "error" for call in asked.calls[:-1])
    assert asked.restarts


# --- rows 1 to 9: the asker notices nothing


async def test_row_1_connection_refused(pair: Pair) -> None:
    pair.double.script = lambda _: GOOD
    url = f"http://127.0.0.1:{closed_port()}"
    asked = await ask(pair.llm(first_url=url))
    _answered_by_the_other(asked, pair)
    assert asked.calls[0].usage.total_tokens == 0
    assert asked.calls[0].error == "connection"


async def test_row_1_no_such_host(pair: Pair) -> None:
    pair.double.script = lambda _: GOOD
    _answered_by_the_other(await ask(pair.llm(first_url="http://no-such-host.invalid")), pair)


async def test_row_1_tls_to_a_plain_port(pair: Pair) -> None:
    pair.double.script = lambda _: GOOD
    url = pair.double.anthropic_url.replace("http://", "https://")
    _answered_by_the_other(await ask(pair.llm(first_url=url)), pair)


async def test_row_2_a_short_retry_after_is_waited_for(pair: Pair) -> None:
    pair.double.script = pair.fails(Reply(fault="status", status=429, retry_after="2"), Reply("Second try."))
    asked = await ask(pair.llm(alone=True))
    assert (asked.text, pair.slept) == ("Second try.", [2.0])


async def test_row_2_a_long_retry_after_goes_to_the_other(pair: Pair) -> None:
    pair.double.script = pair.fails(Reply(fault="status", status=429, retry_after="40"))
    _answered_by_the_other(await ask(pair.llm()), pair)
    assert pair.slept == []


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 529])
async def test_rows_3_and_4_one_bad_answer_is_asked_again(pair: Pair, status: int) -> None:
    pair.double.script = pair.fails(Reply(fault="status", status=status), Reply("Second try."))
    asked = await ask(pair.llm())
    assert asked.text == "Second try."
    assert [call.status for call in asked.calls] == ["error", "ok"]
    assert asked.calls[0].usage.total_tokens == 0
    assert pair.asked_of(pair.first) == 2


@pytest.mark.parametrize("status", [500, 529])
async def test_rows_3_and_4_it_stays_bad(pair: Pair, status: int) -> None:
    pair.double.script = pair.fails(Reply(fault="status", status=status))
    _answered_by_the_other(await ask(pair.llm()), pair)
    assert pair.asked_of(pair.first) == 2


async def test_row_5_error_event_before_text(pair: Pair) -> None:
    pair.double.script = pair.fails(Reply(ANSWER, fault="error_event", after=0))
    _answered_by_the_other(await ask(pair.llm()), pair)


@pytest.mark.parametrize("fault", ["deaf", "silence"])
async def test_row_6_silence_before_the_first_token(pair: Pair, fault: str) -> None:
    pair.double.script = pair.fails(Reply(ANSWER, fault="deaf" if fault == "deaf" else "silence"))
    asked = await ask(pair.llm())
    _answered_by_the_other(asked, pair)
    assert pair.asked_of(pair.first) == 1
    assert asked.calls[0].error == "stalled (first_token)"
    assert asked.calls[0].estimated
    assert asked.calls[0].usage.input_tokens > 0


@pytest.mark.parametrize(
    ("status", "kind"), [(404, "model (404)"), (401, "auth (401)"), (403, "auth (403)"), (402, "quota (402)")]
)
async def test_rows_7_to_9_are_told_to_the_operator_and_not_retried(
    pair: Pair, status: int, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    pair.double.script = pair.fails(Reply(fault="status", status=status))
    asked = await ask(pair.llm())
    _answered_by_the_other(asked, pair)
    assert pair.asked_of(pair.first) == 1
    assert asked.calls[0].error == kind
    assert caplog.records[0].levelname == "ERROR"


async def test_row_9_quota_spent_is_no_rate_limit(pair: Pair) -> None:
    spent = {"error": {"type": "insufficient_quota", "code": "insufficient_quota", "message": "You exceeded"}}
    poor = {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}}
    reply = Reply(fault="status", status=429, error=spent)
    if pair.first == "anthropic":
        reply = Reply(fault="status", status=400, error=poor)
    pair.double.script = pair.fails(reply)
    asked = await ask(pair.llm())
    _answered_by_the_other(asked, pair)
    assert asked.calls[0].error.startswith("quota")
    assert pair.asked_of(pair.first) == 1


# --- rows 11 to 16: the draft is overwritten


@pytest.mark.parametrize("after", [1, 3, 99])
@pytest.mark.parametrize("fault", ["error_event", "stall", "reset", "hang_up", "broken_json", "broken_utf8"])
async def test_rows_11_to_15_in_mid_text(pair: Pair, fault: str, after: int) -> None:
    broken: Reply = Reply(ANSWER, fault=fault, after=after)  # type: ignore[arg-type]
    pair.double.script = pair.fails(broken, Reply("Second try."))
    asked = await ask(pair.llm(Timeouts(first_token=1.0, idle=0.3, total=8.0)))
    assert asked.error is None
    assert asked.text in ("Second try.", GOOD.text)
    assert len(asked.ended) == 1
    first = asked.calls[0]
    assert (first.status, first.estimated) == ("error", True)
    assert first.usage.prompt_tokens > 0
    assert first.usage.completion_tokens > 0
    restart = next(at for at, event in enumerate(asked.events) if isinstance(event, Restarted))
    assert restart >= min(after, 7)


@pytest.mark.parametrize("fault", ["pings", "thinking"])
async def test_row_16_signs_of_life_are_no_text(pair: Pair, fault: str) -> None:
    alive: Reply = Reply(ANSWER, fault=fault)  # type: ignore[arg-type]
    pair.double.script = pair.fails(alive)
    asked = await ask(pair.llm())
    _answered_by_the_other(asked, pair)
    await asyncio.wait_for(pair.double.requests[0].closed.wait(), 60)


# --- rows 17 to 24: the asker sees a note or an error


async def test_row_17_cut_by_max_tokens_is_not_asked_again(pair: Pair) -> None:
    pair.double.script = lambda _: Reply("word " * 300)
    asked = await ask(pair.llm(), prompt(max_tokens=60))
    assert [ended.reason for ended in asked.ended] == ["cut"]
    assert len(asked.calls) == 1


@pytest.mark.parametrize("text", ["", "I cannot"])
async def test_row_18_a_refusal_is_not_asked_again(pair: Pair, text: str) -> None:
    pair.double.script = lambda _: Reply(text, stop="refused")
    asked = await ask(pair.llm())
    assert [ended.reason for ended in asked.ended] == ["refused"]
    assert len(asked.calls) == 1


async def test_row_19_context_too_long_goes_through(pair: Pair) -> None:
    pair.double.context_limit = 50
    asked = await ask(pair.llm(), prompt("word " * 100))
    assert isinstance(asked.error, ContextTooLong)
    assert len(asked.calls) == 1


async def test_row_20_empty_is_asked_once_again(pair: Pair) -> None:
    pair.double.script = pair.fails(Reply(""), Reply("Now then."))
    asked = await ask(pair.llm())
    assert asked.text == "Now then."
    assert len(asked.calls) == 2


async def test_row_20_empty_twice_is_a_sentence(pair: Pair) -> None:
    pair.double.script = lambda _: Reply(" \n")
    asked = await ask(pair.llm())
    assert asked.error is not None
    assert asked.error.kind == "empty"
    assert "Ask again" in str(asked.error)
    assert len(asked.calls) == 2


async def test_row_20_all_tokens_spent_before_any_text(pair: Pair) -> None:
    pair.double.script = pair.fails(Reply("", stop="cut"))
    asked = await ask(pair.llm(alone=True))
    assert asked.error is not None
    assert "Increase PARLEY_ANSWER_TOKENS" in str(asked.error)
    assert len(asked.calls) == 1


async def test_row_22_a_drip_past_the_deadline_is_marked_as_cut(pair: Pair) -> None:
    pair.double.script = lambda _: Reply(ANSWER * 20, pause=0.03)
    asked = await ask(pair.llm(Timeouts(first_token=1.0, idle=0.5, total=0.6)))
    assert asked.text
    assert (ANSWER * 20).startswith(asked.text)
    assert [ended.reason for ended in asked.ended] == ["cut"]
    [call] = asked.calls
    assert (call.status, call.error, call.estimated) == ("error", "stalled (total)", True)
    assert call.usage.completion_tokens > 0
    await asyncio.wait_for(pair.double.requests[0].closed.wait(), 60)


async def test_row_23_every_provider_down(pair: Pair) -> None:
    pair.double.script = lambda _: Reply(fault="status", status=529)
    asked = await ask(pair.llm())
    assert asked.error is not None
    assert asked.error.retryable
    assert "No model could answer" in str(asked.error)
    assert "Nothing was charged. Try again in a minute." in str(asked.error)
    assert asked.ended == []
    assert sum(call.usage.total_tokens for call in asked.calls) == 0
    assert pair.double.bill == []


async def test_row_23_does_not_say_free_when_text_had_come(pair: Pair) -> None:
    pair.double.script = lambda _: Reply(ANSWER, fault="reset", after=2)
    asked = await ask(pair.llm())
    assert asked.error is not None
    assert "charged" not in str(asked.error)
    assert sum(call.usage.completion_tokens for call in asked.calls) > 0


async def test_row_24_unknown_events(pair: Pair) -> None:
    pair.double.script = lambda _: Reply(ANSWER, fault="unknown_events")
    asked = await ask(pair.llm())
    assert (asked.text, len(asked.calls)) == (ANSWER, 1)


async def test_a_web_page_names_the_setting(pair: Pair) -> None:
    for status in (200, 404):
        pair.double.script = lambda _, status=status: Reply(fault="html", status=status)  # type: ignore[misc]
        asked = await ask(pair.llm(alone=True))
        assert asked.error is not None
        assert asked.error.kind == "web_page"
        assert f"Check {pair.first.upper()}_BASE_URL" in str(asked.error)
        assert asked.calls[0].usage.total_tokens == 0


async def test_a_response_of_another_server_is_asked_for_once_and_costs_nothing(pair: Pair) -> None:
    pair.double.script = lambda _: Reply(fault="untyped_html")
    asked = await ask(pair.llm(alone=True))
    assert asked.error is not None
    assert (asked.error.kind, pair.asked_of(pair.first)) == ("web_page", 1)
    assert [call.usage.total_tokens for call in asked.calls] == [0]


@pytest.mark.parametrize(("second_status", "needs_admin"), [(401, True), (500, False)])
async def test_only_a_setup_that_is_wrong_for_all_providers_needs_an_admin(
    pair: Pair, second_status: int, *, needs_admin: bool
) -> None:
    pair.double.script = lambda seen: Reply(
        fault="status", status=404 if seen.provider == pair.first else second_status
    )
    asked = await ask(pair.llm())
    assert asked.error is not None
    assert (asked.error.needs_admin, asked.error.retryable) == (needs_admin, not needs_admin)


async def test_a_wrong_key_alone_names_the_setting_and_hides_the_key(pair: Pair) -> None:
    make = anthropic if pair.first == "anthropic" else openai
    adapter: Adapter = make(pair.double, key="sk-wrong-secret")
    pair.made.append(adapter)
    llm = ResilientLLM({"cheap": [adapter], "strong": [adapter]}, QUICK)
    asked = await ask(llm)
    assert asked.error is not None
    assert not asked.error.retryable
    assert f"{pair.first.upper()}_API_KEY" in str(asked.error)
    assert "secret" not in str(asked.error)


async def test_stopping_in_mid_text_stops_the_provider_and_no_other_is_asked(pair: Pair) -> None:
    pair.double.script = lambda _: Reply(ANSWER * 50, pause=0.01)
    calls: list[Call] = []
    async with aclosing(pair.llm().stream(prompt(), meter=calls.append)) as events:
        async for _ in events:
            break
    await asyncio.wait_for(pair.double.requests[0].closed.wait(), 60)
    assert [(call.status, call.estimated) for call in calls] == [("cancelled", True)]
    assert len(pair.double.requests) == 1


async def test_ledger_equals_bill_through_faults(pair: Pair) -> None:
    """A successful call equals the bill; every other billed call is in the ledger, estimated, and not too low."""
    plan = [
        Reply(ANSWER),
        Reply(fault="status", status=500),
        Reply(ANSWER, fault="reset", after=3),
        Reply(ANSWER, stop="cut"),
        Reply(ANSWER, fault="hang_up", after=2),
        Reply(ANSWER, fault="error_event", after=4),
        Reply(ANSWER, shred=True),
    ]
    replies = iter(plan * 3)
    pair.double.script = lambda _: next(replies, GOOD)
    llm = pair.llm()
    calls: list[Call] = []
    for number in range(10):
        system = "You answer questions of the team from its documents. " * 80
        calls += (await ask(llm, prompt(f"Question {number}", system=system))).calls
    exact = [call for call in calls if call.status == "ok"]
    billed = [line for line in pair.double.bill if line.complete]
    assert not any(call.estimated for call in exact)
    assert [call.usage.prompt_tokens for call in exact] == [line.prompt.total for line in billed]
    assert [call.usage.cached_tokens for call in exact] == [line.prompt.read for line in billed]
    assert [call.usage.completion_tokens for call in exact] == [line.output for line in billed]
    assert [call.cost_usd for call in exact] == [line.usd for line in billed]
    broken = [call for call in calls if call.status == "error" and call.usage.total_tokens]
    assert all(call.estimated for call in broken)
    assert len(broken) >= len([line for line in pair.double.bill if not line.complete])
