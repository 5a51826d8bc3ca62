"""Tests that cached answers stay valid while their documents do, and are dropped when a document changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.app import App
from bot.config import Settings
from bot.store.maintenance import look
from bot.types.conversation import LOCAL_TENANT
from knowledge.sources.source_factory import open_source
from tests.app.conftest import ask
from tests.doubles.models import ModelDouble, Reply

QUESTION = "What may a hotel in Lisbon cost?"
OTHER_WORDS = "What may hotels in Lisbon cost?"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Turn off the sampled comparison of cached answers with new ones."""
    return settings.model_copy(update={"cache_shadow": 0.0})


@pytest.fixture(autouse=True)
def answers(models: ModelDouble) -> None:
    models.script = lambda _: Reply("A hotel in Lisbon may cost 180 EUR a night [1].")


async def again(app: App, thread: str, question: str = QUESTION) -> bool:
    return (await ask(app, question, thread, user="ben")).cached


async def reread(app: App, handbook: Path) -> None:
    source = open_source(str(handbook), fetch_allow=(), max_bytes=10**6, files=True)
    assert (await app.ingestor.ingest([source], tenant_id=LOCAL_TENANT)).failed == ()


async def cached_lifetimes(app: App) -> list[timedelta]:
    async with app.database.tenant(LOCAL_TENANT) as session:
        return list(await session.scalars(text("SELECT expires_at - created_at FROM answers")))


async def test_a_cached_answer_survives_an_ingestion_that_does_not_affect_it(
    app_with_models: App, handbook: Path, models: ModelDouble
) -> None:
    for n in range(6):
        (handbook / f"hotels{n}.md").write_text(f"# Hotels {n}\n\nA hotel in Lisbon, number {n}, may cost {n}80 EUR.\n")
    await reread(app_with_models, handbook)
    await ask(app_with_models, QUESTION, "a")
    calls = len(models.requests)
    (handbook / "mangrove.md").write_text("# Mangroves\n\nThe mangrove in the hall is watered on Sundays.\n")
    await reread(app_with_models, handbook)
    assert await again(app_with_models, "b")
    assert await again(app_with_models, "c", OTHER_WORDS)
    assert len(models.requests) == calls
    async with app_with_models.database.tenant(LOCAL_TENANT) as session:
        versions = await session.execute(
            text("SELECT knowledge_version, (SELECT version FROM knowledge_state) FROM answers")
        )
        assert all(one == other for one, other in versions)


async def test_a_cached_answer_is_dropped_when_a_cited_document_changes(app_with_models: App, handbook: Path) -> None:
    await ask(app_with_models, QUESTION, "a")
    page = handbook / "travel.md"
    page.write_text(page.read_text() + "\n## Trains\n\nTrains are booked in the second class by everybody.\n")
    await reread(app_with_models, handbook)
    assert not await again(app_with_models, "b")
    assert await again(app_with_models, "c")
    page.unlink()
    await reread(app_with_models, handbook)
    await look(app_with_models.database, LOCAL_TENANT, now=datetime.now(UTC))
    assert await cached_lifetimes(app_with_models) == []


async def test_a_cached_answer_is_dropped_when_a_cited_document_gets_a_note(app_with_models: App) -> None:
    """No document changes on the day on which one has not been read for too long, or is no longer in force."""
    assert "(" not in (await ask(app_with_models, QUESTION, "a")).citations[0].title
    assert await again(app_with_models, "b")
    async with app_with_models.database.tenant(LOCAL_TENANT) as session:
        await session.execute(text("UPDATE documents SET fetched_at = now() - interval '9 days', error = 'timeout'"))
    for thread, question, cached in (("c", OTHER_WORDS, False), ("d", QUESTION, True)):
        outcome = await ask(app_with_models, question, thread, user="ben")
        assert outcome.cached is cached
        assert "(last read " in outcome.citations[0].title


async def test_a_cached_answer_is_dropped_when_a_better_document_arrives(app_with_models: App, handbook: Path) -> None:
    await ask(app_with_models, QUESTION, "a")
    (handbook / "lisbon.md").write_text("# Hotels in Lisbon\n\nA hotel in Lisbon may cost 240 EUR from now on.\n")
    await reread(app_with_models, handbook)
    assert not await again(app_with_models, "b", OTHER_WORDS)
    assert await again(app_with_models, "c"), "from the new answer"


async def test_time_sensitive_answers_are_cached_for_an_hour_and_others_for_a_day(app_with_models: App) -> None:
    await ask(app_with_models, QUESTION, "a")
    assert await cached_lifetimes(app_with_models) == [timedelta(hours=24)]
    await ask(app_with_models, "What may a hotel in Lisbon cost today?", "b")
    assert sorted(await cached_lifetimes(app_with_models)) == [timedelta(hours=1), timedelta(hours=24)]
