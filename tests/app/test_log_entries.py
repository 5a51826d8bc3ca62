"""Tests the log entries of turns and model calls, and that nothing that people wrote is in the log."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from bot.app import App
from bot.cli import log_output
from bot.commands.gap_digest import named
from bot.config import Settings
from bot.reports.gaps import Gap
from bot.store.budgets import ledger
from bot.telemetry.log_entries import ENTRIES
from bot.types.conversation import LOCAL_TENANT
from bot.types.turns import Outcome
from tests.app.conftest import ask, open_ingested_app
from tests.doubles.models import ModelDouble, Reply

IDS = {"user_id", "tenant", "channel", "session_id", "request_id"}
OF_RECORD = {"event", "level", "logger", "timestamp"}
OF_CALL = {
    *("model", "provider", "purpose", "prompt_tokens", "cached_tokens", "cache_write_tokens", "completion_tokens"),
    *("reasoning_tokens", "cost_usd", "price_version", "latency_ms", "ttft_ms", "status", "attempt"),
}
OF_TURN = {
    *("accept_ms", "queue_ms", "search_ms", "rerank_ms", "prompt_ms", "first_token_ms", "edits_ms", "total_ms"),
    *("state", "route", "cache", "confidence", "refused"),
}
QUESTION = "What may a hotel in Lisbon cost, says Zebrafinch?"
ANSWER = "A hotel in Lisbon may cost 180 EUR a night [1], quoth the Kookaburra."


class Log:
    """What the process logs as JSON, at the most detailed level."""

    def __init__(self) -> None:
        self.output = io.StringIO()

    @property
    def text(self) -> str:
        return self.output.getvalue()

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def entries(self, event: str) -> list[dict[str, Any]]:
        return [one for one in self.records if one["logger"] == ENTRIES and one["event"] == event]


def logged(monkeypatch: pytest.MonkeyPatch, *, content: bool = False) -> Iterator[Log]:
    root, log = logging.getLogger(), Log()
    handlers, level = root.handlers[:], root.level
    log_output.set_up("DEBUG", as_json=True, content=content)
    # pytest replaces stderr after the fixtures.
    monkeypatch.setattr(log_output.StderrHandler, "stream", log.output)
    yield log
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    yield from logged(monkeypatch)


async def stored_calls(app: App, outcome: Outcome) -> list[Any]:
    async with app.database.tenant(LOCAL_TENANT) as session:
        return await ledger.of_turn(session, tenant_id=LOCAL_TENANT, turn_id=outcome.turn_id)


async def test_a_turn_and_each_of_its_calls_have_one_entry(app_with_models: App, models: ModelDouble, log: Log) -> None:
    replies = iter([Reply(fault="status", status=529)])
    models.script = lambda _: next(replies, Reply(ANSWER))
    outcome = await ask(app_with_models, QUESTION, thread="t7", channel="travel")
    assert outcome.state == "done"
    (turn,), calls = log.entries("turn"), log.entries("model call")
    assert turn.keys() == IDS | OF_RECORD | OF_TURN
    assert [call.keys() for call in calls] == [IDS | OF_RECORD | OF_CALL] * len(calls)
    for entry in (turn, *calls):
        ids = {"user_id": "ann", "tenant": LOCAL_TENANT, "channel": "travel", "session_id": "t7"}
        assert {name: entry[name] for name in IDS} == {**ids, "request_id": outcome.turn_id}
    assert [(call["status"], call["attempt"]) for call in calls] == [("error", 1), ("ok", 2)]
    stored = await stored_calls(app_with_models, outcome)
    assert [(row.status, row.completion_tokens, row.price_version) for row in stored] == [
        (call["status"], call["completion_tokens"], call["price_version"]) for call in calls
    ]
    assert sum(float(row.cost_usd) for row in stored) == pytest.approx(sum(call["cost_usd"] for call in calls))
    assert (turn["state"], turn["route"], turn["cache"], turn["refused"]) == ("done", "cheap", False, False)
    times = [turn[name] for name in OF_TURN if name.endswith("_ms") and name != "rerank_ms"]
    assert min(times) >= 0
    assert turn["total_ms"] >= turn["first_token_ms"] >= turn["search_ms"]


async def test_calls_that_answer_nobody_have_an_entry(app_with_models: App, models: ModelDouble, log: Log) -> None:
    models.script = lambda _: Reply(json.dumps({"names": ["Hotel prices"]}))
    gap = Gap("hotel", ("What may a hotel cost?",), 1, 1, None, False, {})
    assert await named(app_with_models.services, LOCAL_TENANT, "C1", [gap]) == ["Hotel prices"]
    (call,) = log.entries("model call")
    assert (call["purpose"], call["status"]) == ("summary", "ok")
    assert call["cost_usd"] > 0


async def test_calls_for_the_memory_of_a_thread_have_the_ids_of_its_turn(
    both: Settings, handbook: Path, models: ModelDouble, log: Log
) -> None:
    models.script = lambda _: Reply(ANSWER * 20)
    async for app in open_ingested_app(both.model_copy(update={"prompt_tokens": 2000}), handbook):
        outcomes = [await ask(app, f"{QUESTION} {n}") for n in range(6)]
    summaries = [call for call in log.entries("model call") if call["purpose"] == "summary"]
    assert summaries
    assert {call["request_id"] for call in summaries} <= {outcome.turn_id for outcome in outcomes}


async def test_what_people_write_is_not_in_the_log(app_with_models: App, models: ModelDouble, log: Log) -> None:
    models.script = lambda _: Reply(ANSWER)
    await ask(app_with_models, QUESTION)
    models.script = lambda _: Reply(ANSWER, fault="error_event", after=3)
    await ask(app_with_models, f"{QUESTION} Again?")
    assert log.records
    assert "Zebrafinch" not in log.text
    assert "Kookaburra" not in log.text


async def test_rows_and_parameters_of_failed_statements_are_not_in_the_log(app: App, admin_url: str, log: Log) -> None:
    ours = logging.getLogger("bot")
    try:
        async with app.database.tenant(LOCAL_TENANT) as session:
            await session.execute(text("SELECT CAST(:said AS text) / 2"), {"said": QUESTION})
    except ProgrammingError:
        ours.exception("first")
    try:
        with psycopg.connect(admin_url) as connection:
            connection.execute("CREATE TEMPORARY TABLE said (words text, id int NOT NULL)")
            connection.execute("INSERT INTO said VALUES (%s, NULL)", [QUESTION])
    except psycopg.errors.NotNullViolation:
        ours.exception("second")
    first, second = log.records
    assert "hide_parameters" in first["exception"]
    assert log_output.DETAIL_HIDDEN in second["exception"]
    assert "Zebrafinch" not in log.text


async def test_with_content_question_and_answer_are_in_the_entry_and_libraries_log_details(
    both: Settings, handbook: Path, models: ModelDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.script = lambda _: Reply(ANSWER)
    async for app in open_ingested_app(both.model_copy(update={"log_content": True}), handbook):
        for log in logged(monkeypatch, content=True):
            outcome = await ask(app, QUESTION)
            (entry,) = log.entries("turn")
            details = [one for one in log.records if one["logger"].startswith("anthropic") and QUESTION in one["event"]]
    assert (entry["question"], entry["answer"]) == (QUESTION, outcome.answer)
    assert details


async def test_ids_do_not_leak_into_what_follows(app_with_models: App, models: ModelDouble, log: Log) -> None:
    models.script = lambda _: Reply(ANSWER)
    await asyncio.gather(*(ask(app_with_models, QUESTION, thread=f"t{n}", user=f"u{n}") for n in range(5)))
    turns = log.entries("turn")
    assert {(one["session_id"], one["user_id"]) for one in turns} == {(f"t{n}", f"u{n}") for n in range(5)}
    logging.getLogger("bot").warning("afterwards")
    assert not IDS & log.records[-1].keys()
