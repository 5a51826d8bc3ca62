"""What stands in front of a chunk when it is embedded and indexed; it is no part of its text and offsets. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def header(title: str, heading: Sequence[str]) -> str:
    """Title and heading path, without saying anything twice in a row."""
    parts: list[str] = []
    for part in (title, *heading):
        if part and (not parts or part.casefold() != parts[-1].casefold()):
            parts.append(part)
    return " > ".join(parts)


def indexed_text(title: str, heading: Sequence[str], text: str) -> str:
    """A chunk as it is embedded and indexed."""
    front = header(title, heading)
    return f"{front}\n{text}" if front else text
