"""Provides the whole app on a fresh database with a small handbook, without a model or with real SDKs and a double."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from bot.app import App, open_app
from bot.commands.ask import NullSurface
from bot.config import Settings
from bot.types.audience import MEMBERS
from bot.types.conversation import LOCAL_TENANT, Author, Incoming, ThreadKey
from bot.types.turns import Outcome
from bot.types.usage import Tier
from knowledge.sources.source_factory import open_source
from tests.doubles.models import ModelDouble

Ask = Callable[..., Awaitable[Outcome]]
Everything = Callable[[], Awaitable[str]]

RULES = {
    "travel.md": "# Travel\n\n## Hotels\n\nA hotel in Lisbon may cost 180 EUR a night. In Oslo it may cost 190 EUR.\n",
    "dogs.md": "# Dogs\n\nDogs are welcome in the office on Fridays. They must be on a lead in the kitchen.\n",
    "leave.md": "# Leave\n\nEverybody has 30 days of leave a year. Five of them may be taken into the next year.\n",
    "oncall.md": "# On call\n\nThe engineer on call answers within 10 minutes at night and within 5 minutes by day.\n",
}


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    folder = tmp_path / "handbook"
    folder.mkdir()
    for name, text in RULES.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
async def models() -> AsyncIterator[ModelDouble]:
    async with ModelDouble() as double:
        yield double


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Return settings without keys and tokens."""
    return Settings(_env_file=None, database_url=SecretStr(database_url), data_dir=tmp_path)


@pytest.fixture
def both(settings: Settings, models: ModelDouble) -> Settings:
    """Return settings with both providers, at the double."""
    return settings.model_copy(
        update={
            "anthropic_api_key": SecretStr(models.anthropic_key),
            "anthropic_base_url": models.anthropic_url,
            "openai_api_key": SecretStr(models.openai_key),
            "openai_base_url": models.openai_url,
        }
    )


async def open_ingested_app(settings: Settings, handbook: Path) -> AsyncIterator[App]:
    async with open_app(settings) as app:
        source = open_source(str(handbook), fetch_allow=(), max_bytes=10**6, files=True)
        report = await app.ingestor.ingest([source], tenant_id=LOCAL_TENANT)
        assert report.failed == ()
        yield app


@pytest.fixture
async def app(settings: Settings, handbook: Path) -> AsyncIterator[App]:
    async for opened_app in open_ingested_app(settings, handbook):
        yield opened_app


@pytest.fixture
async def app_with_models(both: Settings, handbook: Path) -> AsyncIterator[App]:
    async for opened_app in open_ingested_app(both, handbook):
        yield opened_app


@pytest.fixture
def everything(admin_url: str) -> Everything:
    """Return a function that returns every row of every table, of all tenants, as text."""

    async def read() -> str:
        async with await psycopg.AsyncConnection.connect(admin_url) as connection:
            tables = await connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            rows: list[str] = []
            for (name,) in await tables.fetchall():
                statement = sql.SQL("SELECT to_jsonb(t)::text FROM {} t").format(sql.Identifier(name))
                rows += [row[0] for row in await (await connection.execute(statement)).fetchall()]
        return "\n".join(rows)

    return read


def key(thread: str = "t1", channel: str = "general") -> ThreadKey:
    return ThreadKey(LOCAL_TENANT, "web", channel, thread)


def incoming(text: str, thread: ThreadKey, *, user: str = "ann", wish: Tier | None = None) -> Incoming:
    return Incoming(
        thread,
        uuid.uuid4().hex,
        Author(user, user.title()),
        text,
        "mention",
        datetime.now(UTC),
        wish=wish,
        audience=MEMBERS,
    )


async def ask(
    app: App, text: str, thread: str = "t1", *, user: str = "ann", channel: str = "general", wish: Tier | None = None
) -> Outcome:
    """Ask a question, and wait for its answer and the background work after it."""
    turn = await app.dispatcher.accept(incoming(text, key(thread, channel), user=user, wish=wish))
    assert turn is not None
    outcome = await app.dispatcher.start(turn, NullSurface())
    await app.dispatcher.settled()
    return outcome
