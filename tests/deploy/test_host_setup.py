"""The unit of systemd is valid and confines Parley, and the script for a new database is all that Parley needs."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from bot.config import Settings, environment_name
from bot.store.database import migrate
from bot.store.diagnostics import check
from bot.store.embedded import binaries

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy/systemd/parley.service"
SCRIPT = ROOT / "deploy/postgres/create-database.sh"


@pytest.fixture
def installed_unit(tmp_path: Path) -> Path:
    """Return the unit with a program that exists on this machine."""
    unit = tmp_path / "parley.service"
    unit.write_text(UNIT.read_text().replace("/opt/parley/bin/parley", shutil.which("true") or ""))
    return unit


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_the_unit(installed_unit: Path) -> None:
    checked = subprocess.run(["systemd-analyze", "verify", installed_unit], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    exposure = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=40", installed_unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert exposure.returncode == 0, exposure.stdout


def test_the_unit_stops_parley_gently_and_keeps_its_data() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(UNIT.read_text())
    service = unit["Service"]
    name, _, folder = service["Environment"].partition("=")
    assert name == environment_name("data_dir")
    assert folder.startswith(f"/var/lib/{service['StateDirectory']}/")
    assert float(service["TimeoutStopSec"]) > Settings.model_fields["shutdown_seconds"].default
    assert service["KillMode"] == "mixed", "the bundled PostgreSQL is stopped by Parley, not by a signal"


@pytest.fixture
def created(postgres: str) -> Iterator[str]:
    """Run the script on the test's server. Return the address of the database that it made."""
    server, name = make_url(postgres), f"made_{uuid.uuid4().hex[:8]}"
    environment = {
        "PATH": f"{binaries.directory()}:{os.environ['PATH']}",
        "PGHOST": str(server.query["host"]),
        "PGPASSWORD": str(server.password),
        "POSTGRES_USER": str(server.username),
        "DATABASE_NAME": name,
        "DATABASE_PASSWORD": "pass'word",
    }
    subprocess.run(["sh", SCRIPT], env=environment, check=True)
    yield server.set(username=name, password="pass'word", database=name).render_as_string(hide_password=False)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


async def test_the_script_makes_a_database_that_doctor_accepts(created: str) -> None:
    migrate.upgrade(created)
    checks = await check(created, created, "DATABASE_URL")
    assert [one for one in checks if not one.ok] == []
    assert "tenant isolation" in {one.name for one in checks}
