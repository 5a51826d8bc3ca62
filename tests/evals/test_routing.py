"""``parley eval routing``: its results, and its errors for invalid files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.train_routing import main as train
from bot import cli
from bot.cli.evaluate import evaluate as command
from bot.engine.routing.weights import shipped
from bot.errors import UsageError
from bot.evals.routing import SHARES, Outcome, apgr, encoded, evaluate, gap, qualities, read, summary, table
from tests.knowledge.fakes import WordEmbedder

EASY = "When may dogs come?"
HARD = (
    "Compare the schemes and explain step by step which of them was not changed before the second one was, and why "
    "neither the first nor the second had been announced, although both of them were agreed in the same month."
)
HELPED = Outcome(HARD, True, False)
NEEDLESS = Outcome(EASY, True, True)
HARMED = Outcome("Is it so?", False, True)
LOST = Outcome("Who knows?", False, False)


def written(path: Path, outcomes: Sequence[Outcome]) -> Path:
    path.write_text("".join(json.dumps(_row(outcome)) + "\n" for outcome in outcomes))
    return path


def _row(outcome: Outcome) -> dict[str, object]:
    return {"prompt": outcome.prompt, "strong_correct": outcome.strong_correct, "weak_correct": outcome.weak_correct}


# --- results


def test_the_perfect_order_the_worst_and_a_lot() -> None:
    outcomes = [HELPED, NEEDLESS, NEEDLESS, HELPED]
    assert apgr([1, 0, 0, 1], outcomes) == pytest.approx(0.75)
    assert apgr([0, 1, 1, 0], outcomes) == pytest.approx(0.25)
    assert apgr([5, 5, 5, 5], outcomes) == pytest.approx(0.5)


def test_the_order_of_a_file_does_not_help_equal_scores() -> None:
    outcomes = [HELPED, HELPED, NEEDLESS, NEEDLESS, LOST]
    scores = [1.0, 0.0, 1.0, 0.0, 0.0]
    turned = apgr(scores[::-1], outcomes[::-1])
    assert apgr(scores, outcomes) == pytest.approx(turned)


def test_the_curve_goes_from_the_cheap_model_to_the_strong_one_and_may_fall() -> None:
    outcomes = [HELPED, HELPED, NEEDLESS, HARMED, LOST]
    assert qualities([3, 3, 2, 1, 0], outcomes, (0.0, 0.4, 1.0)) == pytest.approx([0.4, 0.8, 0.6])


def test_where_the_strong_model_is_no_better_there_is_nothing_to_route() -> None:
    for outcomes in ([HARMED, HELPED], [NEEDLESS], [HARMED]):
        with pytest.raises(UsageError, match="routing cannot be measured"):
            gap(outcomes)


def test_a_measurement_has_its_lines_beside_it() -> None:
    clock = map(float, count())
    found = evaluate([HELPED, NEEDLESS, NEEDLESS, HELPED], shipped(), clock=lambda: next(clock))
    assert found["apgr"] == 0.75
    assert (found["apgr_random"], found["apgr_length"]) == (0.5, 0.75)
    assert [point["strong_share"] for point in found["curve"]] == list(SHARES)
    assert (found["curve"][0]["quality"], found["curve"][-1]["quality"]) == (0.5, 1.0)
    assert found["latency_ms"] == {"p50": 1000.0, "p99": 1000.0}
    assert table(found)[1][10] == ("50%", 1.0, 0.75)
    assert summary(found).startswith("APGR 0.750 (random 0.500, by prompt length 0.750)")


async def test_vectors_come_back_in_the_order_of_the_prompts() -> None:
    prompts = [f"{'long ' * (n % 7)} word{n}" for n in range(300)]
    vectors = await encoded(prompts, WordEmbedder())
    for row in (0, 6, 150, 299):
        assert vectors[row] == (await encoded([prompts[row]], WordEmbedder()))[0]


# --- files


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("nonsense", "not a JSON object"),
        ("[1]", "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
        ('{"strong_correct": true, "weak_correct": true}', "prompt must be a text"),
        ('{"prompt": 5, "strong_correct": true, "weak_correct": true}', "prompt must be a text"),
        ('{"prompt": "a", "weak_correct": true}', "strong_correct must be true or false"),
        ('{"prompt": "a", "strong_correct": true, "weak_correct": 1}', "weak_correct must be true or false"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, fault: str) -> None:
    path = written(tmp_path / "outcomes.jsonl", [HELPED, NEEDLESS])
    path.write_text(f"{path.read_text()}\n{line}\n")
    assert cli.run(["eval", "routing", "--data", str(path), "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"parley: {path}, line 4: {fault}.\n"


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"", "has no outcomes"), (b"\n \n", "has no outcomes"), (b"\xff\xfe\x00", "cannot be read as text")],
)
def test_a_file_without_outcomes_is_told(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=fault):
        read(path)


def test_a_separator_inside_a_prompt_ends_no_line(tmp_path: Path) -> None:
    odd = Outcome("one\u2028two\x85three", True, False)
    path = tmp_path / "outcomes.jsonl"
    path.write_text(json.dumps(_row(odd), ensure_ascii=False) + "\n", encoding="utf-8")
    assert read(path) == [odd]


# --- the commands


@pytest.fixture
def outcomes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a small file of outcomes in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PARLEY_EMBEDDING_MODEL", raising=False)
    hard = [Outcome(f"{HARD} It is case {n}.", True, n % 4 == 0) for n in range(12)]
    easy = [Outcome(f"{EASY} On day {n}?", True, n % 4 != 0) for n in range(12)]
    return written(tmp_path / "outcomes.jsonl", [*easy, *hard])


def test_the_command_prints_one_document(outcomes: Path) -> None:
    ran = CliRunner().invoke(command, ["routing", "--data", str(outcomes), "--json"])
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    assert set(found) == {"apgr", "apgr_random", "apgr_length", "curve", "latency_ms"}
    assert found["apgr"] > found["apgr_random"] == 0.5
    assert found["curve"][0] == {"strong_share": 0.0, "quality": 0.5}
    assert found["curve"][-1] == {"strong_share": 1.0, "quality": 1.0}
    assert set(found["latency_ms"]) == {"p50", "p99"}


def test_with_another_embedding_model_the_form_alone_is_measured(
    outcomes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_EMBEDDING_MODEL", "another-model")
    ran = CliRunner().invoke(command, ["routing", "--data", str(outcomes)])
    assert ran.exit_code == 0, ran.output
    assert "the router's weights fit only all-MiniLM-L6-v2" in ran.stderr
    assert "by prompt length" in ran.stdout


def test_training_without_a_file_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["train_routing"])
    assert train() == 0
    assert "give a JSONL file" in capsys.readouterr().out
