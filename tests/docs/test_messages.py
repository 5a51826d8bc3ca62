"""The form of what Parley tells people: whole sentences start with a capital letter and hold one idea each."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOWER_CASE_NAMES = ("git ",)
"""Names of programs, which start a sentence as they are written."""


def messages() -> Iterator[tuple[str, str]]:
    """Yield the place and text of each literal in a user_messages module or in a raised error; {} stands for values."""
    for path in sorted([*(ROOT / "bot").rglob("*.py"), *(ROOT / "knowledge").rglob("*.py")]):
        tree = ast.parse(path.read_text())
        in_module = "user_messages" in path.name
        found = ast.walk(tree) if in_module else (part for node in ast.walk(tree) for part in _raised(node))
        for node, text in _literals(tree, found):
            yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def _raised(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        for argument in node.exc.args:
            yield from ast.walk(argument)


def _literals(tree: ast.AST, nodes: Iterator[ast.AST]) -> Iterator[tuple[ast.expr, str]]:
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        if id(node) in docstrings | parts:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node, node.value
        elif isinstance(node, ast.JoinedStr):
            yield node, "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


MESSAGES = [(place, text) for place, text in messages() if " " in text]
SENTENCES = [(place, text) for place, text in MESSAGES if text.endswith((".", ".)"))]
"""Without the reasons that follow a name or stand in a longer sentence. Those do not end with a period."""


def test_the_messages_are_found() -> None:
    places = {place.split(":")[0] for place, _ in SENTENCES}
    assert {"bot/platforms/web/user_messages.py", "knowledge/sources/web_client.py"} <= places
    assert len(SENTENCES) > 300


def test_a_sentence_or_a_reason_holds_one_idea() -> None:
    assert [(place, text) for place, text in MESSAGES if "; " in text.strip("; ")] == []


def test_a_sentence_starts_with_a_capital_letter() -> None:
    lower = [(place, text) for place, text in SENTENCES if text[:1].islower() and not text.startswith(LOWER_CASE_NAMES)]
    assert lower == []


def test_the_troubleshooting_page_quotes_messages_that_exist() -> None:
    shown = [
        quote
        for line in (ROOT / "docs/troubleshooting.md").read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| What you see")
        for quote in re.findall(r"`([^`]{20,})`|\*([^*]+)\*", line.split(" | ")[0])
    ]
    quotes = [code or text for code, text in shown]
    sources = [*(ROOT / "bot").rglob("*.py"), *(ROOT / "knowledge").rglob("*.py")]
    said = [text for path in sources for _, text in _all_literals(path)] + [(ROOT / "Makefile").read_text()]
    sentences = {sentence for text in said for sentence in re.split(r"\. |, but | \(", text) if len(sentence) > 12}
    patterns = [re.compile(".+?".join(map(re.escape, sentence.split("{}")))) for sentence in sentences]
    assert len(quotes) > 8
    assert [one for one in quotes if not any(one in text for text in said) and not _matches(patterns, one)] == []


def _all_literals(path: Path) -> Iterator[tuple[ast.expr, str]]:
    tree = ast.parse(path.read_text())
    return _literals(tree, ast.walk(tree))


def _matches(patterns: list[re.Pattern[str]], quote: str) -> bool:
    return any(pattern.search(quote) for pattern in patterns)
