"""Headers of chunks: title and headings that are embedded and indexed with a chunk but not part of its text.

Does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile


def header(title: str, heading: Sequence[str]) -> str:
    """Return the title and heading path, without a part that repeats the one before it."""
    parts: list[str] = []
    for part in (title, *heading):
        if part and (not parts or part.casefold() != parts[-1].casefold()):
            parts.append(part)
    return " > ".join(parts)


def with_header(chunk_header: str, text: str) -> str:
    """Return a chunk's header and text, as they are embedded and indexed."""
    return f"{chunk_header}\n{text}" if chunk_header else text


def indexed_text(title: str, heading: Sequence[str], text: str) -> str:
    """Return the text of a chunk with its header, which is made of the title and heading path."""
    return with_header(header(title, heading), text)


def shared_path(paths: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the headings that one or more heading paths have in common, outermost first."""
    levels = takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))
    return tuple(names[0] for names in levels)
