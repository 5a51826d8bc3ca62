"""A backup as docs/operate.md describes it: dump, lose the data folder, restore into a fresh one, ask."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bot.store.embedded import server as embedded_server
from tests.cli.conftest import Parley


def test_what_was_dumped_answers_after_a_restore(bundled: Parley, bare: Path) -> None:
    (bare / "hotels.md").write_text("# Hotels\n\nA hotel in Lisbon may cost 180 EUR a night.\n")
    assert bundled("ingest", "hotels.md").status == 0
    assert bundled("budget", "set", "ann", "5k").status == 0
    programs = Path(bundled("db", "programs", "--json").document["folder"])
    address = bundled("db", "url", "--superuser").out.strip()
    subprocess.run([programs / "pg_dump", "--format=custom", "--file=parley.dump", address], cwd=bare, check=True)

    embedded_server.start(bare / ".parley").stop()
    shutil.rmtree(bare / ".parley")
    fresh = bundled("db", "url", "--superuser").out.strip()
    assert fresh != address
    restore = [str(programs / "pg_restore"), "--exit-on-error", f"--dbname={fresh}", "parley.dump"]
    subprocess.run(restore, cwd=bare, check=True)

    answer = bundled("ask", "What may a hotel in Lisbon cost?", "--json").document
    assert "180 EUR" in answer["answer"]
    assert bundled("budget", "show", "ann", "--json").document["limit"] == 5000


def test_only_the_bundled_server_has_a_superuser_to_name(parley: Parley) -> None:
    made = parley("db", "url", "--superuser")
    assert (made.status, made.out) == (2, "")
    assert "bundled" in made.err


def test_all_data_moves_from_the_bundled_server_to_ones_own(
    bundled: Parley, bare: Path, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bare / "hotels.md").write_text("# Hotels\n\nA hotel in Lisbon may cost 180 EUR a night.\n")
    bundled("ingest", "hotels.md")
    moved = bundled("db", "move", empty_database_url, "--json").document
    assert set(moved) == {"tables", "rows", "revision"}
    assert moved["rows"] > 0
    again = bundled("db", "move", empty_database_url)
    assert again.status == 1
    assert "Name an empty database" in again.err
    assert bundled("db", "move", "mysql://localhost/x").status == 1
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    assert "180 EUR" in bundled("search", "hotel in Lisbon", "-k", "1", "--json").document["passages"][0]["text"]
