"""JSON and JSON lines: keys are headings and names, lists of alike objects are tables.

The title is what the outermost object calls itself.
"""

from __future__ import annotations

import json
from typing import Any

from knowledge.errors import ParseError
from knowledge.parsing import discord_messages, slack_messages
from knowledge.parsing.csv_tables import add_rows
from knowledge.parsing.document_builder import Builder, Parsed

MAX_DEPTH = 100
MAX_LEVEL = 6
"""Below this many headings a key becomes part of a path: ``a.b.c: value``."""
MAX_COLUMNS = 30
_TITLES = ("title", "name")


class NotJsonError(Exception):
    """The text is no JSON, whatever it is called."""


def parse(text: str) -> Parsed:
    """Raises NotJsonError, and ParseError where it is nested too deep."""
    try:
        value = _loaded(text)
    except RecursionError:
        raise ParseError(f"it is nested deeper than {MAX_DEPTH} levels") from None
    builder = Builder()
    if discord_messages.is_channel(value):
        discord_messages.write(builder, value)
        return builder.build(discord_messages.name_of(value))
    if slack_messages.is_channel(value):
        slack_messages.write(builder, value)
        return builder.build(slack_messages.name_of(value))
    _write(builder, value, 1, "", 0)
    named = [value[key] for key in _TITLES if isinstance(value.get(key), str)] if isinstance(value, dict) else []
    parsed = builder.build()
    return Parsed(" ".join(str(named[0]).split()) if named else "", parsed.text, parsed.blocks)


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise NotJsonError from None
    try:
        return [json.loads(line) for line in lines]
    except ValueError:
        raise NotJsonError from None


def _write(builder: Builder, value: Any, level: int, path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ParseError(f"it is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        _object(builder, value, level, path, depth)
    elif isinstance(value, list):
        _list(builder, value, level, path, depth)
    else:
        builder.add("paragraph", f"{path}: {_words(value)}" if path else _words(value))


def _object(builder: Builder, value: dict[str, Any], level: int, path: str, depth: int) -> None:
    """Its plain values first, as one paragraph; then each part under its own heading."""
    plain = {key: child for key, child in value.items() if not isinstance(child, dict | list)}
    builder.add("paragraph", "\n".join(f"{_joined(path, key)}: {_words(child)}" for key, child in plain.items()))
    for key, child in value.items():
        if key in plain:
            continue
        if level <= MAX_LEVEL and key.strip():
            builder.heading(level, key)
            _write(builder, child, level + 1, "", depth + 1)
        else:
            _write(builder, child, level, _joined(path, key), depth + 1)


def _list(builder: Builder, value: list[Any], level: int, path: str, depth: int) -> None:
    if _is_table(value):
        columns = list(dict.fromkeys(key for row in value for key in row))
        add_rows(builder, [columns, *([_words(row.get(column)) for column in columns] for row in value)])
        return
    if not any(isinstance(item, dict | list) for item in value):
        front = f"{path}:\n" if path and value else ""
        builder.add("list", front + "\n".join(f"- {_words(item)}" for item in value))
        return
    for number, item in enumerate(value, 1):
        name = _name(item) or str(number)
        if level <= MAX_LEVEL:
            builder.heading(level, name)
            _write(builder, item, level + 1, "", depth + 1)
        else:
            _write(builder, item, level, _joined(path, name), depth + 1)


def _is_table(rows: list[Any]) -> bool:
    """Two objects or more without parts of their own, which share most of their keys."""
    if len(rows) < 2 or not all(isinstance(row, dict) and row for row in rows):
        return False
    if any(isinstance(cell, dict | list) for row in rows for cell in row.values()):
        return False
    columns = {key for row in rows for key in row}
    return len(columns) <= MAX_COLUMNS and sum(map(len, rows)) >= 0.5 * len(columns) * len(rows)


def _name(item: Any) -> str:
    """What an object in a list calls itself."""
    if not isinstance(item, dict):
        return ""
    return next((str(item[key]) for key in (*_TITLES, "id", "key") if isinstance(item.get(key), str | int)), "")


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _words(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
