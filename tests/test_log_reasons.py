"""Every failure in the log has a reason: the text of a foreign error may be empty, as that of a timeout is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import bot
from bot.errors import for_operator

ROOT = Path(bot.__file__).parent
MODULES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(ROOT.rglob("*.py"))}
OWN = {node.name for module in MODULES.values() for node in ast.walk(module) if isinstance(node, ast.ClassDef)}
"""Parley's errors always have a text."""


def _caught(handler: ast.ExceptHandler) -> Iterator[str]:
    """Yield the names of the classes that a handler catches."""
    for node in ast.walk(handler.type) if handler.type is not None else ():
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name) and node.id[0].isupper():
            yield node.id


def _logged_without_reason(module: ast.Module) -> Iterator[int]:
    """Yield the lines that log the plain text of an error of another project."""
    for handler in ast.walk(module):
        if not isinstance(handler, ast.ExceptHandler) or not set(_caught(handler)) - OWN:
            continue
        for call in ast.walk(handler):
            if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("log."):
                text = ast.unparse(call)
                plain = any(isinstance(one, ast.Name) and one.id == handler.name for one in call.args)
                if plain and "%r" not in text and f"type({handler.name}).__name__" not in text:
                    yield call.lineno


def test_no_failure_is_logged_by_its_plain_text() -> None:
    found = [
        f"{path.relative_to(ROOT.parent)}:{line}"
        for path, module in MODULES.items()
        for line in _logged_without_reason(module)
    ]
    assert found == [], "log for_operator(error) instead"


@pytest.mark.parametrize("error", [TimeoutError(), OSError(), ExceptionGroup(" ", [KeyError()])])
def test_a_reason_is_never_empty(error: Exception) -> None:
    assert for_operator(error).strip()
