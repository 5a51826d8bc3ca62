"""Every kind of connection through a real PgBouncer that takes encrypted connections only."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.engine import make_url

from bot.app import open_app
from bot.config import Settings
from bot.doctor import check_part
from bot.errors import ConfigError
from bot.store.database import connections, migrate
from bot.store.database.move import move
from bot.store.database.session import Database
from bot.store.database.tls import system_authorities
from bot.store.embedded import binaries
from tests.app.conftest import ask
from tests.certificates import make_certificates
from tests.pgbouncer import pgbouncer, requires_pgbouncer

pytestmark = requires_pgbouncer

HOST = "localhost"
"""The name in the server's certificate."""


@asynccontextmanager
async def encrypted(url: str, folder: Path, *, mode: str = "session") -> AsyncIterator[tuple[str, Path]]:
    """Yield the address of the database through a pooler with TLS, and the file of the authority."""
    folder.mkdir()
    made = make_certificates(folder, host=HOST)
    async with pgbouncer(url, folder, mode=mode, size=40, certificates=made) as pooled:
        yield make_url(pooled).set(host=HOST).render_as_string(hide_password=False), made.authority


def with_parameters(url: str, **parameters: object) -> str:
    given = {name: str(value) for name, value in parameters.items()}
    return make_url(url).update_query_dict(given).render_as_string(hide_password=False)


def settings_with(folder: Path, url: str, listen: str | None = None) -> Settings:
    return Settings(
        _env_file=None,
        database_url=SecretStr(url),
        listen_database_url=SecretStr(listen) if listen else None,
        data_dir=folder,
    )


@pytest.mark.parametrize("sslmode", ["require", "verify-ca", "verify-full"])
async def test_a_question_is_answered_over_encrypted_connections(
    database_url: str, tmp_path: Path, sslmode: str
) -> None:
    """Sessions, pipelines, LISTEN, advisory locks and the job queue are all encrypted: others are refused."""
    async with encrypted(database_url, tmp_path / "pooler") as (url, authority):
        url = with_parameters(url, sslmode=sslmode, sslrootcert=authority)
        async with open_app(settings_with(tmp_path, url)) as app:
            outcome = await ask(app, "How many days of leave do I have?")
            assert outcome.state == "done"
            assert await app.services.queue.has_worker() is False
            assert app.services.health.faults == {}
        found = {one.name: one for one in await check_part("database", settings_with(tmp_path, url))}
        assert [one for one in found.values() if not one.ok] == []
        # libpq takes a file of authorities together with ``require`` as ``verify-ca``, but reports what was written.
        protection = {"require": "not checked", "verify-ca": "an authority signed", "verify-full": "has its name"}
        assert protection[sslmode] in found["encryption"].detail


async def test_a_pooler_with_tls_in_transaction_mode(database_url: str, tmp_path: Path) -> None:
    async with (
        encrypted(database_url, tmp_path / "pooler", mode="transaction") as (url, authority),
        encrypted(database_url, tmp_path / "direct") as (direct, other),
    ):
        url = with_parameters(url, sslmode="verify-full", sslrootcert=authority)
        direct = with_parameters(direct, sslmode="verify-full", sslrootcert=other)
        async with open_app(settings_with(tmp_path, url, direct)) as app:
            assert (await ask(app, "How many days of leave do I have?")).state == "done"
            assert app.services.health.faults == {}


async def test_a_schema_is_created_and_rows_are_moved(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    async with (
        encrypted(database_url, tmp_path / "source") as (source, authority),
        encrypted(empty_database_url, tmp_path / "target") as (target, other),
    ):
        source = with_parameters(source, sslmode="verify-full", sslrootcert=authority)
        target = with_parameters(target, sslmode="verify-full", sslrootcert=other)
        moved = await asyncio.to_thread(move, source, target)
        assert moved.revision == (await asyncio.to_thread(migrate.revisions, target))[0] == migrate.REVISIONS[-1]


async def test_a_statement_is_canceled_over_tls(database_url: str, tmp_path: Path) -> None:
    async with encrypted(database_url, tmp_path / "pooler") as (url, authority):
        connection = await connections.connect(with_parameters(url, sslmode="verify-full", sslrootcert=authority))
        sleeping = asyncio.create_task(connection.execute("SELECT pg_sleep(3600)"))
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other, asyncio.timeout(60):
            running = (
                "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(3600%' AND pid <> pg_backend_pid()"
            )
            while await (await other.execute(running)).fetchone() is None:
                await asyncio.sleep(0.02)
            await connection.cancel_safe()
            with pytest.raises(psycopg.errors.QueryCanceled):
                await sleeping
        await connection.close()


async def test_the_authorities_of_the_system_are_those_of_python(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psycopg's own OpenSSL finds no authorities, so ``sslrootcert=system`` alone would refuse every server."""
    async with encrypted(database_url, tmp_path / "pooler") as (url, authority):
        trusting = SimpleNamespace(cafile=str(authority), capath=None)
        monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: trusting)
        url = with_parameters(url, sslrootcert="system")
        database = Database(url)
        async with database.tenant("slack:A") as session:
            assert await session.scalar(text("SELECT 1")) == 1
        await database.aclose()
        assert await asyncio.to_thread(migrate.revisions, url)
        wrong = make_url(url).set(host="127.0.0.1").render_as_string(hide_password=False)
        with pytest.raises(psycopg.OperationalError, match="does not match host name"):
            await connections.connect(wrong)


def test_this_system_has_authorities() -> None:
    assert Path(system_authorities()).read_text().count("BEGIN CERTIFICATE") > 10


@pytest.mark.parametrize(
    ("host", "parameters", "reason", "fix"),
    [
        (HOST, {"sslmode": "disable"}, "SSL required", "sslmode=require"),
        (HOST, {"sslmode": "verify-full"}, "root certificate file", "sslrootcert=FILE"),
        (HOST, {"sslmode": "verify-ca", "sslrootcert": "{other}"}, "certificate verify failed", "sslrootcert=FILE"),
        ("127.0.0.1", {"sslmode": "verify-full", "sslrootcert": "{authority}"}, "does not match", "sslmode=verify-ca"),
        (
            HOST,
            {"sslmode": "require", "channel_binding": "require"},
            "channel binding",
            "Remove channel_binding=require",
        ),
        (HOST, {"sslmode": "require", "sslnegotiation": "direct"}, "wrong version", "Remove sslnegotiation=direct"),
    ],
)
async def test_doctor_says_in_a_line_what_is_wrong(
    database_url: str, tmp_path: Path, host: str, parameters: dict[str, str], reason: str, fix: str
) -> None:
    (tmp_path / "other").mkdir()
    other = make_certificates(tmp_path / "other", host=HOST, authority_name="Another one").authority
    async with encrypted(database_url, tmp_path / "pooler") as (url, authority):
        given = {name: value.format(other=other, authority=authority) for name, value in parameters.items()}
        url = with_parameters(make_url(url).set(host=host).render_as_string(hide_password=False), **given)
        [failed] = await check_part("database", settings_with(tmp_path, url))
    assert not failed.ok
    assert reason in failed.detail
    assert fix in failed.fix
    assert "\n" not in failed.detail + failed.fix


async def test_a_server_without_tls(database_url: str, tmp_path: Path) -> None:
    async with pgbouncer(database_url, tmp_path, mode="session", size=40) as url:
        with pytest.raises(ConfigError, match="Turn TLS on at the server, or remove sslmode"):
            await asyncio.to_thread(migrate.revisions, with_parameters(url, sslmode="require"))


async def test_the_bundled_pg_dump_does_not_encrypt(database_url: str, tmp_path: Path) -> None:
    """The documentation says so: for a server with TLS, its own pg_dump is needed."""
    async with encrypted(database_url, tmp_path / "pooler") as (url, _):
        command = [str(binaries.directory() / "pg_dump"), with_parameters(url, sslmode="require")]
        ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "SSL support is not compiled in" in ran.stderr
