"""A branch of a conversation has copies of its questions: every report counts each question once."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert, select, update

from bot import reports
from bot.llm.prices import Prices
from bot.platforms.web.question_branches import StoredBranches
from bot.reports import (
    activity,
    answer_sources,
    contradictions,
    costs,
    feedback,
    feedback_cases,
    gaps,
    questions,
    slo,
    unprompted_answers,
)
from bot.store.database.session import Database
from bot.store.schema import feedback as ratings
from bot.store.schema import ledger, turns
from bot.store.schema.conversations import COPIED
from bot.types.conversation import LOCAL_TENANT
from knowledge.ingest import Ingestor
from knowledge.packaged_models import OFFLINE_MODEL
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown
from tests.reports.test_costs import call
from tests.web.client import THREAD
from tests.web.test_conversation_pages import store_turns

LONG_AGO, LATER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
BRANCH = "branch-0001"
OF_ONE_TURN = {"recent_calls", "trace"}
"""Reports of single calls and of one answer: nothing is counted."""
SENTENCES = {
    "anchors.md": "The anchor weighs 7 kg.",
    "berlin.md": "The hotel limit is 150 EUR.",
    "lisbon.md": "The hotel limit is 180 EUR.",
}


async def alike(texts: Sequence[str]) -> gaps.Vectors:
    """Return one vector for all texts, so that all are about one subject."""
    return np.ones((len(texts), 1), np.float32)


async def every_report(database: Database) -> dict[str, Any]:
    """Return what each report says, by the name of its module."""
    where: Any = {"tenant_id": LOCAL_TENANT, "start": LONG_AGO}
    prices = Prices()
    async with database.tenant(LOCAL_TENANT) as session:
        found = await questions.search(session, tenant_id=LOCAL_TENANT, reader="you", start=LONG_AGO, before=LATER)
        return {
            "activity": (
                [tuple(row) for row in await activity.people(session, **where)],
                await activity.citations(session, **where),
            ),
            "answer_sources": await answer_sources.answer_sources(session, **where, prices=prices),
            "contradictions": await contradictions.contradictions(session, **where, encode=alike, model=OFFLINE_MODEL),
            "costs": await costs.savings(session, **where, prices=prices, strong_model="claude-opus-5"),
            "feedback": await feedback.count_ratings(session, **where),
            "feedback_cases": await feedback_cases.cases(session, **where),
            "gaps": await gaps.gaps(session, **where, encode=alike, model=OFFLINE_MODEL),
            "questions": len(found.rows),
            "slo": await slo.objectives(session, **where),
            "unprompted_answers": await unprompted_answers.tally(session, tenant_id=LOCAL_TENANT, since=LONG_AGO),
        }


async def store_questions(database: Database) -> list[str]:
    """Store an unanswered question, one that the cache answered, and two that found a contradiction."""
    documents = [markdown(name, f"# Notes\n\n{sentence}") for name, sentence in SENTENCES.items()]
    await Ingestor(database.tenant, WordEmbedder()).ingest([ListSource("list", *documents)], tenant_id=LOCAL_TENANT)
    ids = await store_turns(database, THREAD, 4)
    anchors, *hotels = [{"source": name, "text": sentence} for name, sentence in SENTENCES.items()]
    timings = {"total": 5.0, "first": 1.0}
    traces: list[dict[str, Any]] = [
        {"unanswered": True, "passages": [anchors]},
        {"cached_from": ids[3], "passages": []},
        {"passages": hotels},
        {"passages": hotels},
    ]
    async with database.tenant(LOCAL_TENANT) as session:
        for turn_id, trace in zip(ids, traces, strict=True):
            values = {
                "trace": trace | {"timings_ms": timings},
                "cached": "cached_from" in trace,
                "citations": [anchors],
            }
            await session.execute(
                update(turns).where(turns.c.tenant_id == LOCAL_TENANT, turns.c.turn_id == turn_id).values(values)
            )
        await session.execute(insert(ledger), [call(None, tenant_id=LOCAL_TENANT) | {"turn_id": ids[3]}])
    return ids


def test_every_report_about_questions_is_walked() -> None:
    source = {one.name: Path(reports.__path__[0], f"{one.name}.py") for one in pkgutil.iter_modules(reports.__path__)}
    reading = {name for name, path in source.items() if "turns" in path.read_text()} - OF_ONE_TURN
    walked = {name for name in globals() if name in source}
    assert reading - walked == set()


async def test_reports_count_a_question_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contradictions, "MOST_PASSAGES", 2)
    ids = await store_questions(database)
    before = await every_report(database)
    assert all(before[name] for name in ("contradictions", "feedback_cases", "gaps", "questions"))
    assert before["costs"].answer_cache > 0
    assert (before["answer_sources"].cached, before["feedback"].unanswered) == (1, 1)
    assert await StoredBranches(database).begin(ids[2], BRANCH, "x")
    after = await every_report(database)
    assert {name: found for name, found in after.items() if found != before[name]} == {}


async def test_a_rating_of_a_copy_counts(database: Database) -> None:
    ids = await store_questions(database)
    assert await StoredBranches(database).begin(ids[2], BRANCH, "x")
    async with database.tenant(LOCAL_TENANT) as session:
        copies = await session.scalars(select(turns.c.turn_id).where(turns.c.kind == COPIED).order_by(turns.c.seq))
        rating = {"tenant_id": LOCAL_TENANT, "turn_id": copies.all()[1], "user_id": "you", "value": -1, "reason": "old"}
        await session.execute(insert(ratings), [rating])
        counted = await feedback.count_ratings(session, tenant_id=LOCAL_TENANT, start=LONG_AGO)
        cases = await feedback_cases.cases(session, tenant_id=LOCAL_TENANT, start=LONG_AGO)
    assert (counted.down, counted.unanswered) == (1, 1)
    assert sorted(case["kind"] for case in cases) == ["feedback", "unanswered"]
