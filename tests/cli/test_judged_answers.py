"""``parley eval answers --judge``: exit status, price beforehand, and the ledger, with real SDKs on real sockets."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.cli.conftest import Parley
from tests.doubles.models import ModelDouble, Reply, Seen, quoting

CASES = [
    {"id": "limit", "question": "What is the hotel limit in Oslo?", "facts": ["180 EUR"]},
    {"id": "again", "question": "What may a hotel in Oslo cost?", "facts": ["180 EUR"]},
]


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, parley: Parley) -> Iterator[ModelDouble]:
    """Serve the double in a loop of its own: each command runs one of its own too."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    double = ModelDouble()
    asyncio.run_coroutine_threadsafe(double.start(), loop).result(60)
    monkeypatch.setenv("ANTHROPIC_API_KEY", double.anthropic_key)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", double.anthropic_url)
    monkeypatch.setenv("OPENAI_API_KEY", double.openai_key)
    monkeypatch.setenv("OPENAI_BASE_URL", double.openai_url)
    yield double
    asyncio.run_coroutine_threadsafe(double.stop(), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(60)
    loop.close()


@pytest.fixture
def cases(tmp_path: Path, parley: Parley) -> Path:
    document, path = tmp_path / "travel.md", tmp_path / "cases.jsonl"
    document.write_text("# Travel\n\nThe hotel limit in Oslo is 180 EUR a night. A hotel in Oslo may cost 180 EUR.\n")
    path.write_text("\n".join(map(json.dumps, CASES)))
    assert parley("ingest", str(document)).status == 0
    return path


def judging(score: int) -> object:
    def script(seen: Seen) -> Reply:
        if "You check the answers" in seen.system:
            return Reply(json.dumps({"reason": "So.", "score": score, "passed": score >= 4}))
        return quoting(seen)

    return script


def test_cases_pass_only_if_the_judge_lets_them(
    parley: Parley, models: ModelDouble, cases: Path, admin_url: str
) -> None:
    command = ("eval", "answers", "--cases", str(cases), "--judge", "gpt-6-luna")
    models.script = judging(5)  # type: ignore[assignment]
    made = parley(*command, "--fail-under", "1", "--json")
    assert made.status == 0, made.err
    judged = made.document["judged"]
    assert {"model", "pass_rate", "ci95", "kappa"} <= set(judged)
    assert (judged["model"], judged["pass_rate"], made.document["not_judged"]) == ("gpt-6-luna", 1.0, 0)
    assert "gpt-6-luna judges 4 answers, each twice. This costs about $" in made.err
    with psycopg.connect(admin_url) as connection:
        rows = connection.execute("SELECT DISTINCT model, user_id FROM ledger WHERE purpose = 'judge'").fetchall()
    assert rows == [("gpt-6-luna", "eval")]
    shown = parley(*command)
    assert "gpt-6-luna lets 100% pass" in shown.out
    assert "It let 2 of 2 vague answers pass. Do not rely on it." in shown.out

    models.script = judging(2)  # type: ignore[assignment]
    strict = parley("eval", "answers", "--cases", str(cases), "--judge", "gpt-6.1-sol", "--fail-under", "0.5", "--json")
    assert (strict.status, strict.document["passed"], strict.document["judged"]["pass_rate"]) == (1, 0, 0.0)
    assert [one["why"] for one in strict.document["failed"]] == ["the judge: So."] * 2


def test_a_judge_that_talks_nonsense_judges_nothing(parley: Parley, models: ModelDouble, cases: Path) -> None:
    made = parley("eval", "answers", "--cases", str(cases), "--judge", "gpt-6-luna", "--fail-under", "0.1", "--json")
    assert (made.status, made.document["passed"], made.document["not_judged"]) == (1, 0, 2)
    assert made.document["judged"]["pass_rate"] is None
    assert all(one["why"].startswith("not judged: ") for one in made.document["failed"])


def test_a_judge_of_the_same_family_is_refused(parley: Parley, models: ModelDouble, cases: Path) -> None:
    refused = parley("eval", "answers", "--cases", str(cases), "--judge", "claude-sonnet-5-5")
    assert refused.status == 2
    assert "claude-sonnet-5-5 is of the same family as claude-haiku-5-5" in refused.err
    assert models.bill == []


def test_a_judge_without_a_key_is_refused(parley: Parley, cases: Path) -> None:
    refused = parley("eval", "answers", "--cases", str(cases), "--judge", "gpt-6-luna")
    assert refused.status == 1
    assert "--judge" in refused.err
    assert "OPENAI_API_KEY" in refused.err


def test_the_output_of_a_run_is_a_baseline_and_two_are_compared(parley: Parley, cases: Path, tmp_path: Path) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    before.write_text(parley("eval", "answers", "--cases", str(cases), "--json").out)
    assert parley("eval", "answers", "--cases", str(cases), "--baseline", str(before)).status == 0
    cases.write_text(json.dumps(CASES[0] | {"facts": ["190 EUR"]}))
    after.write_text(parley("eval", "answers", "--cases", str(cases), "--json").out)
    compared = parley("eval", "answers", "--baseline", str(before), "--compare", str(after), "--json")
    assert (compared.status, compared.document["broken"], compared.document["fixed"]) == (1, ["limit"], [])
    assert "190 EUR is missing" in parley("eval", "answers", "--baseline", str(before), "--compare", str(after)).out
    assert parley("eval", "answers", "--baseline", str(after), "--compare", str(before)).status == 0
    alone = parley("eval", "answers", "--compare", str(after))
    assert (alone.status, "--baseline" in alone.err) == (2, True)
