"""Parses JSON that arrives over the network, and reads fields of it that may be missing or of another type.

Values that are nested too deeply for the code that reads them are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 64
"""Slack's deepest payloads, messages with rich text inside of modals, have about 20 levels."""


def parse(text: str | bytes) -> Any:
    """Return the parsed value. Raises ValueError if the text is not JSON or is nested more than MAX_DEPTH levels."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for one in level for item in _items(one)]
        if not level:
            return value
    raise ValueError("nested too deeply")


def text_field(value: Mapping[str, Any], name: str) -> str:
    """Return a field that is a text; empty if it is missing or anything else."""
    found = value.get(name)
    return found if isinstance(found, str) else ""


def object_field(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a field that is an object; an empty one if it is missing or anything else."""
    found = value.get(name)
    return found if isinstance(found, Mapping) else {}


def objects_field(value: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return the objects in a field that is a list; none if it is missing or anything else."""
    found = value.get(name)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _items(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
