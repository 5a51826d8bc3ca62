"""A mapping that forgets its oldest entries, for what a process remembers about people, channels and threads."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

MOST_ENTRIES = 10_000
"""Entries that are kept if no other number is given."""


class RecentEntries(OrderedDict[Key, Value]):
    """Keeps the entries that were set last, at most ``most`` of them. Use it where a lost entry only costs time."""

    def __init__(self, most: int | None = None) -> None:
        super().__init__()
        self._most = MOST_ENTRIES if most is None else most

    def __setitem__(self, key: Key, value: Value) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        while len(self) > self._most:
            self.popitem(last=False)
