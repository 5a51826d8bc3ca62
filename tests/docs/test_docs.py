"""The documentation names only what exists, and the check finds what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.docs_check import ROOT, check_all, check_text, unlisted
from tests.docs.markdown_page import parse, slug

PAGE = ROOT / "docs" / "sample.md"


def problems(text: str) -> list[str]:
    return [problem.message for problem in check_text(text, PAGE)]


def test_the_documentation_names_only_what_exists() -> None:
    assert [str(problem) for problem in check_all()] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[page](nowhere.md)", "the link nowhere.md leads nowhere"),
        ("[out](../../etc/passwd)", "the link ../../etc/passwd leads nowhere"),
        ("![picture](pictures/none.png)", "the link pictures/none.png leads nowhere"),
        ("# A heading\n[it](#another)", "the link #another names a heading that does not exist"),
        ("[it](../README.md#no-such-part)", "the link ../README.md#no-such-part names a heading that does not exist"),
        ("`parley frobnicate`", "`parley frobnicate` is not a command"),
        ("`parley docs burn`", "`parley docs burn` is not a command"),
        ("```sh\nparley ingest . --nonsense\n```", "`parley ingest` has no option --nonsense"),
        ("`parley --nonsense`", "`parley` has no option --nonsense"),
        ("`/frobnicate all`", "/frobnicate is not a chat command"),
        ("`PARLEY_NONSENSE`", "PARLEY_NONSENSE is not a setting"),
        ("```\nNONSENSE=1\n```", "NONSENSE is not a setting"),
        ("`SLACK_NONSENSE`", "SLACK_NONSENSE is not a setting"),
        ("`python -m benchmarks.nonsense`", "`python -m benchmarks.nonsense` cannot be run"),
        ("`python -m benchmarks.load_test --nonsense 1`", "`python -m benchmarks.load_test` has no option --nonsense"),
        ("`bot/nonsense.py`", "bot/nonsense.py does not exist"),
        ("`knowledge/nonsense/`", "knowledge/nonsense/ does not exist"),
        ("```sh\npytest tests/nonsense\n```", "tests/nonsense does not exist"),
        ("```python\nopen('bot/nonsense.py')\n```", "bot/nonsense.py does not exist"),
        ("`docs/nonsense.md`", "docs/nonsense.md does not exist"),
        ("`bot.nonsense`", "bot.nonsense is not a module"),
        ("`make nonsense`", "`make nonsense` is not a target"),
        ("`--nonsense`", "no command has an option --nonsense"),
    ],
)
def test_what_does_not_exist_is_found(text: str, message: str) -> None:
    assert problems(text) == [message]


@pytest.mark.parametrize(
    "text",
    [
        "[index](README.md), [top](../README.md#try-it), [web](https://example.org/x.md), <https://example.org>",
        "`[no link](nowhere.md)`",
        "```\n[no link](nowhere.md)\n# no heading\n```",
        "`parley docs refresh ID --every 6h`, `parley --version`, `parley eval cache --data FILE --json`",
        "`@Parley stop`, `/parley settings auto-answer on`, `/again`",
        "`/ingest --here ADDRESS`, `/docs`",
        "`/healthz`, `https://parley.example.com/slack/install`, `/slack/events`",
        "`PARLEY_DAILY_TOKENS`, `PARLEY_STEPS=1 pytest tests/chaos`, `DATABASE_URL`, `HTTPS_PROXY`, `HTTP`, `ID`",
        "`python -m benchmarks.NAME --help`, `python -m benchmarks.chaos --edges 50`",
        "`bot/engine/`, `bot/platforms/*/app.py`, `http://example.org/bot/nothing`, `bot.commands`",
        "`make run`, `make docs-check`",
        "```python\nNOTHING_KNOWN = 1\n```",
        "```sql\nALTER ROLE parley SET x = 1;\n```",
        "`--audience`, `--edges 50`",
    ],
)
def test_what_exists_is_no_problem(text: str) -> None:
    assert problems(text) == []


def test_problems_name_page_and_line() -> None:
    (problem,) = check_text("# Title\n\nSee `make nonsense`.\n", PAGE)
    assert str(problem) == "docs/sample.md:3: `make nonsense` is not a target"


def test_anchors_are_those_of_github() -> None:
    assert slug("What `parley up` runs: all, or *one*?") == "what-parley-up-runs-all-or-one"
    assert parse("# One\n## One\n", PAGE).anchors == {"one", "one-1"}


def test_a_page_that_the_index_does_not_list_is_found(tmp_path: Path) -> None:
    for name in ("README.md", "listed.md", "forgotten.md"):
        (tmp_path / name).write_text("")
    assert unlisted("[listed](listed.md#part)", tmp_path) == ["forgotten.md"]


def test_the_readme_claims_no_batches_while_nothing_uses_them() -> None:
    code = [file.read_text() for file in (ROOT / "bot").rglob("*.py") if file.parent.name != "llm"]
    assert any("build_batch" in text for text in code) or "batch" not in (ROOT / "README.md").read_text().lower()
