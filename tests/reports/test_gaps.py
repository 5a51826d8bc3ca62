"""Questions without a good answer are grouped by subject, counted by asker, and named by their words."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert

from bot.reports import gaps as gaps_report
from bot.reports.gaps import OFTEN, SAME_SUBJECT, Gap, Vectors, gaps, grouped, labelled
from bot.store.database.session import Database
from bot.store.schema import feedback, threads, turns
from knowledge.ingest import Ingestor
from knowledge.packaged_models import OFFLINE_MODEL
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown
from tests.reports.test_slo import NOW, TENANT, THREAD, turn

SUBJECTS = ("parking", "canteen", "hotel")


async def by_subject(texts: Sequence[str]) -> Vectors:
    """Return a vector that points to the subject that a text names."""
    return np.array([[float(subject in text) for subject in SUBJECTS] for text in texts], dtype=np.float32)


def asked(number: int, question: str, *, source: str | None = None, **trace: Any) -> dict[str, Any]:
    passages = [{"source": source}] if source else []
    row = turn(number, None, question=question, user_id=f"U{number % 2}")
    return row | {
        "trace": {"unanswered": False, "confidence": 0.9, "passages": passages, **trace},
        "withdrawn_at": None,
    }


async def test_what_is_missing_is_grouped(database: Database) -> None:
    old = markdown("old.md", "# Hotels\n\nThis policy is superseded.\n\nThe hotel limit is 160 EUR.")
    await Ingestor(database.tenant, WordEmbedder()).ingest([ListSource("list", old)], tenant_id=TENANT)
    rows = [
        asked(1, "Where is the parking garage?", unanswered=True),
        asked(2, "Is parking free?", unanswered=True),
        asked(3, "Who pays for parking?", unanswered=True),
        asked(9, "Is parking free?", unanswered=True),
        asked(4, "What does the canteen cost?", confidence=0.0),
        asked(5, "What is the hotel limit?", source="old.md"),
        # Good answers, withdrawn questions and those of last month do not count.
        asked(6, "Is the canteen open?"),
        asked(7, "Is the canteen nice?", unanswered=True) | {"withdrawn_at": NOW},
        asked(8, "Is the canteen new?", unanswered=True) | {"created_at": NOW - timedelta(days=30)},
    ]
    async with database.tenant(TENANT) as session:
        await session.execute(insert(threads), [THREAD])
        await session.execute(insert(turns), rows)
        thumb = {"tenant_id": TENANT, "turn_id": uuid.UUID(int=5 << 96), "user_id": "U9", "value": -1, "reason": "old"}
        await session.execute(insert(feedback), [thumb])
        found = await gaps(
            session, tenant_id=TENANT, start=NOW - timedelta(days=7), encode=by_subject, model=OFFLINE_MODEL
        )
    assert [(gap.askers, gap.best_source, gap.stale) for gap in found] == [
        (2, None, False),
        (1, None, False),
        (1, "old.md", True),
    ]
    assert set(found[0].questions) == {"Where is the parking garage?", "Is parking free?", "Who pays for parking?"}
    assert "parking" in found[0].label
    assert found[0].times == 4
    assert found[2].as_json() == {
        "label": found[2].label,
        "questions": ["What is the hotel limit?"],
        "times": 1,
        "askers": 1,
        "best_source": "old.md",
        "stale": True,
        "why": {"down": 1},
    }


CITED = [{"n": 1, "source": "hotels.md", "title": "Hotels", "quote": "In Oslo it is 180 EUR."}]


@pytest.mark.parametrize(
    ("number", "question", "citations", "trace", "is_gap"),
    [
        (2, "And the hotel in Oslo?", CITED, {}, False),
        (2, "And the hotel in Oslo?", [], {}, True),
        (2, "And the hotel in Oslo?", CITED, {"unanswered": True}, True),
        (2, "Who approves the invoices of a hotel in Oslo?", CITED, {}, True),
        (1, "And the hotel in Oslo?", CITED, {}, True),
    ],
)
async def test_a_follow_up_that_was_answered_with_a_source_is_no_gap_for_its_low_confidence(
    database: Database, number: int, question: str, citations: list[Any], trace: dict[str, Any], is_gap: bool
) -> None:
    """A question that leaves out what its thread says has a low confidence even if its passages contain the answer."""
    first = [asked(1, "What may a hotel in Lisbon cost?")] if number > 1 else []
    follow_up = asked(number, question, confidence=0.0, **trace) | {"citations": citations}
    async with database.tenant(TENANT) as session:
        await session.execute(insert(threads), [THREAD])
        for row in (*first, follow_up):
            await session.execute(insert(turns), [row])
        found = await gaps(
            session, tenant_id=TENANT, start=NOW - timedelta(days=7), encode=by_subject, model=OFFLINE_MODEL
        )
    assert [gap.questions for gap in found] == ([(question,)] if is_gap else [])


async def test_what_is_answered_but_asked_often_stands_last(database: Database) -> None:
    often = [asked(number, "What is the hotel limit?", source="hotels.md") for number in range(1, 1 + 2 * OFTEN)]
    rows = [*often, asked(99, "Is parking free?", unanswered=True)]
    async with database.tenant(TENANT) as session:
        await session.execute(insert(threads), [THREAD])
        await session.execute(insert(turns), rows)
        found = await gaps(
            session, tenant_id=TENANT, start=NOW - timedelta(days=7), encode=by_subject, model=OFFLINE_MODEL
        )
    assert [(gap.times, dict(gap.why)) for gap in found] == [
        (1, {"unanswered": 1}),
        (2 * OFTEN, {"repeated": 2 * OFTEN}),
    ]


async def test_without_questions_there_is_no_gap(database: Database) -> None:
    async with database.tenant(TENANT) as session:
        found: list[Gap] = await gaps(session, tenant_id=TENANT, start=NOW, encode=by_subject, model=OFFLINE_MODEL)
    assert found == []


def test_a_question_joins_the_nearest_group_only() -> None:
    vectors = np.array([[1, 0], [0.9, 0.436], [0, 1], [0.5, 0.866]], dtype=np.float32)
    assert grouped(vectors, OFFLINE_MODEL) == [[0, 1], [2, 3]]


def grouped_one_by_one(vectors: Vectors) -> list[list[int]]:
    """Return the same groups by the definition: each vector is compared with the sum of each group."""
    groups: list[list[int]] = []
    for place, vector in enumerate(vectors):
        totals = [vectors[group].sum(axis=0) for group in groups]
        cosines = [float(total @ vector) / (float(np.linalg.norm(total)) or 1.0) for total in totals]
        best = max(range(len(groups)), key=cosines.__getitem__, default=-1)
        if best >= 0 and cosines[best] >= SAME_SUBJECT:
            groups[best].append(place)
        else:
            groups.append([place])
    return groups


@pytest.mark.parametrize("noise", [0.3, 0.8, 2.0])
def test_groups_are_those_of_comparing_one_by_one(noise: float) -> None:
    random = np.random.default_rng(7)
    subjects = random.normal(size=(12, 16))
    vectors = subjects[random.integers(0, 12, 150)] + noise * random.normal(size=(150, 16))
    unit = np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
    unit[5] = 0
    found = grouped(unit, OFFLINE_MODEL)
    assert found == grouped_one_by_one(unit)
    assert 1 < len(found) < len(unit)


async def test_the_event_loop_goes_on_while_questions_are_grouped(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads_of: list[threading.Thread] = []

    def noted(vectors: Vectors, model: str) -> list[list[int]]:
        threads_of.append(threading.current_thread())
        return grouped(vectors, model)

    monkeypatch.setattr(gaps_report, "grouped", noted)
    async with database.tenant(TENANT) as session:
        await session.execute(insert(threads), [THREAD])
        await session.execute(insert(turns), [asked(1, "Is parking free?", unanswered=True)])
        found = await gaps(
            session, tenant_id=TENANT, start=NOW - timedelta(days=7), encode=by_subject, model=OFFLINE_MODEL
        )
    assert [gap.times for gap in found] == [1]
    assert len(threads_of) == 1
    assert threads_of[0] is not threading.current_thread()


def test_labels_are_the_words_that_tell_groups_apart() -> None:
    assert labelled([["Where is the garage?", "Which garage is free?"], ["Where is the Canteen?"]]) == [
        "garage free",
        "canteen",
    ]
    assert labelled([["???"]]) == [""]
