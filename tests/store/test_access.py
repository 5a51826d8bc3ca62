"""What the connecting role lacks is one line with the statement to run, and that statement is enough."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr, ValidationError
from sqlalchemy.engine import make_url

from bot.app import open_app
from bot.config import Settings
from bot.errors import ConfigError
from bot.store.database import migrate, role_privileges
from bot.store.diagnostics import check
from knowledge.sources.source_factory import open_source
from tests.app.conftest import ask


@dataclass
class Hosted:
    """A database of one owner on a server, and an ordinary role beside it. ``run`` runs a statement as superuser."""

    admin_url: str
    owner_url: str
    other_url: str

    @property
    def owner(self) -> str:
        return str(make_url(self.owner_url).username)

    @property
    def other(self) -> str:
        return str(make_url(self.other_url).username)

    def run(self, statement: str) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(statement)


@pytest.fixture
def hosted(postgres: str) -> Iterator[Hosted]:
    """A database without extensions, whose owner is an ordinary role, and a second role that may only connect."""
    name, owner, other = (f"{kind}_{uuid.uuid4().hex[:8]}" for kind in ("hosted", "owner", "other"))
    with psycopg.connect(postgres, autocommit=True) as connection:
        for role in (owner, other):
            made = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(role))
            connection.execute(made)
        created = sql.SQL("CREATE DATABASE {} TEMPLATE template0 OWNER {}")
        connection.execute(created.format(sql.Identifier(name), sql.Identifier(owner)))
        inside = make_url(postgres).set(database=name)
        urls = (inside, *(inside.set(username=role, password=role) for role in (owner, other)))
        yield Hosted(*(url.render_as_string(hide_password=False) for url in urls))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        for role in (owner, other):
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


async def refused(url: str, *words: str) -> str:
    """Return the line of the refusal, after checking that ``parley doctor`` says the same beforehand."""
    found = [one for one in await check(url, url, "DATABASE_URL") if not one.ok]
    with pytest.raises(ConfigError) as refusal:
        migrate.upgrade(url)
    line = str(refusal.value)
    assert "\n" not in line
    assert all(word in line for word in words), line
    assert found, "doctor finds it beforehand"
    assert found[0].fix in line, (found[0], line)
    return line


def statement_of(line: str) -> str:
    """Return the statement that a line names after its last colon and space."""
    return line.rpartition(": ")[2].removesuffix(".")


async def test_an_extension_that_only_a_superuser_may_create(hosted: Hosted) -> None:
    line = await refused(hosted.owner_url, "pgvector", hosted.owner, "superuser")
    assert statement_of(line) == "CREATE EXTENSION vector"
    hosted.run(statement_of(line))
    migrate.upgrade(hosted.owner_url)


async def test_a_role_that_may_not_create_tables(hosted: Hosted) -> None:
    hosted.run("CREATE EXTENSION vector")
    line = await refused(hosted.other_url, "may not create tables", hosted.other)
    assert statement_of(line).startswith("GRANT USAGE, CREATE ON SCHEMA")
    hosted.run(statement_of(line))
    migrate.upgrade(hosted.other_url)
    hosted.run(f'REASSIGN OWNED BY "{hosted.other}" TO "{hosted.owner}"; DROP OWNED BY "{hosted.other}"')


async def test_a_database_that_another_role_migrated(hosted: Hosted) -> None:
    hosted.run("CREATE EXTENSION vector")
    migrate.upgrade(hosted.owner_url)
    migrate.downgrade(hosted.owner_url, "-1")
    hosted.run(role_privileges.grants("public", hosted.other))
    line = await refused(hosted.other_url, "was migrated by the role", hosted.owner, hosted.other)
    assert statement_of(line) == f'GRANT "{hosted.owner}" TO "{hosted.other}"'
    hosted.run(statement_of(line))
    migrate.upgrade(hosted.other_url)
    hosted.run(f'DROP OWNED BY "{hosted.other}"')


async def test_an_extension_that_is_not_on_the_server(hosted: Hosted) -> None:
    def without(facts: object) -> object:
        return type("Facts", (), {**facts._asdict(), "installed": None, "available": None})  # type: ignore[attr-defined]

    facts = migrate.read(hosted.owner_url, role_privileges.read)
    (problem,) = role_privileges.problems(without(facts), migrates=True)
    assert "not installed on the database server" in str(problem)
    assert "CREATE EXTENSION vector" in problem.fix


async def test_a_role_that_only_reads_and_writes_rows_answers_questions(hosted: Hosted, tmp_path: Path) -> None:
    hosted.run("CREATE EXTENSION vector")
    migrate.upgrade(hosted.owner_url)
    line = await refused(hosted.other_url, "may not use its tables", hosted.owner, hosted.other)
    assert statement_of(line) == role_privileges.grants("public", hosted.other)
    hosted.run(statement_of(line))
    (tmp_path / "leave.md").write_text("# Leave\n\nEverybody has 30 days of leave a year.\n")
    settings = Settings(_env_file=None, database_url=SecretStr(hosted.other_url), data_dir=tmp_path)
    async with open_app(settings) as app:
        source = open_source(str(tmp_path / "leave.md"), fetch_allow=(), max_bytes=10**6, files=True)
        assert (await app.ingestor.ingest([source], tenant_id="local")).failed == ()
        outcome = await ask(app, "How many days of leave does everybody have?")
        assert outcome.state == "done"
        assert "30 days" in outcome.answer
        assert await app.services.queue.defer("refresh", tenant_id="local") is not None
        assert app.services.health.faults == {}
    hosted.run(f'DROP OWNED BY "{hosted.other}"')


@pytest.mark.parametrize("name", ["DATABASE_URL", "PARLEY_LISTEN_DATABASE_URL"])
def test_a_port_that_is_no_number_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "postgresql://parley:secret@db.example.com:54x2/parley")
    with pytest.raises(ValidationError, match=r"not a PostgreSQL address\. Use postgresql://host:5432") as told:
        Settings(_env_file=None)
    assert "secret" not in str(told.value.errors(include_input=False)[0]["msg"])
