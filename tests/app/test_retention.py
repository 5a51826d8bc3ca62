"""The worker deletes old conversations if PARLEY_RETENTION_DAYS says so, and reports how many."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from sqlalchemy import text

from bot.app import App
from bot.jobs.maintenance import run_maintenance
from bot.types.conversation import LOCAL_TENANT
from tests.app.conftest import ask


async def test_the_worker_deletes_old_conversations_and_says_so(app: App, caplog: pytest.LogCaptureFixture) -> None:
    await ask(app, "When may dogs come?", "t1")
    await ask(app, "What may a hotel cost?", "t2")
    async with app.database.tenant(LOCAL_TENANT) as session:
        await session.execute(text("UPDATE turns SET created_at = now() - interval '8 days' WHERE thread_id = 't1'"))
    await run_maintenance(app.services)
    async with app.database.tenant(LOCAL_TENANT) as session:
        assert await session.scalar(text("SELECT count(*) FROM turns")) == 2, "unset: everything is kept"
    settings = app.services.settings.model_copy(update={"retention_days": 7})
    with caplog.at_level(logging.INFO, logger="bot.jobs.maintenance"):
        await run_maintenance(replace(app.services, settings=settings))
    async with app.database.tenant(LOCAL_TENANT) as session:
        assert list(await session.scalars(text("SELECT thread_id FROM turns"))) == ["t2"]
        assert await session.scalar(text("SELECT count(*) FROM threads")) == 1
        assert await session.scalar(text("SELECT count(*) FROM messages WHERE text LIKE '%dogs%'")) == 0
    assert "retention: deleted 1 turns and 1 threads of local that are older than 7 days" in caplog.text
