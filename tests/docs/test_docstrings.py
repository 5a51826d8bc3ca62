"""Docstrings and comments name only modules, attributes and constants that exist."""

from __future__ import annotations

import ast
import importlib
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.docs.docs_check import OTHER_VARIABLES, read_from_environment, settings

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bot", "knowledge", "tests", "benchmarks", "migrations")

DOTTED_PATH = re.compile(r"``((?:bot|knowledge|tests|benchmarks)(?:\.\w+)+)(?:\(.*?\))?``")
CONSTANT = re.compile(r"``(?:\w+\.)*([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)``|\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b")
IDENTIFIER = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*\b")

OTHER_NAMES = frozenset(
    {
        *("AND", "ANY", "BEGIN", "CASCADE", "COMMIT", "CREATE", "DELETE", "FORCE", "INSERT", "LISTEN", "MATERIALIZED"),
        *("NOLOGIN", "BYPASSRLS", "NOTIFY", "NULL", "SELECT", "SET", "UPDATE", "WHERE"),
        *("DELETE", "GET", "HEAD", "POST", "PUT"),
        *("FPDF_ERR_PASSWORD", "SIGINT", "SIGKILL", "SIGTERM", "YYYYMMDD_HH"),
    }
)
"""Words of SQL, HTTP, the operating system, libraries and data formats."""
KERNEL_CONSTANT = re.compile(r"(?:BPF|CLONE|F|PTRACE)_")
"""Beginning of the constants of Linux."""


def sources() -> list[Path]:
    """Return the Python files of the repository."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@cache
def names_in_code() -> frozenset[str]:
    """Return the names in capitals that occur in code or in a string that is not a docstring."""
    found: set[str] = set()
    for path in sources():
        if path == Path(__file__):
            continue
        tree = ast.parse(path.read_text())
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                found.add(node.id)
            elif isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.alias):
                found.add(node.name)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                found.update(IDENTIFIER.findall(node.value))
    return frozenset(found)


def prose(source: str) -> Iterator[tuple[int, str]]:
    """Yield each docstring and comment with its line number."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def exists(path: str) -> bool:
    """Return whether a dotted path names a module, or an attribute or annotated field inside one."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            annotations = getattr(found, "__annotations__", {})
            if not hasattr(found, name) and name not in annotations:
                return False
            found = getattr(found, name, None)
        return True
    return False


def unknown_names(source: str) -> Iterator[str]:
    """Yield a line for each name in the prose of a source that does not exist."""
    known = names_in_code() | settings() | read_from_environment() | OTHER_VARIABLES | OTHER_NAMES
    for line, text in prose(source):
        for path in DOTTED_PATH.findall(text):
            if not exists(path):
                yield f"{line}: {path}"
        for quoted, bare in CONSTANT.findall(text):
            name = quoted or bare
            if name not in known and len(name) > 1 and not KERNEL_CONSTANT.match(name):
                yield f"{line}: {name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_names_in_docstrings_and_comments_exist(package: str) -> None:
    problems = [
        f"{path.relative_to(ROOT)}:{problem}"
        for path in sorted((ROOT / package).rglob("*.py"))
        if path != Path(__file__)
        for problem in unknown_names(path.read_text())
    ]
    assert problems == []


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("``bot.engine.engine.Engine`` and ``bot.engine.engine.Engine.handle``", []),
        (
            "``bot.engine.nowhere`` and ``bot.engine.engine.Nothing``",
            ["bot.engine.nowhere", "bot.engine.engine.Nothing"],
        ),
        ("``knowledge.types.documents.Document.blocks``, PARLEY_HOME, ``SIGTERM`` and ``UNLIMITED``", []),
        ("``budget.GONE_CONSTANT``, OTHER_GONE_CONSTANT", ["GONE_CONSTANT", "OTHER_GONE_CONSTANT"]),
        ("JSON, PDF and Slack's OAuth are words", []),
    ],
)
def test_a_name_that_does_not_exist_is_found(text: str, unknown: list[str]) -> None:
    assert [problem.split(": ")[1] for problem in unknown_names(f'"""{text}"""\n')] == unknown
    assert [problem.split(": ")[1] for problem in unknown_names(f"# {text}\n")] == unknown
