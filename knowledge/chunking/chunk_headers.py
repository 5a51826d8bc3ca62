"""Headers of chunks: title and headings that are embedded and indexed with a chunk but not part of its text.

Does no I/O.
"""

from __future__ import annotations

from collections.abc import Sequence


def header(title: str, heading: Sequence[str]) -> str:
    """Return the title and heading path, without a part that repeats the one before it."""
    parts: list[str] = []
    for part in (title, *heading):
        if part and (not parts or part.casefold() != parts[-1].casefold()):
            parts.append(part)
    return " > ".join(parts)


def indexed_text(title: str, heading: Sequence[str], text: str) -> str:
    """Return a chunk's header and text, as they are embedded and indexed."""
    prefix = header(title, heading)
    return f"{prefix}\n{text}" if prefix else text
