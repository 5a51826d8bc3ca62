"""Arguments of the command line: each has one form, and what is wrong is told in one line."""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path

import pytest

from knowledge.sources import crawl, files, git, sitemap, web_page
from knowledge.types.source_items import SOURCE_KINDS
from tests.cli.conftest import Parley


@pytest.fixture
def document(bare: Path) -> Path:
    made = bare / "hotels.md"
    made.write_text("# Hotels\n\nA hotel may cost 180 EUR a night.\n")
    return made


def refused(parley: Parley, *args: str, status: int = 2) -> str:
    """Run a command that must fail, and return its only line."""
    made = parley(*args)
    assert made.status == status, (made.status, made.out, made.err)
    assert made.out == ""
    (line,) = made.err.strip().splitlines()
    return line


@pytest.mark.parametrize(
    "args",
    [
        ("erase", "--user", ""),
        ("export", "--user", " "),
        ("ask", "Hotels?", "--user", ""),
        ("ask", "Hotels?", "--thread", " "),
        ("chat", "--thread", ""),
        ("search", "hotel", "--audience", ""),
        ("search", "hotel", "--source", ""),
        ("search", "hotel", "--author", "\t"),
        ("ingest", "hotels.md", "--audience", ""),
        ("docs", "show", ""),
        ("docs", "delete", " "),
        ("docs", "refresh", ""),
        ("why", ""),
    ],
)
def test_an_empty_id_is_refused(parley: Parley, document: Path, args: tuple[str, ...]) -> None:
    assert "is empty" in refused(parley, *args)


@pytest.mark.parametrize("tenant", ["", "*", "-", "T1", "slack:", "teams:T1", "slack:T1 ", "local:x"])
def test_a_malformed_tenant_is_refused(parley: Parley, tenant: str) -> None:
    for args in (("docs",), ("ingest", "x"), ("budget", "set", "ann", "5"), ("costs",), ("erase", "--user", "U1")):
        assert "local, slack:TEAM or discord:GUILD" in refused(parley, *args, "--tenant", tenant)


@pytest.mark.parametrize(
    "args",
    [
        ("docs",),
        ("docs", "list"),
        ("docs", "show", "abc"),
        ("docs", "delete", "abc"),
        ("docs", "refresh"),
        ("docs", "refresh", "abc", "--every", "6h"),
        ("search", "hotel"),
        ("costs",),
        ("why", "abc"),
        ("budget", "show"),
        ("budget", "show", "*"),
        ("export", "--user", "U1"),
        ("erase", "--user", "U1"),
    ],
)
def test_an_unknown_tenant_is_told(parley: Parley, args: tuple[str, ...]) -> None:
    line = refused(parley, *args, "--tenant", "slack:T404", status=1)
    assert "slack:T404" in line
    assert "local" in line


def test_a_tenant_is_known_once_it_has_documents_or_a_limit(parley: Parley, document: Path) -> None:
    assert parley("ingest", str(document), "--tenant", "slack:T1").status == 0
    assert len(parley("docs", "--tenant", "slack:T1", "--json").document) == 1
    assert parley("budget", "set", "tenant", "5k", "--tenant", "discord:7").status == 0
    assert parley("budget", "show", "*", "--tenant", "discord:7", "--json").document["limits"] == {"tenant": 5000}
    assert "slack:T1" in refused(parley, "docs", "--tenant", "slack:T2", status=1)


@pytest.mark.parametrize("args", [("search", ""), ("search", " \n"), ("ingest", ""), ("docs", "list", "--sort", "x")])
def test_nothing_to_do_is_wrong_use(parley: Parley, args: tuple[str, ...]) -> None:
    assert refused(parley, *args)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--kind", "folders"), "folder"),
        (("--format", "word"), "docx"),
        (("--language", "German"), "de"),
        (("--since", "2026-02-01", "--until", "2026-01-01"), "--until"),
    ],
)
def test_a_filter_that_can_match_nothing_is_refused(parley: Parley, args: tuple[str, ...], says: str) -> None:
    assert says in refused(parley, "search", "hotel", *args)


def test_a_search_that_finds_nothing_says_so_beside_its_json(parley: Parley, document: Path) -> None:
    parley("ingest", str(document))
    made = parley("search", "hotel", "--author", "Nobody", "--json")
    assert (made.status, made.document["passages"]) == (0, [])
    assert "No document matches" in made.err


def test_the_kinds_of_sources_are_those_that_exist() -> None:
    modules = (crawl, files, git, sitemap, web_page)
    fixed = {getattr(one, "kind", None) for module in modules for one in vars(module).values() if inspect.isclass(one)}
    assert set(SOURCE_KINDS) == (fixed - {None}) | {"slack", "discord"}


@pytest.mark.parametrize(
    "args",
    [
        ("ask", "caf\udce9?"),
        ("budget", "set", "\udcff", "5"),
        ("ingest", "a.md", "--audience", "caf\udce9"),
        ("ingest", "a.md", "--tenant", "caf\udce9"),
        ("parse\udcff", "a.md"),
    ],
)
def test_an_argument_that_is_not_utf8_is_told(parley: Parley, args: tuple[str, ...]) -> None:
    line = refused(parley, *args)
    assert "not UTF-8" in line or "is not a tenant" in line
    assert "caf\\xe9" in line or "\\xff" in line or "caf\\udce9" in line


def test_a_file_whose_name_is_not_utf8_is_read_beside_others(parley: Parley, tmp_path: Path) -> None:
    paths = [tmp_path / os.fsdecode(b"caf\xe9.md"), tmp_path / "tea.md", tmp_path / os.fsdecode(b"gone\xff.md")]
    for path in paths[:2]:
        path.write_text("Tea is served at four.")
    shown = [str(path).encode("utf-8", "replace").decode().replace("?", "\ufffd") for path in paths]

    parsed = parley("parse", *map(str, paths), "--json")
    assert parsed.status == 1
    lines = list(map(json.loads, parsed.out.splitlines()))
    assert [line["file"] for line in lines] == shown
    assert [line.get("text") for line in lines] == ["Tea is served at four.", "Tea is served at four.", None]
    assert "Tea is served at four." in parley("parse", str(paths[0])).out

    ingested = parley("ingest", *map(str, paths), "--json")
    assert ingested.document["documents"] == 2
    assert [failure["source"] for failure in ingested.document["failed"]] == [shown[2]]


def test_no_limit_and_the_default_limit_are_told_apart(parley: Parley) -> None:
    def limit(subject: str, tokens: str) -> object:
        return parley("budget", "set", subject, tokens, "--json").document

    assert limit("ann", "unlimited") == {"subject": "user:ann", "limit": None, "default": False}
    assert limit("user:ann", "default") == {"subject": "user:ann", "limit": 200_000, "default": True}
    assert limit("*", "7k") == {"subject": "*", "limit": 7000, "default": False}
    assert limit("ann", "default") == {"subject": "user:ann", "limit": 7000, "default": True}
    assert limit("role:admin", "default") == {"subject": "role:admin", "limit": 7000, "default": True}
    assert limit("*", "default") == {"subject": "*", "limit": 200_000, "default": True}
    assert limit("channel:*", "9") == {"subject": "channel:*", "limit": 9, "default": False}
    assert limit("channel:C1", "default") == {"subject": "channel:C1", "limit": 9, "default": True}
    assert limit("channel:*", "default") == {"subject": "channel:*", "limit": None, "default": True}
    assert limit("tenant", "default") == {"subject": "tenant", "limit": None, "default": True}
    assert limit("#C1", "blocked") == {"subject": "channel:C1", "limit": 0, "default": False}
    assert parley("budget", "show", "*", "--json").document["limits"] == {"channel:C1": 0}


@pytest.mark.parametrize("tokens", ["0", "none", "-5", "5.5", "", "٥", "1" * 30])
def test_a_limit_has_one_form(parley: Parley, tokens: str) -> None:
    line = refused(parley, "budget", "set", "--", "ann", tokens)
    assert "unlimited" in line
    assert "blocked" in line


def test_a_person_has_one_name_in_every_budget(parley: Parley) -> None:
    parley("budget", "set", "user:ann", "5k")
    shown = [parley("budget", "show", name, "--json").document for name in ("ann", "user:ann", "@ann")]
    assert shown[0] == shown[1] == shown[2]
    assert (shown[0]["subject"], shown[0]["limit"]) == ("user:ann", 5000)
    assert parley("budget", "show", "--json").document["subject"] == "user:you"


@pytest.mark.parametrize("subject", ["role:admin", "channel:*", "role:king", "user:", "channel: "])
def test_only_who_has_a_budget_is_shown(parley: Parley, subject: str) -> None:
    assert refused(parley, "budget", "show", subject)
