"""The whole app with a standby: answers, ``why``, metrics and the doctor say which database was searched."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from bot.app import App, open_app
from bot.commands.why import reply_of
from bot.config import Settings
from bot.doctor import check_part
from bot.reports.trace import trace_of
from bot.store.standby_diagnostics import NAME, check_standby
from bot.types.checks import Check
from bot.types.conversation import LOCAL_TENANT
from bot.types.turns import Outcome
from knowledge.sources.source_factory import open_source
from tests.app.conftest import ask, handbook
from tests.standby.conftest import Replicas

__all__ = ["handbook"]


async def shown(app: App, outcome: Outcome) -> str:
    """Return what ``why`` shows about an answer."""
    async with app.database.tenant(LOCAL_TENANT) as session:
        trace = await trace_of(session, tenant_id=LOCAL_TENANT, turn_id=outcome.turn_id)
    assert trace is not None
    return reply_of(trace, for_operator=True).text


@pytest.fixture
def settings(replicas: Replicas, tmp_path: Path) -> Settings:
    return Settings(
        _env_file=None,
        database_url=SecretStr(replicas.primary.url),
        search_database_url=SecretStr(replicas.url),
        data_dir=tmp_path,
    )


async def standby_check(settings: Settings) -> Check:
    checks = {one.name: one for one in await check_part("database", settings)}
    return checks[NAME]


async def test_an_answer_says_which_database_was_searched(
    settings: Settings, replicas: Replicas, handbook: Path
) -> None:
    async with open_app(settings) as app:
        source = open_source(str(handbook), fetch_allow=(), max_bytes=10**6, files=True)
        assert (await app.ingestor.ingest([source], tenant_id=LOCAL_TENANT)).failed == ()
        await asyncio.to_thread(replicas.wait_for_replay)
        from_standby = await ask(app, "What may a hotel in Lisbon cost?", "t1")
        await asyncio.to_thread(replicas.pause)
        (handbook / "cats.md").write_text("# Cats\n\nCats are welcome in the office on Mondays.\n")
        again = open_source(str(handbook), fetch_allow=(), max_bytes=10**6, files=True)
        assert (await app.ingestor.ingest([again], tenant_id=LOCAL_TENANT)).failed == ()
        from_primary = await ask(app, "When are cats welcome in the office?", "t2")
        assert "180 EUR" in from_standby.answer
        assert "Mondays" in from_primary.answer
        assert "Searched the standby of the database." in await shown(app, from_standby)
        assert "the standby did not have the newest documents yet" in await shown(app, from_primary)
        metrics = app.services.metrics().decode()
    for use in ("used", "behind"):
        assert f'parley_searches_by_standby_total{{use="{use}"}} 1.0' in metrics
    paused = await standby_check(settings)
    assert (paused.ok, "SELECT pg_wal_replay_resume()" in paused.fix) == (False, True)
    await asyncio.to_thread(replicas.resume)
    assert (await standby_check(settings)).detail == "a hot standby of DATABASE_URL, 0 bytes behind"


async def test_the_doctor_names_what_is_wrong_with_a_standby(replicas: Replicas, database_url: str) -> None:
    primary = replicas.primary.url
    for address in (primary, database_url):
        check = await check_standby(primary, address)
        assert (check.ok, "is no standby of DATABASE_URL" in check.detail) == (False, True)
    check = await check_standby(database_url, replicas.url)
    assert (check.ok, "is no standby of DATABASE_URL" in check.detail) == (False, True), "it follows another server"
    replicas.crash()
    check = await check_standby(primary, replicas.url)
    assert (check.ok, "does not answer" in check.detail, "\n" in str(check)) == (False, True, False)


async def test_the_doctor_advises_against_a_standby_of_a_citus_cluster(replicas: Replicas) -> None:
    """The bundled server has no Citus, so the catalog is told that it has."""
    add = (
        "INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) "
        "VALUES (99999, 'citus', 10, 11, false, '14.0')"
    )
    with psycopg.connect(replicas.primary.admin_url, autocommit=True) as connection:
        connection.execute(add)
        try:
            check = await check_standby(replicas.primary.url, replicas.url)
        finally:
            connection.execute("DELETE FROM pg_extension WHERE extname = 'citus'")
    assert (check.ok, "Citus" in check.detail, check.fix) == (False, True, "Unset PARLEY_SEARCH_DATABASE_URL.")
    assert (await check_standby(replicas.primary.url, replicas.url)).ok
