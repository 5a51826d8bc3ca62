"""Data of an evaluation, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from bot.errors import UsageError

Row = TypeVar("Row")


def read(path: Path, row: Callable[[Mapping[str, Any], str], Row], *, of: str) -> list[Row]:
    """What ``row`` makes of each object and of where it stands (file and line); empty lines are passed over.

    Raises UsageError where the file is no text or a line no object; ``of`` names what the lines are, for a person.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{path} cannot be read as text; give a JSONL file of {of}.") from None
    places = [(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    return [row(_object(line, where), where) for line, where in places]


def _object(line: str, where: str) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise UsageError(f"{where}: not a JSON object.") from None
    if not isinstance(value, dict):
        raise UsageError(f"{where}: not a JSON object.")
    return value


def words(row: Mapping[str, Any], name: str, where: str) -> str:
    """A value that is a text. Raises UsageError."""
    value = row.get(name)
    if not isinstance(value, str):
        raise UsageError(f"{where}: {name} must be a text.")
    return value


def verdict(row: Mapping[str, Any], name: str, where: str) -> bool:
    """A value that is true or false. Raises UsageError."""
    value = row.get(name)
    if not isinstance(value, bool):
        raise UsageError(f"{where}: {name} must be true or false.")
    return value
