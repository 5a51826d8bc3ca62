"""Cached answers while documents change: kept if their own documents did not change, dropped at once if they did."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.app import App
from bot.config import Settings
from bot.jobs.maintenance import delete_outdated_answers
from bot.types.conversation import LOCAL_TENANT
from knowledge.sources import open_source
from tests.app.conftest import ask
from tests.doubles.models import ModelDouble, Reply

QUESTION = "What may a hotel in Lisbon cost?"
OTHER_WORDS = "What may hotels in Lisbon cost?"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """No hit is answered again for the shadow sample."""
    return settings.model_copy(update={"cache_shadow": 0.0})


@pytest.fixture(autouse=True)
def answers(models: ModelDouble) -> None:
    models.script = lambda _: Reply("A hotel in Lisbon may cost 180 EUR a night [1].")


async def again(app: App, thread: str, question: str = QUESTION) -> bool:
    return (await ask(app, question, thread, user="ben")).cached


async def reread(app: App, handbook: Path) -> None:
    source = open_source(str(handbook), fetch_allow=(), max_bytes=10**6, files=True)
    assert (await app.ingestor.ingest([source], tenant_id=LOCAL_TENANT)).failed == ()


async def kept(app: App) -> list[timedelta]:
    async with app.database.tenant(LOCAL_TENANT) as session:
        return list(await session.scalars(text("SELECT expires_at - created_at FROM answers")))


async def test_an_answer_outlives_a_reading_that_changed_nothing_it_finds(
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


async def test_an_answer_is_gone_with_any_change_of_a_document_that_it_cites(
    app_with_models: App, handbook: Path
) -> None:
    await ask(app_with_models, QUESTION, "a")
    page = handbook / "travel.md"
    page.write_text(page.read_text() + "\n## Trains\n\nTrains are booked in the second class by everybody.\n")
    await reread(app_with_models, handbook)
    assert not await again(app_with_models, "b")
    assert await again(app_with_models, "c")
    page.unlink()
    await reread(app_with_models, handbook)
    await delete_outdated_answers(app_with_models.database, LOCAL_TENANT)
    assert await kept(app_with_models) == []


async def test_an_answer_is_gone_when_another_document_would_serve_better(app_with_models: App, handbook: Path) -> None:
    await ask(app_with_models, QUESTION, "a")
    (handbook / "lisbon.md").write_text("# Hotels in Lisbon\n\nA hotel in Lisbon may cost 240 EUR from now on.\n")
    await reread(app_with_models, handbook)
    assert not await again(app_with_models, "b", OTHER_WORDS)
    assert await again(app_with_models, "c"), "from the new answer"


async def test_what_is_so_now_is_kept_for_an_hour_and_what_stands_for_a_day(app_with_models: App) -> None:
    await ask(app_with_models, QUESTION, "a")
    assert await kept(app_with_models) == [timedelta(hours=24)]
    await ask(app_with_models, "What may a hotel in Lisbon cost today?", "b")
    assert sorted(await kept(app_with_models)) == [timedelta(hours=1), timedelta(hours=24)]
