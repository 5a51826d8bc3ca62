"""A share of the answers is judged by the batch API of another provider, with real SDKs on real sockets."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import aiohttp
import psycopg
import pytest
from pydantic import ValidationError

from bot.app import App
from bot.commands.ask import NullSurface
from bot.config import Settings
from bot.engine.answer import prompt
from bot.errors import LLMError
from bot.jobs.judged_sample import fallen, is_refusal, judge_sample
from bot.llm import build
from bot.llm.batches.batch import BatchId
from bot.llm.batches.batch_anthropic import AnthropicBatch
from bot.store import judgments
from bot.store.budgets import ledger
from bot.store.database.pipelined_transactions import Statement
from bot.store.judgments import JudgedDay
from bot.types.audience import MEMBERS
from bot.types.conversation import LOCAL_TENANT, PRIVATE_THREAD, Author
from bot.types.turns import Outcome
from tests.app.conftest import incoming, key, open_ingested_app
from tests.doubles.models import ModelDouble, Reply, Seen, quoting
from tests.web.serving import served

HOTEL = "What may a hotel in Lisbon cost?"


@pytest.fixture
async def judged(both: Settings, handbook: Path) -> AsyncIterator[App]:
    """Return an app whose answers are written by one provider and judged by the batch API of the other."""
    update = {"judge_share": 1.0, "judge_model": "claude-haiku-5-5"}
    async for app in open_ingested_app(both.model_copy(update=update | WRITERS), handbook):
        yield app


WRITERS = {"cheap_model": "gpt-6-luna", "strong_model": "gpt-6.1-sol"}


async def ask(app: App, question: str, thread: str = "") -> Outcome:
    turn = await app.dispatcher.accept(incoming(question, key(thread or uuid.uuid4().hex)))
    assert turn is not None
    outcome = await app.dispatcher.start(turn, NullSurface())
    await app.dispatcher.settled()
    return outcome


def judging(reply: Reply) -> Callable[[Seen], Reply]:
    return lambda seen: reply if "You check the answers" in seen.system else quoting(seen)


def verdict(score: int) -> Reply:
    return Reply(json.dumps({"reason": "So.", "score": score, "passed": score >= 4}))


def rows(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT state, passed, score, cause FROM judgments ORDER BY created_at").fetchall()


def judge_calls(url: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(*) FROM ledger WHERE purpose = 'judge'").fetchone()
    assert found
    return int(found[0])


async def judge(app: App, models: ModelDouble, url: str) -> list[tuple[object, ...]]:
    """Submit the sample, let the provider work, and fetch the verdicts. Return the judgments."""
    await judge_sample(app.services, LOCAL_TENANT)
    models.batches.work()
    models.batches.end()
    await judge_sample(app.services, LOCAL_TENANT)
    return rows(url)


async def test_answers_are_judged_once_in_a_batch_at_half_the_price(
    judged: App, models: ModelDouble, admin_url: str
) -> None:
    models.script = judging(verdict(5))
    outcome = await ask(judged, HOTEL)
    assert outcome.trace["prompt_version"] == prompt.VERSION
    await ask(judged, "What may a private hotel in Lisbon cost?", f"{PRIVATE_THREAD}1")
    await judge_sample(judged.services, LOCAL_TENANT)
    assert rows(admin_url) == [("waiting", None, None, "")]
    assert await judge(judged, models, admin_url) == [("judged", True, 5.0, "")]
    assert len(models.batches.jobs) == 1
    (job,) = models.batches.jobs
    assert len(job.requests) == 2, "both orders"
    assert "180 EUR" in str(job.requests), "the judge reads the passages"
    with psycopg.connect(admin_url) as connection:
        found = connection.execute(
            "SELECT count(*), min(model), sum(cost_usd) > 0 FROM ledger WHERE purpose = 'judge' AND user_id = 'judge'"
        ).fetchone()
        used = connection.execute("SELECT sum(used) FROM budget_days WHERE subject LIKE '%judge%'").fetchone()
    assert found == (2, "claude-haiku-5-5", True)
    assert used == (None,), "it counts against no budget"


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (Reply("Sounds fine!"), "nonsense"),
        (Reply("No.", stop="refused"), "refused"),
        (Reply(fault="status", status=529), "overloaded"),
        (Reply(json.dumps({"reason": "x", "score": 1, "passed": True})), "contradiction"),
    ],
)
async def test_what_cannot_be_judged_never_passes(
    judged: App, models: ModelDouble, admin_url: str, reply: Reply, cause: str
) -> None:
    models.script = judging(reply)
    await ask(judged, HOTEL)
    assert await judge(judged, models, admin_url) == [("not judged", None, None, cause)]


@pytest.mark.parametrize("is_judged", [False, True])
async def test_an_edited_question_takes_back_the_judgment_of_its_first_answer(
    judged: App, models: ModelDouble, admin_url: str, is_judged: bool
) -> None:
    models.script = judging(verdict(1))
    outcome = await ask(judged, HOTEL)
    await judge_sample(judged.services, LOCAL_TENANT)
    if is_judged:
        assert await judge(judged, models, admin_url) == [("judged", False, 1.0, "")]
    turn = await judged.dispatcher.change(
        outcome.turn_id, Author("ann", "Ann"), "What may a hotel cost?", tenant_id=LOCAL_TENANT, audience=MEMBERS
    )
    assert turn is not None
    await judged.dispatcher.start(turn, NullSurface())
    assert await judge(judged, models, admin_url) == [("not judged", None, None, "changed")]
    assert judge_calls(admin_url) == 2, "the batch was paid, whatever became of its verdicts"


async def test_verdicts_and_their_costs_are_stored_together(
    judged: App, models: ModelDouble, admin_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.script = judging(verdict(5))
    await ask(judged, HOTEL)
    await judge_sample(judged.services, LOCAL_TENANT)
    models.batches.work()
    models.batches.end()

    def broken(*_: object, **__: object) -> tuple[list[uuid.UUID], list[Statement]]:
        return [], [Statement("SELECT 1 / 0")]

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "settled", broken)
        with pytest.raises(psycopg.errors.DivisionByZero):
            await judge_sample(judged.services, LOCAL_TENANT)
    assert rows(admin_url) == [("waiting", None, None, "")]
    assert await judge(judged, models, admin_url) == [("judged", True, 5.0, "")]
    assert judge_calls(admin_url) == 2


async def test_a_batch_that_expires_is_not_judged(judged: App, models: ModelDouble, admin_url: str) -> None:
    models.script = judging(verdict(5))
    await ask(judged, HOTEL)
    await judge_sample(judged.services, LOCAL_TENANT)
    models.batches.end("expired")
    await judge_sample(judged.services, LOCAL_TENANT)
    assert rows(admin_url) == [("not judged", None, None, "expired")]


async def test_a_batch_that_the_provider_rejects_is_not_judged(
    both: Settings, handbook: Path, models: ModelDouble, admin_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.openai_kind = "openai"
    monkeypatch.setattr(build, "is_openai", lambda _url: True)
    update = {"judge_share": 1.0, "judge_model": "gpt-6-luna"}
    async for app in open_ingested_app(both.model_copy(update=update), handbook):
        await ask(app, HOTEL)
        await judge_sample(app.services, LOCAL_TENANT)
        models.batches.end("failed")
        await judge_sample(app.services, LOCAL_TENANT)
        assert rows(admin_url) == [("not judged", None, None, "rejected")]


async def test_a_batch_that_runs_for_days_is_given_up(judged: App, models: ModelDouble, admin_url: str) -> None:
    await ask(judged, HOTEL)
    for age, state in ((1, "waiting"), (2, "not judged")):
        await judge_sample(judged.services, LOCAL_TENANT)
        with psycopg.connect(admin_url) as connection:
            connection.execute("UPDATE judgments SET created_at = now() - make_interval(days => %s, mins => 5)", (age,))
        await judge_sample(judged.services, LOCAL_TENANT)
        assert [row[0] for row in rows(admin_url)] == [state]
    assert len(models.batches.jobs) == 1


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_process_that_dies_while_it_submits_a_batch_does_not_pay_twice(
    judged: App, models: ModelDouble, admin_url: str, monkeypatch: pytest.MonkeyPatch, arrived: bool
) -> None:
    models.script = judging(verdict(5))
    await ask(judged, HOTEL)
    submit = AnthropicBatch.submit

    async def submit_and_die(self: AnthropicBatch, *given: Any, **named: Any) -> BatchId:
        if arrived:
            await submit(self, *given, **named)
        raise asyncio.CancelledError

    with monkeypatch.context() as dying:
        dying.setattr(AnthropicBatch, "submit", submit_and_die)
        with pytest.raises(asyncio.CancelledError):
            await judge_sample(judged.services, LOCAL_TENANT)
    assert [row[0] for row in rows(admin_url)] == ["waiting"]
    await judge_sample(judged.services, LOCAL_TENANT)
    assert len(models.batches.jobs) == arrived, "another process may be submitting it at this moment"
    with psycopg.connect(admin_url) as connection:
        connection.execute("UPDATE judgments SET created_at = now() - interval '1 hour'")
    for state in ("waiting", "judged"):
        await judge_sample(judged.services, LOCAL_TENANT)
        assert [row[0] for row in rows(admin_url)] == [state]
        models.batches.work()
        models.batches.end()
    assert len(models.batches.jobs) == 1
    assert judge_calls(admin_url) == 2


async def test_a_refused_batch_is_submitted_again_and_one_without_response_is_looked_for(
    judged: App, models: ModelDouble, admin_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(judged, HOTEL)
    for error, states in ((LLMError("no key", status=401), []), (LLMError("cut off"), ["waiting"])):
        refusing = AsyncMock(side_effect=error)
        with monkeypatch.context() as patch:
            patch.setattr(AnthropicBatch, "submit", refusing)
            await judge_sample(judged.services, LOCAL_TENANT)
        assert [row[0] for row in rows(admin_url)] == states


@pytest.mark.parametrize("status", [400, 401, 429, 408, 409, 500, None])
def test_only_a_request_that_was_not_carried_out_counts_as_refused(status: int | None) -> None:
    assert is_refusal(LLMError("it failed", status=status)) is (status in (400, 401, 429))


async def test_the_database_returns_only_the_answers_that_are_judged_at_once(judged: App, models: ModelDouble) -> None:
    for question in (HOTEL, "On which day are dogs welcome?", "How many days of leave does everybody have?"):
        await ask(judged, question)
    start = judged.services.clock() - timedelta(days=1)

    async def found(share: float = 1.0, excluded: Sequence[str] = (), most: int = 9) -> list[str]:
        async with judged.database.tenant(LOCAL_TENANT) as session:
            period: Any = {"tenant_id": LOCAL_TENANT, "start": start}
            assert await judgments.answer_models(session, **period) == ["gpt-6-luna"]
            chosen = await judgments.candidates(session, **period, share=share, excluded=excluded, most=most)
        return [one.turn_id for one in chosen]

    every = await found()
    assert len(every) == 3
    assert await found(most=2) == every[:2]
    assert await found(excluded=["gpt-6-luna"]) == []
    shares = {turn: int(hashlib.md5(f"judge {turn}".encode()).hexdigest()[:8], 16) / 2**32 for turn in every}
    for bound in (0.0, 0.5, *shares.values()):
        assert await found(share=bound) == [turn for turn in every if shares[turn] < bound]


async def test_the_judges_own_budget_ends_the_day(
    both: Settings, handbook: Path, models: ModelDouble, admin_url: str
) -> None:
    update = {"judge_share": 1.0, "judge_model": "claude-haiku-5-5", "judge_daily_tokens": 4000} | WRITERS
    async for app in open_ingested_app(both.model_copy(update=update), handbook):
        for question in (HOTEL, "On which day are dogs welcome?", "How many days of leave does everybody have?"):
            await ask(app, question)
        for _ in range(2):
            await judge_sample(app.services, LOCAL_TENANT)
        assert 0 < len(rows(admin_url)) < 3


async def test_answers_of_the_judges_family_and_outside_the_share_are_left_out(
    both: Settings, handbook: Path, models: ModelDouble, admin_url: str
) -> None:
    for update in (
        {"judge_share": 1.0, "judge_model": "claude-sonnet-5-5"},
        {"judge_share": 0.000001, "judge_model": "gpt-6-luna"},
    ):
        async for app in open_ingested_app(both.model_copy(update=update), handbook):
            await ask(app, HOTEL)
            await judge_sample(app.services, LOCAL_TENANT)
            assert rows(admin_url) == []


async def test_a_server_without_a_batch_api_is_asked_at_once(
    both: Settings, handbook: Path, models: ModelDouble, admin_url: str
) -> None:
    models.script = judging(verdict(2))
    update = {"judge_share": 1.0, "judge_model": "gpt-6-luna"}
    async for app in open_ingested_app(both.model_copy(update=update), handbook):
        outcome = await ask(app, HOTEL)
        await judge_sample(app.services, LOCAL_TENANT)
        assert rows(admin_url) == [("judged", False, 2.0, "")]
        async with served(app) as url, aiohttp.ClientSession() as http, http.get(f"{url}/admin/judged") as response:
            page = await response.text()
        assert f"questions/{outcome.turn_id}" in page
        assert HOTEL in page


def test_a_fall_beyond_chance_is_an_alert() -> None:
    today = date(2026, 11, 30)

    def day(ago: int, judged: int, passed: int) -> JudgedDay:
        return JudgedDay(today - timedelta(days=ago), judged, passed, 0, 0)

    alert = fallen([day(20, 100, 95), day(2, 40, 24)], today)
    assert alert is not None
    assert (alert.kind, f"{alert.amount:.2f}", f"{alert.usual:.2f}") == ("pass rate", "0.60", "0.95")
    assert fallen([day(20, 100, 95), day(2, 10, 9)], today) is None, "chance explains it"
    assert fallen([day(20, 100, 60), day(2, 40, 38)], today) is None, "it rose"
    assert fallen([day(2, 40, 0)], today) is None, "there is nothing to compare with"
    assert fallen([], today) is None


async def test_an_alert_is_recorded_once_a_week(judged: App, admin_url: str) -> None:
    with psycopg.connect(admin_url) as connection:
        connection.execute("INSERT INTO tenants (tenant_id, platform) VALUES ('local', 'web') ON CONFLICT DO NOTHING")
        connection.execute("ALTER TABLE judgments DROP CONSTRAINT judgments_tenant_id_turn_id_fkey")
        connection.execute(
            "INSERT INTO judgments (tenant_id, turn_id, model, batch, state, passed, created_at) "
            "SELECT 'local', gen_random_uuid(), 'm', 'b', 'judged', n > 30 OR n % 5 = 0, "
            "now() - make_interval(days => CASE WHEN n > 30 THEN 20 ELSE 1 END) FROM generate_series(1, 130) AS n"
        )
    for _ in range(2):
        await judge_sample(judged.services, LOCAL_TENANT)
    with psycopg.connect(admin_url) as connection:
        assert connection.execute("SELECT kind FROM cost_alerts").fetchall() == [("pass rate",)]


def test_a_share_needs_a_model() -> None:
    with pytest.raises(ValidationError, match="PARLEY_JUDGE_MODEL"):
        Settings(_env_file=None, PARLEY_JUDGE_SHARE=0.1)
