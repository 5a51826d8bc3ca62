"""Parses JSON and JSON Lines: keys become headings or names, and lists of similar objects become tables.

The title is the ``title`` or ``name`` of the outermost object.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from pydantic_core import from_json

from knowledge.errors import ParseError
from knowledge.parsing import notebooks
from knowledge.parsing.chats import discord_messages, slack_messages
from knowledge.parsing.chats.chat_export_forms import refuse_json
from knowledge.parsing.csv_tables import add_rows
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.parsing.parse_options import NO_OPTIONS, ParseOptions

MAX_DEPTH = 100
MAX_HEADING_LEVEL = 6
"""A key below this heading level becomes part of a path: ``a.b.c: value``."""
MAX_COLUMNS = 30
_CUT_OFF = "it is not complete, so that it is not valid JSON. Save or export it again"
_TITLE_KEYS = ("title", "name")


class NotJsonError(Exception):
    """The text is not valid JSON, whatever its file name says. It may be a configuration with comments."""


def parse(text: str, name: str = "", options: ParseOptions = NO_OPTIONS) -> ParsedDocument:
    """Parse JSON or JSON Lines.

    Raises NotJsonError, and ParseError if it is nested too deep, cut off, or a conversation that may not be read.
    ``options.private_chats`` reads private channels.
    """
    try:
        value = _load(text)
    except RecursionError:
        raise _too_deep() from None
    if notebooks.is_notebook(value):
        return notebooks.parse(value)
    builder = Builder()
    if discord_messages.is_channel(value):
        discord_messages.require_readable(value, private_chats=options.private_chats)
        discord_messages.write(builder, [value])
        return builder.build(discord_messages.document_title(value))
    if slack_messages.is_channel(value) and options.private_chats:
        slack_messages.write(builder, value)
        return builder.build(slack_messages.channel_name(value))
    refuse_json(value, name)
    _write(builder, value, 1, "", 0)
    titles = [value[key] for key in _TITLE_KEYS if isinstance(value.get(key), str)] if isinstance(value, dict) else []
    parsed = builder.build()
    return replace(parsed, title=" ".join(str(titles[0]).split()) if titles else "")


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data") and _is_cut_off(text):
            raise ParseError(_CUT_OFF) from None
        lines = [line for line in text.split("\n") if line.strip()]
        if len(lines) < 2:
            raise NotJsonError from None
    try:
        rows = [json.loads(line) for line in lines[:-1]]
    except ValueError:
        raise NotJsonError from None
    try:
        return [*rows, json.loads(lines[-1])]
    except ValueError:
        raise (ParseError(_CUT_OFF) if _is_cut_off(lines[-1]) else NotJsonError()) from None


def _is_cut_off(text: str) -> bool:
    """Return whether the text is the beginning of a JSON document that lacks its end."""
    try:
        from_json(text, allow_partial=True)
    except ValueError:
        return False
    return True


def _too_deep() -> ParseError:
    return ParseError(f"it is nested deeper than {MAX_DEPTH} levels. Flatten it or split it into smaller files")


def _write(builder: Builder, value: Any, level: int, path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, dict):
        _write_object(builder, value, level, path, depth)
    elif isinstance(value, list):
        _write_list(builder, value, level, path, depth)
    else:
        builder.add("paragraph", f"{path}: {_text(value)}" if path else _text(value))


def _write_object(builder: Builder, value: dict[str, Any], level: int, path: str, depth: int) -> None:
    """Write an object: its plain values as one paragraph, then each nested value under its own heading."""
    plain = {key: child for key, child in value.items() if not isinstance(child, dict | list)}
    builder.add("paragraph", "\n".join(f"{_join_path(path, key)}: {_text(child)}" for key, child in plain.items()))
    for key, child in value.items():
        if key in plain:
            continue
        if level <= MAX_HEADING_LEVEL and key.strip():
            builder.heading(level, key)
            _write(builder, child, level + 1, "", depth + 1)
        else:
            _write(builder, child, level, _join_path(path, key), depth + 1)


def _write_list(builder: Builder, value: list[Any], level: int, path: str, depth: int) -> None:
    if _is_table(value):
        columns = list(dict.fromkeys(key for row in value for key in row))
        add_rows(builder, [columns, *([_text(row.get(column)) for column in columns] for row in value)])
        return
    if not any(isinstance(item, dict | list) for item in value):
        prefix = f"{path}:\n" if path and value else ""
        builder.add("list", prefix + "\n".join(f"- {_text(item)}" for item in value))
        return
    for number, item in enumerate(value, 1):
        name = _name(item) or str(number)
        if level <= MAX_HEADING_LEVEL:
            builder.heading(level, name)
            _write(builder, item, level + 1, "", depth + 1)
        else:
            _write(builder, item, level, _join_path(path, name), depth + 1)


def _is_table(rows: list[Any]) -> bool:
    """Return whether the list has two or more flat objects that share most of their keys."""
    if len(rows) < 2 or not all(isinstance(row, dict) and row for row in rows):
        return False
    if any(isinstance(cell, dict | list) for row in rows for cell in row.values()):
        return False
    columns = {key for row in rows for key in row}
    return len(columns) <= MAX_COLUMNS and sum(map(len, rows)) >= 0.5 * len(columns) * len(rows)


def _name(item: Any) -> str:
    """Return the name of an object in a list: its title, name, ID or key; empty if it has none."""
    if not isinstance(item, dict):
        return ""
    return next((str(item[key]) for key in (*_TITLE_KEYS, "id", "key") if isinstance(item.get(key), str | int)), "")


def _join_path(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
