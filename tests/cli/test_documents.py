"""Names and lists of documents: short ids, paths, titles, pages and orders, in the terminal and in a chat command."""

from __future__ import annotations

import io
from pathlib import Path

import psycopg
import pytest

from tests.cli.conftest import Parley
from tests.knowledge.parsing.test_hidden_content import workbook
from tests.superuser_access import as_superuser

TWIN = "aaaaaaaa-0000-4000-8000-00000000000"


@pytest.fixture
def library(database_url: str) -> None:
    """Store 230 documents of one folder: the longer the number, the longer and the older the text."""
    with psycopg.connect(as_superuser(database_url), autocommit=True) as connection:
        connection.execute(
            """
            INSERT INTO sources (tenant_id, id, uri, kind, audience, fetched_at)
            VALUES ('local', 'bbbbbbbb-0000-4000-8000-000000000000', '/srv/wiki', 'folder', 'tenant', now())
            """
        )
        connection.execute(
            """
            INSERT INTO documents (tenant_id, id, source_id, uri, title, text, blocks, metadata, content_hash, recipe,
                audience, state, error, fetched_at)
            SELECT 'local', CASE WHEN n < 3 THEN CAST(%s || n AS uuid) ELSE gen_random_uuid() END,
                'bbbbbbbb-0000-4000-8000-000000000000', '/srv/wiki/page-' || n || '.md',
                CASE WHEN n IN (5, 6) THEN 'Twins' ELSE 'Page ' || n END, repeat('x', n), '[]', '{}', 'h' || n, 'r',
                'tenant', CASE WHEN n = 7 THEN 'failed' ELSE 'ready' END, '', now() - n * interval '1 hour'
            FROM generate_series(1, 230) n
            """,
            (TWIN,),
        )


@pytest.mark.usefixtures("library")
def test_a_document_has_a_short_id_and_other_names(parley: Parley) -> None:
    rows = {row["title"]: row for row in parley("docs", "--json").document}
    assert len(rows["Page 9"]["id"]) == 8
    assert rows["Page 1"]["id"] == f"{TWIN}1", "another id begins like it"
    names = (rows["Page 9"]["id"], rows["Page 9"]["id"].upper(), "/srv/wiki/page-9.md", "page-9.md", "wiki/page-9.md")
    for name in (*names, "page 9"):
        assert parley("docs", "show", name, "--json").document["source"] == "/srv/wiki/page-9.md"
    for name in ("aaaaaaaa", "Twins"):
        made = parley("docs", "show", name)
        assert made.status == 1
        assert "names several documents: " in made.err
    assert parley("docs", "show", f"{TWIN}1", "--json").document["title"] == "Page 1"
    for name in ("nothing", "9.md", rows["Page 9"]["id"][:7], "%", "_age 9"):
        assert "There is no document" in parley("docs", "show", name).err
    assert parley("docs", "delete", "page-9.md").status == 0
    assert parley("docs", "show", "page-9.md").status == 1


@pytest.mark.usefixtures("library")
def test_the_list_has_pages_orders_and_a_search(parley: Parley) -> None:
    def titles(*args: str) -> list[str]:
        return [row["title"] for row in parley("docs", "list", *args, "--json").document]

    assert len(titles()) == 230
    assert titles("page-22") == ["Page 22", *(f"Page 22{n}" for n in range(10))]
    assert titles("--sort", "size", "--limit", "2") == ["Page 230", "Page 229"]
    assert titles("--sort", "size", "--limit", "2", "--page", "2") == ["Page 228", "Page 227"]
    assert titles("--sort", "age", "--limit", "1") == ["Page 1"]
    assert titles("--sort", "state", "--limit", "1") == ["Page 7"]
    assert titles("--sort", "title", "--limit", "2") == ["Page 1", "Page 10"]
    assert "Documents 201 to 230 of 230." in parley("docs", "list", "--limit", "100", "--page", "3").err
    assert "there are 230 documents" in parley("docs", "list", "--limit", "100", "--page", "4").out
    assert parley("docs", "list", "--page", "2").status == 2


@pytest.mark.usefixtures("library")
def test_a_chat_lists_pages_and_finds_documents_by_name(parley: Parley, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "/docs",
        "/docs list by size page 3",
        "/docs list page-22 by title",
        "/docs show Page 12",
        "/docs show twins",
    ]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    said = parley("chat").out
    assert "230 documents. These are 1 to 100. /docs list page 2 shows the next ones." in said
    assert "230 documents. These are 201 to 230. Narrow" in said
    assert "11 documents." in said
    assert "**Page 12**" in said
    assert "twins names several documents: " in said


def test_an_answer_is_found_by_the_beginning_of_its_id(parley: Parley, database_url: str) -> None:
    short = parley("ask", "What may a hotel cost?", "--json").document["turn_id"]
    with psycopg.connect(as_superuser(database_url)) as connection:
        ((whole,),) = connection.execute("SELECT turn_id::text FROM turns").fetchall()
    for name in (short, whole, whole.replace("-", "")[:12]):
        assert parley("why", name, "--json").document["turn_id"] == short == whole[:8]
    assert parley("why", short[:7]).status == 1


def test_the_terminal_shows_the_whole_text_of_a_document(parley: Parley, bare: Path) -> None:
    rules = "\n\n".join(f"Rule {number}: keep the receipt of every journey." for number in range(100))
    (bare / "rules.md").write_text(f"# Rules\n\n{rules}\n")
    assert parley("ingest", "rules.md").status == 0
    shown = parley("docs", "show", "rules.md").out
    assert [line for line in shown.splitlines() if line.startswith("Rule ")] == rules.split("\n\n")
    assert rules in parley("docs", "show", "rules.md", "--json").document["text"]


def test_the_terminal_names_what_was_left_out(parley: Parley, bare: Path) -> None:
    hidden = "hidden sheets left out: Pay. Add them with --include-hidden"
    (bare / "pay.xlsx").write_bytes(workbook())
    made = parley("ingest", "pay.xlsx", "--json").document
    assert [row["warning"] for row in made["warnings"]] == [hidden]
    assert made["warnings"][0]["source"].endswith("pay.xlsx")
    assert [row["warnings"] for row in parley("docs", "--json").document] == [[hidden]]
    assert parley("docs", "show", "pay.xlsx", "--json").document["warnings"] == [hidden]
    assert f"warning: {hidden}" in parley("docs", "show", "pay.xlsx").out
    made = parley("ingest", "pay.xlsx", "--include-hidden", "--json").document
    assert made["warnings"] == []
    assert parley("docs", "show", "pay.xlsx", "--json").document["warnings"] == []


def test_folders_with_the_same_last_part_are_told_apart(parley: Parley, bare: Path) -> None:
    for parent in ("a", "b"):
        (bare / parent / "hb").mkdir(parents=True)
        (bare / parent / "hb" / "x.md").write_text(f"# {parent}\n\nThe office of {parent} is open.\n")
    assert parley("ingest", "a/hb", "b/hb").status == 0
    listed = parley("docs", "--json").document
    assert sorted((row["title"], row["source"]) for row in listed) == [("a", "a/hb/x.md"), ("b", "b/hb/x.md")]
