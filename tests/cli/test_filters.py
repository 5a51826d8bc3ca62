"""``search`` with filters, ``ingest --chunking``, and ``doctor`` while passages are re-embedded."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.cli.conftest import Parley
from tests.superuser_access import as_superuser


@pytest.fixture
def folder(bare: Path) -> Path:
    """Create two Markdown documents and one German web page."""
    made = bare / "rules"
    (made / "travel").mkdir(parents=True)
    (made / "travel" / "hotels.md").write_text("# Hotels\n\nA hotel may cost 180 EUR a night.\n")
    (made / "leave.md").write_text("# Leave\n\nEverybody has 30 days of leave, hotel nights not counted.\n")
    page = "<!doctype html><html lang='de'><body><h1>Hotel</h1><p>Ein Hotel darf 180 EUR kosten.</p></body></html>"
    (made / "hotel.html").write_text(page)
    return made


def test_a_search_keeps_to_its_conditions(parley: Parley, folder: Path) -> None:
    parley("ingest", str(folder))

    def names(*options: str) -> set[str]:
        passages = parley("search", "hotel", "--json", *options).document["passages"]
        return {Path(passage["source"]).name for passage in passages}

    assert names() == {"hotels.md", "leave.md", "hotel.html"}
    assert names("--source", "rules/travel") == {"hotels.md"}
    assert names("--source", "rules/travel", "--source", "rules/leave") == {"hotels.md", "leave.md"}
    assert names("--source", str(folder)) == names()
    assert names("--source", str(folder) + "/travel") == set()
    assert names("--format", "html") == names("--language", "de") == {"hotel.html"}
    assert names("--kind", "folder") == names()
    assert names("--kind", "url") == names("--until", "2020-01-01") == set()
    assert names("--since", "2020-01-01", "--format", "markdown") == {"hotels.md", "leave.md"}
    assert parley("search", "hotel", "--since", "yesterday").status == 2


def test_a_folder_is_cut_as_asked_for_and_stays_so(parley: Parley, folder: Path, database_url: str) -> None:
    first = parley("ingest", str(folder), "--json").document
    assert parley("ingest", str(folder), "--chunking", "by-chance").status == 2
    again = parley("ingest", str(folder), "--chunking", "sentence-window", "--json").document
    assert (first["unchanged"], again["unchanged"]) == (0, 0)
    assert parley("ingest", str(folder), "--json").document["unchanged"] == 3
    assert parley("docs", "refresh", "--json").document["unchanged"] == 3
    with psycopg.connect(as_superuser(database_url)) as connection:
        assert connection.execute("SELECT DISTINCT chunking FROM sources").fetchall() == [("sentence-window",)]


def test_doctor_says_how_far_a_change_of_the_model_is(parley: Parley, folder: Path, database_url: str) -> None:
    parley("ingest", str(folder))
    with psycopg.connect(as_superuser(database_url), autocommit=True) as connection:
        connection.execute("UPDATE knowledge_state SET model = 'openai:gone', next_model = model")
    checks = {check["name"]: check for check in parley("doctor", "--json").document["checks"]}
    check = checks["embedding model of local"]
    assert not check["ok"]
    assert "re-embedding 3 of 3 with all-MiniLM-L6-v2; openai:gone cannot be used" in check["detail"]
    made = parley("search", "hotel", "--json")
    assert made.status == 0, made.err
    assert made.document["passages"] != []
