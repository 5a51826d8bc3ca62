"""Reads JSONL data of evaluations and validates its fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from bot.errors import UsageError

Row = TypeVar("Row")


def read(path: Path, parse: Callable[[Mapping[str, Any], str], Row], *, of: str) -> list[Row]:
    """Return ``parse(object, place)`` for each line; ``place`` names file and line. Empty lines are skipped.

    Raises UsageError if the file is not text or a line is not a JSON object. ``of`` names the content for the message.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{path} cannot be read as text. Name a JSONL file of {of}.") from None
    places = [(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    return [parse(_object(line, where), where) for line, where in places]


def _object(line: str, where: str) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise UsageError(f"{where}: not a JSON object.") from None
    if not isinstance(value, dict):
        raise UsageError(f"{where}: not a JSON object.")
    return value


def text(row: Mapping[str, Any], name: str, where: str) -> str:
    """Return a text field. Raises UsageError."""
    value = row.get(name)
    if not isinstance(value, str):
        raise UsageError(f"{where}: {name} must be a text.")
    return value


def boolean(row: Mapping[str, Any], name: str, where: str) -> bool:
    """Return a boolean field. Raises UsageError."""
    value = row.get(name)
    if not isinstance(value, bool):
        raise UsageError(f"{where}: {name} must be true or false.")
    return value
