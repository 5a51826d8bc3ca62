"""Rows move with their tables when a database that is in use is distributed, and later migrations follow them."""

from __future__ import annotations

import os
import shutil
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from bot.app import App, open_app
from bot.config import Settings
from bot.store import diagnostics
from bot.store.database import distribution, migrate
from bot.types.conversation import LOCAL_TENANT
from bot.types.turns import Outcome
from knowledge.sources.source_factory import open_source
from tests.app.conftest import ask, handbook, models
from tests.distributed.conftest import ADMIN_URL
from tests.doubles.models import ModelDouble, Reply

__all__ = ["handbook", "models"]
QUESTION = "What may a hotel in Lisbon cost?"
ANOTHER = "Which price may a hotel in Lisbon have, and which one in Oslo?"
ANSWER = "A hotel in Lisbon may cost 180 EUR a night [1]."
_COUNTS = """
    SELECT (SELECT count(*) FROM chunks), (SELECT count(*) FROM ledger), (SELECT sum(cost_usd) FROM ledger),
           (SELECT count(*) FROM messages), (SELECT sum(used) FROM budget_days)
"""
_ON_NODES = "SELECT sum(CAST(result AS bigint)) FROM run_command_on_shards('turns', 'SELECT count(*) FROM %s')"
_TRIAL = '''"""A table that refers to turns, filled from them, and a column that is computed for the rows there are."""

from alembic import op

from migrations.security import protect

revision = "9999"
down_revision = "{newest}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE turns NO FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE turns ADD COLUMN trial_length bigint NOT NULL DEFAULT 0")
    op.execute("UPDATE turns SET trial_length = length(question)")
    op.execute("CREATE INDEX turns_by_trial_length ON turns (tenant_id, trial_length)")
    op.execute(
        "CREATE TABLE trials (tenant_id text NOT NULL, turn_id uuid NOT NULL, length bigint NOT NULL, "
        "PRIMARY KEY (tenant_id, turn_id), "
        "FOREIGN KEY (tenant_id, turn_id) REFERENCES turns (tenant_id, turn_id) ON DELETE CASCADE)"
    )
    protect("trials")
    op.execute("ALTER TABLE turns FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute("DROP TABLE trials")
    op.execute("ALTER TABLE turns DROP COLUMN trial_length")
'''


@pytest.fixture
def both_models(cluster_url: str, models: ModelDouble, tmp_path: Path) -> Settings:
    """Return settings with a provider at the double."""
    models.script = lambda _: Reply(ANSWER)
    return Settings(
        _env_file=None,
        database_url=SecretStr(cluster_url),
        data_dir=tmp_path,
        anthropic_api_key=SecretStr(models.anthropic_key),
        anthropic_base_url=models.anthropic_url,
    )


async def ask_cited(app: App, question: str, thread: str) -> Outcome:
    """Ask a question, and return its outcome, which must cite a document."""
    outcome = await ask(app, question, thread)
    assert (outcome.state, outcome.answer, len(outcome.citations)) == ("done", ANSWER, 1)
    return outcome


async def ingest_and_ask(settings: Settings, handbook: Path) -> None:
    async with open_app(settings) as app:
        source = open_source(str(handbook), fetch_allow=(), max_bytes=10**6, files=True)
        assert (await app.ingestor.ingest([source], tenant_id=LOCAL_TENANT)).failed == ()
        await ask_cited(app, QUESTION, "before")


def counts() -> tuple[object, ...]:
    """Return the numbers of chunks and calls, what they cost, and the numbers of messages and used tokens."""
    with psycopg.connect(os.environ[ADMIN_URL]) as connection:
        found = connection.execute(_COUNTS).fetchone()
    assert found is not None
    return found


async def test_rows_from_before_are_on_the_nodes_and_are_answered_from(
    undistributed_url: str, both_models: Settings, handbook: Path
) -> None:
    await ingest_and_ask(both_models, handbook)
    before = counts()
    assert distribution.distribute(undistributed_url).already_distributed == []
    assert counts() == before
    with psycopg.connect(os.environ[ADMIN_URL]) as connection:
        assert connection.execute(_ON_NODES).fetchone() == (1,)
    async with open_app(both_models) as app:
        again = await ask_cited(app, QUESTION, "again")
        assert (again.cached, again.cost_usd) == (True, Decimal(0)), (
            "the stored answer and the documents' version moved too"
        )
        assert counts()[:3] == before[:3]
        another = await ask_cited(app, ANOTHER, "another")
        assert (another.cached, another.cost_usd) != (True, Decimal(0))


async def test_a_later_migration_changes_distributed_tables_and_distributes_those_that_it_adds(
    database_url: str,
    both_models: Settings,
    handbook: Path,
    admin_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await ingest_and_ask(both_models, handbook)
    shutil.copytree(migrate.ROOT / "migrations", tmp_path / "migrations")
    trial = tmp_path / "migrations" / "versions" / "9999_trial.py"
    trial.write_text(_TRIAL.format(newest=migrate.REVISIONS[-1]))
    monkeypatch.setattr(migrate, "ROOT", tmp_path)
    monkeypatch.setattr(migrate, "REVISIONS", (*migrate.REVISIONS, "9999"))
    migrate.upgrade(database_url)
    try:
        checks = {one.name: one for one in await diagnostics.check(database_url, database_url, "DATABASE_URL")}
        assert (checks["cluster"].ok, checks["schema"].detail) == (True, "at revision 9999")
        with psycopg.connect(admin_url) as connection:
            assert connection.execute("SELECT trial_length FROM turns").fetchall() == [(len(QUESTION),)]
        with psycopg.connect(database_url) as connection:
            assert connection.execute("SELECT turn_id FROM trials").fetchall() == []
            connection.execute(f"SET LOCAL parley.tenant_id = '{LOCAL_TENANT}'")
            connection.execute("INSERT INTO trials SELECT tenant_id, turn_id, trial_length FROM turns")
            assert connection.execute("SELECT length FROM trials").fetchall() == [(len(QUESTION),)]
        async with open_app(both_models) as app:
            await ask_cited(app, ANOTHER, "after")
    finally:
        migrate.downgrade(database_url, "-1")
