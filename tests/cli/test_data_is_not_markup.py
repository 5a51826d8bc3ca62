"""Titles, names and errors on the terminal and in the log are shown as they are, whatever markup they look like."""

from __future__ import annotations

import ast
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot import cli
from bot.cli import log_output, output, progress
from bot.telemetry.log_entries import FIELDS
from knowledge.types.ingest_reports import Progress
from tests.cli.conftest import Parley

ROOT = Path(__file__).resolve().parents[2]
TITLES = ("[draft] Travel [/policy]", "[red]:smile: $x_1$ {0} %s", "a \x9b31m \u202eb")
SHOWN = (*TITLES[:2], r"a \x9b31m \u202eb")


@pytest.fixture
def documents(parley: Parley, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with documents whose titles look like markup, for a terminal that is wide enough for them."""
    monkeypatch.setenv("COLUMNS", "400")
    folder = tmp_path / "[bold]rules[red] :smile:"
    folder.mkdir()
    for number, title in enumerate(TITLES):
        (folder / f"{number}.md").write_text(f"# {title}\n\nRule {number} is a rule about trains.\n")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    return folder


def test_documents_keep_their_titles_in_lists_and_progress(parley: Parley, documents: Path) -> None:
    added = parley("ingest", str(documents))
    assert added.status == 0
    assert documents.name in added.err
    listed = parley("docs")
    assert listed.status == 0
    flat = "".join(listed.out.split())
    for title in SHOWN:
        assert "".join(title.split()) in flat
    shown = parley("search", "a rule about trains", "-k", "3").out
    for row in parley("docs", "--json").document:
        shown += parley("docs", "show", row["id"]).out
    assert not [char for char in listed.out + shown + added.out + added.err if char in "\x1b\x07\x9b\u202e"]


def test_json_keeps_the_title_without_control_characters(parley: Parley, documents: Path) -> None:
    parley("ingest", str(documents))
    listed = parley("docs", "--json")
    assert {row["title"] for row in listed.document} >= set(TITLES)
    assert not [char for char in listed.out if char in "\x1b\x07\x9b\u202e"]


def test_progress_shows_a_source_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.bars() as bars:
        progress.follower(bars)(Progress("[red]a[/b] :smile:", 1, 2, 0))
    assert "[red]a[/b] :smile:" in capsys.readouterr().err


def test_an_error_is_one_line_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["docs", "--no-such\x1b[2J"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_a_log_line_cannot_be_forged() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(log_output.formatter(as_json=False))
    data = "x\nERROR: owned\x1b[2J\u2028y"
    record = logging.LogRecord("bot", logging.WARNING, "", 0, "%s failed", (data,), None)
    record.__dict__[FIELDS] = {"model": data}
    handler.handle(record)
    (line,) = out.getvalue().splitlines()
    shown = "x\\nERROR: owned\\x1b[2J\\u2028y"
    assert line.partition(" ")[2] == f'WARNING bot: {shown} failed model="{shown}"'


def test_printable_keeps_what_people_write() -> None:
    text = "Zürich\t👩\u200d🔬 名前\n$x$ [a] `b`"
    assert output.printable(text) == text


# --- every module


def modules() -> Iterator[tuple[str, ast.AST]]:
    """Yield the modules of the product with their paths."""
    for package in ("bot", "knowledge"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def wrong_calls(where: str, tree: ast.AST) -> Iterator[str]:
    """Yield the calls that would show data as markup, or print it past the one module that makes it printable."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        texts = [*call.args, *(keyword.value for keyword in call.keywords)]
        is_data = any(not isinstance(text, ast.Constant) for text in texts[:3])
        if owner == "click" and name in ("echo", "secho", "confirm", "prompt") and where != "bot/cli/output.py":
            yield f"{where}:{call.lineno}: {owner}.{name}, use bot.cli.output"
        if name == "Console" and {options.get(one) for one in ("markup", "emoji", "highlight")} != {"False"}:
            yield f"{where}:{call.lineno}: a console that reads markup"
        if name == "TextColumn" and options.get("markup") != "False":
            yield f"{where}:{call.lineno}: a column that reads markup"
        if name in ("from_markup", "render_markup"):
            yield f"{where}:{call.lineno}: {name}"
        if name in DRAWN and "axes" in owner and is_data and options.get("parse_math") != "False":
            yield f"{where}:{call.lineno}: {name} reads mathtext"
        is_format = not call.args or isinstance(call.args[0], ast.Constant | ast.Attribute)
        if owner in ("log", "logger", "logging") and name in LOGGED and not is_format:
            yield f"{where}:{call.lineno}: data in the format of a log line"


DRAWN = ("set_title", "set_xlabel", "set_ylabel", "text", "annotate", "suptitle", "set_xticklabels", "set_yticklabels")
LOGGED = ("debug", "info", "warning", "error", "exception", "critical")


def test_no_module_prints_data_as_markup() -> None:
    assert [wrong for where, tree in modules() for wrong in wrong_calls(where, tree)] == []


@pytest.mark.parametrize(
    "line",
    [
        "click.echo(title)",
        "Console(stderr=True)",
        "rich.console.Console(markup=False)",
        "TextColumn('{task.description}')",
        "axes.set_title(f'{title}')",
        "axes.text(0, 0, title)",
        "log.warning(f'{title} failed')",
        "log.info('a ' + title)",
        "Text.from_markup(title)",
    ],
)
def test_the_check_finds(line: str) -> None:
    assert list(wrong_calls("bot/somewhere.py", ast.parse(line)))
