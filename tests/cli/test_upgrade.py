"""An upgrade as docs/operate.md describes it: the database of an earlier release, ``parley db upgrade``, ask.

``data/release-0.2.0.sql.gz`` was written by ``pg_dump`` from the bundled database of release 0.2.0 (schema 0015), after
``parley ingest hotels.md``, ``parley ask "What may a hotel in Lisbon cost?" --thread trip`` and
``parley budget set ann 5k``. Only the path of the document was shortened, and the names of machines removed.
"""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path

from bot.store.database.migrate import REVISIONS
from tests.cli.conftest import Parley

OLD = Path(__file__).parent / "data" / "release-0.2.0.sql.gz"


def test_the_database_of_an_earlier_release_answers_after_an_upgrade(bundled: Parley) -> None:
    programs = Path(bundled("db", "programs", "--json").document["folder"])
    address = bundled("db", "url", "--superuser").out.strip()
    restore = [str(programs / "psql"), "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={address}"]
    subprocess.run(restore, input=gzip.decompress(OLD.read_bytes()), check=True, stdout=subprocess.DEVNULL)

    def stored(expression: str) -> str:
        ask = [str(programs / "psql"), "--tuples-only", "--no-align", f"--dbname={address}"]
        return subprocess.check_output([*ask, f"--command=SELECT {expression}"], text=True).strip()

    assert stored("version_num FROM alembic_version") == "0015"
    for _ in range(2):
        assert bundled("db", "upgrade").status == 0
        assert stored("version_num FROM alembic_version") == REVISIONS[-1]
        assert json.loads(stored("blocks FROM documents")) == [[0, None, []], [10, None, ["Hotels"]]]

    (document,) = bundled("docs", "list", "--json").document
    assert (document["title"], document["chunks"], document["state"]) == ("Hotels", 1, "ready")
    answer = bundled("ask", "And what may it cost in Oslo?", "--thread", "trip", "--json").document
    assert "190 EUR" in answer["answer"]
    assert [citation["title"] for citation in answer["citations"]] == ["Hotels"]
    old = stored("turn_id FROM turns ORDER BY seq LIMIT 1")
    for command in (("docs", "show", document["id"]), ("why", old), ("costs",), ("gaps",), ("slo",), ("feedback",)):
        assert bundled(*command, "--json").status == 0, command
    asked = json.dumps(bundled("export", "--user", "you", "--json").document)
    assert "What may a hotel in Lisbon cost?" in asked, "what was asked before is still there"
    assert bundled("budget", "show", "ann", "--json").document["limit"] == 5000
