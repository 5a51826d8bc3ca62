"""The contract of the command line: JSON documents, exit status, errors on one line."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import click
import psycopg
import pytest

from bot import cli
from knowledge.ports import Embedder
from tests.cli.conftest import Parley
from tests.superuser_access import as_superuser

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "travel.md").write_text(
        "# Travel\n\n## Hotels\n\nA hotel in Lisbon may cost 180 EUR a night.\n\n"
        "## Trains\n\nTrains are booked in second class by everybody.\n"
    )
    (rules / "dogs.txt").write_text("Dogs are welcome in the office on Fridays.\n")
    (rules / "plants.txt").write_text("The ferns are watered by whoever comes first.\n")
    return rules


def test_ingest_ask_and_ask_again(parley: Parley, folder: Path) -> None:
    first = parley("ingest", str(folder), "--json")
    assert first.status == 0
    report = first.document
    assert {"documents", "chunks", "unchanged", "failed", "seconds"} <= set(report)
    assert (report["documents"], report["unchanged"], report["failed"]) == (3, 0, [])
    assert parley("ingest", str(folder), "--json").document["unchanged"] == 3

    asked = parley("ask", "What may a hotel in Lisbon cost?", "--thread", "t1", "--json")
    assert asked.status == 0
    answer = asked.document
    assert set(answer) == {
        "turn_id", "thread", "answer", "citations", "route", "usage", "cost_usd", "cached", "refused", "notes",
        "outage", "timings_ms",
    }  # fmt: skip
    assert "180 EUR" in answer["answer"]
    assert "no model" in answer["answer"].lower()
    assert answer["thread"] == "t1"
    assert (answer["cached"], answer["refused"]) == (False, None)
    assert set(answer["route"]) == {"tier", "model", "reason"}
    assert set(answer["usage"]) == {"prompt_tokens", "cached_tokens", "cache_write_tokens", "completion_tokens"}
    assert set(answer["timings_ms"]) == {"search", "ttft", "total"}
    document = next(row for row in parley("docs", "--json").document if row["title"] == "Travel")
    text = parley("docs", "show", document["id"], "--json").document["text"]
    for citation in answer["citations"]:
        assert {"n", "source", "title", "quote"} <= set(citation)
        assert text[citation["start"] : citation["end"]] == citation["quote"]

    again = parley("ask", "what may a hotel in Lisbon cost", "--json").document
    assert (again["cached"], again["answer"]) == (True, answer["answer"])

    trace = parley("why", answer["turn_id"], "--json").document
    assert trace["turn_id"] == answer["turn_id"]
    assert len(answer["turn_id"]) == 8
    assert trace["question"] == "What may a hotel in Lisbon cost?"
    assert trace["passages"][0]["legs"]["sparse"] is not None
    assert len(trace["calls"]) == 1
    shown = parley("why", answer["turn_id"])
    assert "Route: extractive" in shown.out

    costs = parley("costs", "--json").document
    assert set(costs) == {"rows", "total", "savings", "unknown_prices"}
    assert set(costs["savings"]) == {"prompt_cache", "routing", "answer_cache"}
    assert (costs["total"]["calls"], costs["total"]["answers"]) == (1, 1)
    assert parley("budget", "show", "you", "--json").document["used"] == 0, "quoting is free"


def test_search_shows_every_leg(parley: Parley, folder: Path) -> None:
    parley("ingest", str(folder))
    found = parley("search", "hotel in Lisbon", "-k", "1", "--json").document
    (passage,) = found["passages"]
    assert {"rank", "score", "text", "source", "title", "heading", "start", "end", "legs"} <= set(passage)
    assert set(passage["legs"]) == {"dense", "sparse", "fused", "rerank"}
    assert passage["rank"] == 1
    assert "180 EUR" in passage["text"]
    assert "total" in found["timings_ms"]


def test_a_channels_document_is_seen_by_that_channel_alone(parley: Parley, folder: Path) -> None:
    parley("ingest", str(folder), "--audience", "C42")
    assert parley("search", "hotel", "--json").document["passages"] == []
    assert parley("search", "hotel", "--audience", "C42", "--json").document["passages"] != []


def test_one_bad_document_does_not_stop_the_others(parley: Parley, folder: Path) -> None:
    (folder / "broken.pdf").write_bytes(b"This is no PDF at all \x00\x01")
    (folder / "empty.md").write_text("")
    assert parley("ingest", str(folder), "--json").status == 0
    made = parley("ingest", str(folder), "/no/such/place", "--json")
    assert made.status == 1, "a place that was named could not be read"
    report = made.document
    assert report["documents"] == 3
    assert {Path(failure["source"]).name for failure in report["failed"]} == {"broken.pdf", "empty.md", "place"}
    assert all(failure["error"] for failure in report["failed"])
    alone = parley("ingest", "/no/such/place", "--json")
    assert alone.status == 1
    assert alone.document["documents"] == 0


def test_an_address_is_read_where_the_operator_allows_it(
    parley: Parley, folder: Path, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = parley("ingest", f"{web}/rules/dogs.txt", "--json").document
    assert "PARLEY_FETCH_ALLOW" in refused["failed"][0]["error"]
    monkeypatch.setenv("PARLEY_FETCH_ALLOW", "127.0.0.1")
    assert parley("ingest", f"{web}/rules/dogs.txt", "--json").document["documents"] == 1
    gone = parley("ingest", f"{web}/rules/nothing.txt", "--json").document
    assert "404" in gone["failed"][0]["error"]


def test_documents_are_deleted_and_refreshed(parley: Parley, folder: Path) -> None:
    parley("ingest", str(folder))
    rows = parley("docs", "list", "--json").document
    assert all({"id", "source", "title", "chunks", "audience", "fetched_at", "state"} <= set(row) for row in rows)
    (dogs,) = [row for row in rows if "dogs" in row["source"]]
    assert parley("docs", "delete", dogs["id"], "--json").document == {"deleted": [dogs["id"]]}
    assert parley("docs", "delete", dogs["id"]).status == 1
    (folder / "dogs.txt").write_text("Dogs are welcome every day.\n")
    assert parley("docs", "refresh", "--json").document["documents"] == 3
    assert "every day" in parley("search", "dogs in the office", "-k", "1", "--json").document["passages"][0]["text"]


def test_options_before_the_docs_command_apply_to_it(parley: Parley, folder: Path) -> None:
    parley("ingest", str(folder))
    (dogs,) = [row for row in parley("docs", "--json", "list").document if "dogs" in row["source"]]
    parley("budget", "set", "tenant", "5k", "--tenant", "slack:T1")
    assert parley("docs", "--tenant", "slack:T1", "--json", "list").document == []
    assert parley("docs", "--tenant", "slack:T1", "delete", dogs["id"]).status == 1
    assert parley("docs", "--tenant", "slack:T1", "delete", dogs["id"], "--tenant", "local").status == 0


def test_options_of_every_group_apply_to_its_commands() -> None:
    given = {"tenant": ["--tenant", "slack:T1"], "as_json": ["--json"]}
    tried: set[tuple[str, str, str]] = set()
    for name, group in groups():
        own = [word for option in group.params for word in given.get(option.name or "", [])]
        for command_name, command in group.commands.items():
            above = group.make_context(name, [*own, command_name])
            shared = set(above.params) & {one.name for one in command.params}
            required = ["x"] * sum(isinstance(one, click.Argument) and one.required for one in command.params)
            inside = command.make_context(command_name, [*required], parent=above) if shared else above
            assert {option: inside.params[option] for option in shared} == {one: above.params[one] for one in shared}
            tried.update((name, command_name, option) for option in shared)
    assert ("docs", "delete", "tenant") in tried


def groups() -> Iterator[tuple[str, click.Group]]:
    """Yield the groups of commands that have options of their own."""
    for name, command in cli.cli.commands.items():
        if isinstance(command, click.Group):
            yield name, command


def test_a_budget_is_set_and_refuses(parley: Parley, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-never-used")
    parley("ingest", str(folder))
    assert parley("budget", "set", "ann", "100", "--json").document["limit"] == 100
    refused = parley("ask", "What may a hotel cost?", "--user", "ann", "--json")
    assert refused.status == 1
    assert "resets at" in refused.document["refused"]
    assert refused.document["answer"] == ""
    assert parley("budget", "show", "ann", "--json").document["used"] == 0
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    assert parley("ask", "What may a hotel cost?", "--user", "ann", "--json").status == 0, "quoting is free"


def test_a_chat_says_a_refusal_once(parley: Parley, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parley("ingest", str(folder))
    parley("budget", "set", "ann", "100")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-never-used")
    monkeypatch.setattr("sys.stdin", io.StringIO("What may a hotel cost?\n"))
    said = parley("chat", "--user", "ann")
    assert said.status == 0
    assert said.out.count("resets at") == 1


def test_a_follow_up_knows_what_was_said(parley: Parley, folder: Path) -> None:
    parley("ingest", str(folder))
    parley("ask", "What may a hotel in Lisbon cost?", "--thread", "trip", "--json")
    second = parley("ask", "And per night?", "--thread", "trip", "--json").document
    trace = parley("why", second["turn_id"], "--json").document
    assert (trace["query"], "Lisbon" in trace["searched"]) == ("And per night?", True)
    assert "180 EUR" in second["answer"]


def test_charts_and_csv(parley: Parley, folder: Path, tmp_path: Path) -> None:
    parley("ingest", str(folder))
    parley("ask", "What may a hotel cost?", "--json")
    made = parley("costs", "--chart", str(tmp_path / "c.png"), "--csv", str(tmp_path / "c.csv"), "--by", "day")
    assert made.status == 0
    assert made.err.splitlines() == [f"Written to {tmp_path / name}" for name in ("c.csv", "c.png")]
    assert (tmp_path / "c.png").read_bytes().startswith(PNG)
    assert len((tmp_path / "c.csv").read_text().splitlines()) == 3
    assert parley("costs", "--csv", "/no/such/folder/c.csv").status == 1
    alone = parley("costs", "--csv", "-", "--by", "day")
    assert alone.out == (tmp_path / "c.csv").read_bytes().decode()
    assert parley("costs", "--csv", "-", "--json").status == 2
    assert not Path("-").exists()


def test_daily_sums_are_checked_and_rebuilt(parley: Parley, folder: Path) -> None:
    parley("ingest", str(folder))
    parley("ask", "What may a hotel cost?", "--json")
    for option in ("--check", "--rebuild"):
        made = parley("costs", option, "--json")
        assert (made.status, made.document) == (0, {"days": 0, "differences": []})
    assert "equal the calls" in parley("costs", "--check").out


def test_an_invoice_is_compared(parley: Parley, tmp_path: Path) -> None:
    export = tmp_path / "cost.csv"
    export.write_text("\ufeffusage_date_utc,model,cost_usd\n2026-11-03,Claude Haiku 5.5,1.5\n", encoding="utf-8")
    found = parley("costs", "--invoice", str(export), "--json").document
    (row,) = found["differences"]
    assert (row["day"], row["model"], row["difference"]) == ("2026-11-03", "claude-haiku-5-5", 1.5)
    assert "1 of 1 amount differ" in parley("costs", "--invoice", str(export)).out
    export.write_bytes(b"\xff\xfe\x00")
    refused = parley("costs", "--invoice", str(export))
    assert (refused.status, len(refused.err.splitlines())) == (2, 1)
    assert parley("costs", "--invoice", str(tmp_path / "none.csv")).status == 2


@pytest.mark.parametrize(
    ("args", "status", "says"),
    [
        (("ask", ""), 2, "no question"),
        (("ask", "   "), 2, "no question"),
        (("ask", "x" * 100_000), 2, "20,000 characters"),
        (("ask",), 2, "QUESTION"),
        (("aks", "x"), 2, "No such command"),
        (("search", "x", "-k", "0"), 2, "-k"),
        (("why", "no-such-id"), 1, "No answer has the ID"),
        (("budget", "set", "ann", "many"), 2, "whole number"),
        (("budget", "set", "", "5k"), 2, "ID is missing"),
        (("budget", "set", "channel:", "5k"), 2, "ID is missing"),
        (("costs", "--since", "yesterday"), 2, "30d"),
        (("docs", "show", "nothing"), 1, "no document"),
        (("slack",), 1, "SLACK_BOT_TOKEN"),
        (("discord",), 1, "DISCORD_TOKEN"),
    ],
)
def test_wrong_use_is_one_line(parley: Parley, args: tuple[str, ...], status: int, says: str) -> None:
    made = parley(*args)
    assert made.status == status
    (line,) = made.err.strip().splitlines()
    assert says in line
    assert made.out == ""


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SLACK_BOT_TOKEN", "xapp-1-wrong", "xoxb-"),
        ("PARLEY_DAILY_TOKENS", "plenty", "PARLEY_DAILY_TOKENS"),
        ("PARLEY_TIMEZONE", "Mars/Base", "Europe/Berlin"),
        ("DATABASE_URL", "mysql://x", "postgresql://"),
        ("DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:99x/none", "DATABASE_URL: not a PostgreSQL address"),
        ("DATABASE_URL", "postgresql://nobody:secret@[::1/none", "DATABASE_URL: not a PostgreSQL address"),
        ("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none", "cannot be reached"),
        ("ANTHROPIC_BASE_URL", "localhost", "http://"),
        ("PARLEY_STRONG_MODEL", "claude-sonnet-5-5", "ANTHROPIC_API_KEY"),
        ("PARLEY_PRICES_FILE", "/no/such/file.json", "PARLEY_PRICES_FILE"),
        ("PARLEY_HOME", "acme", "slack:T0123"),
    ],
)
def test_a_wrong_setting_is_one_line(
    parley: Parley, monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    made = parley("ask", "Anybody there?")
    assert made.status == 1
    (line,) = made.err.strip().splitlines()
    assert says in line


@pytest.mark.parametrize("command", ["cache", "memory"])
def test_an_evaluation_uses_the_embedding_model_of_the_settings(
    parley: Parley, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("PARLEY_EMBEDDING_MODEL", "text-embedding-3-small")
    monkeypatch.setenv("PARLEY_EMBEDDING_DIMENSIONS", "256")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    used: list[str] = []

    async def evaluate(_: object, embedder: Embedder, **options: object) -> dict[str, object]:
        used.append(embedder.model)
        await embedder.aclose()
        return {}

    monkeypatch.setattr(f"bot.evals.{command}.evaluate", evaluate)
    monkeypatch.setattr(f"bot.evals.{command}.table", lambda _: ((), ()))
    monkeypatch.setattr(f"bot.evals.{command}.read", lambda _: [])
    made = parley("eval", command, "--data", __file__, "--json")
    assert (made.status, made.err) == (0, "")
    assert used == ["text-embedding-3-small in 256 dimensions"]


def test_a_misspelt_setting_is_told(parley: Parley, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_DAILY_TOKEN", "5")
    assert "Did you mean PARLEY_DAILY_TOKENS?" in parley("docs").err


def test_doctor_is_content_without_keys_and_names_a_wrong_setting(
    parley: Parley, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = parley("doctor", "--json")
    checks = {check["name"]: check for check in made.document["checks"]}
    assert made.status == 0, made.out
    assert {"settings", "database", "schema", "tenant isolation", "embedding model", "parser sandbox", "models"} <= set(
        checks
    )
    assert all(set(check) == {"name", "ok", "detail", "fix"} for check in checks.values())
    monkeypatch.setenv("PARLEY_PASSAGES", "0")
    wrong = parley("doctor", "--json")
    assert wrong.status == 1
    (check,) = wrong.document["checks"]
    assert "PARLEY_PASSAGES" in check["detail"]
    assert check["fix"] == "Change it in the environment or in .env."
    assert check["fix"] not in check["detail"]


def test_the_manifest_is_one_document(parley: Parley) -> None:
    assert "oauth_config" in parley("manifest", "slack").document
    assert "oauth_config" in parley("manifest", "slack", "--json").document


@pytest.mark.parametrize("setting", ["PARLEY_EMBEDDING_MODEL", "PARLEY_RERANKER"])
def test_a_search_that_cannot_run_is_a_failure(
    parley: Parley, folder: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    parley("ingest", str(folder))
    monkeypatch.setenv(setting, "/no/such/model")
    asked = parley("ask", "What may a hotel in Lisbon cost?", "--json")
    assert asked.status == 1
    assert asked.document["answer"] == ""
    assert "/no/such/model" in asked.document["refused"]
    assert parley("search", "hotel", "--json").status == 1
    failed = [check for check in parley("doctor", "--json").document["checks"] if not check["ok"]]
    assert {check["name"] for check in failed} == {"embedding model" if "EMBEDDING" in setting else "reranker"}
    assert all(check["fix"] for check in failed)


def test_feedback_lists_thumbs_down_and_unanswered_questions(
    parley: Parley, folder: Path, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    parley("ingest", str(folder))
    liked, disliked = (
        parley("ask", "What may a hotel in Lisbon cost?", "--thread", thread, "--fresh", "--json").document
        for thread in ("t1", "t2")
    )
    lost = parley("ask", "Which colour does the submarine of the moon base have?", "--json").document
    assert parley("feedback", "--json").document[0]["turn_id"] == lost["turn_id"]
    with psycopg.connect(as_superuser(database_url), autocommit=True) as connection:
        for answer, value, reason in ((liked, 1, ""), (disliked, -1, "out of date")):
            connection.execute(
                "INSERT INTO feedback (tenant_id, turn_id, user_id, value, reason)"
                " SELECT tenant_id, turn_id, %s, %s, %s FROM turns WHERE starts_with(turn_id::text, %s)",
                ("you", value, reason, answer["turn_id"]),
            )
    rows = {row["turn_id"]: row for row in parley("feedback", "--json").document}
    assert set(rows) == {disliked["turn_id"], lost["turn_id"]}
    down, missing = rows[disliked["turn_id"]], rows[lost["turn_id"]]
    assert {"turn_id", "question", "value", "reason", "at", "answer", "trace"} <= set(down)
    assert (down["value"], down["reason"], down["unanswered"]) == (-1, "out of date", False)
    assert (down["answer"], down["trace"]["passages"][0]) == (disliked["answer"], "Travel")
    assert (missing["value"], missing["reason"]) == (None, "no document answers it")
    assert len(parley("feedback", "--all", "--json").document) == 3
    assert parley("feedback", "--since", "soon").status == 2
    speed = parley("slo", "--json").document
    assert speed.keys() >= {"objectives", "own_share", "worst"}
    assert all(one.keys() == {"name", "target_ms", "p50", "p95", "ok"} for one in speed["objectives"])
    assert set(speed["worst"]) >= {lost["turn_id"][:8]}
    shown = parley("feedback").out
    assert "1 thumb down, 1 question that no document answers." in shown
    monkeypatch.setattr("sys.stdin", io.StringIO("/feedback 7d all\n"))
    said = parley("chat").out
    assert "1 thumb down, 1 thumb up" in said
    assert disliked["turn_id"] in said
