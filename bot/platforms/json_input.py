"""Parses JSON that arrives over the network. Refuses values that are nested too deeply for the code that reads them."""

from __future__ import annotations

import json
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


def _items(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
