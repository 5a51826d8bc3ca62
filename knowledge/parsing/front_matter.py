"""Reads the fields before a Markdown or AsciiDoc text: YAML between ``---`` lines, TOML between ``+++`` lines."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from knowledge.metadata import AUTHOR, DATE, LANGUAGE, as_date

_YAML = re.compile(r"\A---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_TOML = re.compile(r"\A\+\+\+[ \t]*\n(.*?\n)\+\+\+[ \t]*(?:\n|\Z)", re.DOTALL)
_LINE = re.compile(r"^([A-Za-z][\w -]*):[ \t]*(.+?)[ \t]*$", re.MULTILINE)
_NAMES = {
    AUTHOR: ("author", "authors", "by", "owner"),
    DATE: ("lastmod", "last_updated", "last-updated", "updated", "modified", "date", "published", "pubdate"),
    LANGUAGE: ("lang", "language", "locale"),
}
"""The names of fields for each key of a document's metadata, the most telling first."""


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """Where the fields stand in the text, and their values. ``end`` is 0 if there are none."""

    start: int = 0
    stop: int = 0
    end: int = 0
    """Where the text of the document starts. The fields are from ``start`` to ``stop``, unless a title is all."""
    title: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


def read(text: str) -> FrontMatter:
    """Return the fields at the beginning of a text. Fields that are not valid YAML are read line by line."""
    found = _YAML.match(text) or _TOML.match(text)
    if found is None:
        return FrontMatter()
    fields = _fields(found.group(1), is_toml=text.startswith("+++"))
    if not fields and text.startswith("---"):
        return FrontMatter()  # a text between two rules
    metadata = {key: value for key, names in _NAMES.items() if (value := _first(fields, names))}
    if DATE in metadata and as_date(metadata[DATE]) is None:
        del metadata[DATE]
    start, stop = found.span(1) if fields.keys() - {"title"} else (0, 0)
    return FrontMatter(start, stop, found.end(), _first(fields, ("title",)), metadata)


def _fields(written: str, *, is_toml: bool) -> dict[str, Any]:
    try:
        loaded = tomllib.loads(written) if is_toml else yaml.safe_load(written)
    except (yaml.YAMLError, tomllib.TOMLDecodeError, ValueError, TypeError, RecursionError):
        loaded = {name: value.strip("\"'") for name, value in _LINE.findall(written)}
    return {str(name).strip().lower(): value for name, value in loaded.items()} if isinstance(loaded, dict) else {}


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((shown for name in names if (shown := _shown(fields.get(name)))), "")


def _shown(value: Any) -> str:
    """Return a value as one line. Of a list, its values; of an object, its name."""
    if isinstance(value, dict):
        return _shown(value.get("name") or value.get("title"))
    if isinstance(value, list):
        return ", ".join(filter(None, (_shown(one) for one in value[:10] if not isinstance(one, list))))
    if value is None or isinstance(value, bool):
        return ""
    return " ".join(str(value).split())
