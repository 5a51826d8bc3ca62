"""Builds a document block by block, so that every block knows its exact place in the text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from knowledge.types import Block, BlockKind


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document before its source has a say: what its own bytes tell."""

    title: str
    text: str
    blocks: tuple[Block, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The keys of knowledge.metadata, as far as the document itself tells."""


@dataclass(slots=True)
class Builder:
    """Appends blocks, an empty line between two, and keeps the path of headings."""

    page: int | None = None
    _parts: list[str] = field(default_factory=list)
    _length: int = 0
    _blocks: list[Block] = field(default_factory=list)
    _path: list[tuple[int, str]] = field(default_factory=list)

    def heading(self, level: int, text: str) -> None:
        """A heading of a level from 1; deeper headings until the next of this level are below it."""
        title = " ".join(text.split())
        if not title:
            return
        self._path = [(above, name) for above, name in self._path if above < level]
        self.add("heading", title)
        self._path.append((level, title))

    def add(self, kind: BlockKind, text: str) -> None:
        """A block; empty ones are left out."""
        text = text.strip("\n").rstrip()
        if not text.strip():
            return
        if self._parts:
            self._parts.append("\n\n")
            self._length += 2
        self._parts.append(text)
        path = tuple(name for _, name in self._path)
        self._blocks.append(Block(kind, self._length, self._length + len(text), path, self.page))
        self._length += len(text)

    def table(self, rows: list[list[str]]) -> None:
        """A table as lines of cells between bars, the first row as its head."""
        cells = [
            [" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows if any(map(str.strip, row))
        ]
        if not cells:
            return
        width = max(map(len, cells))
        lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in cells]
        lines.insert(1, "|" + " --- |" * width)
        self.add("table", "\n".join(lines))

    def first_heading(self) -> str:
        text = "".join(self._parts)
        return next((text[b.start : b.end] for b in self._blocks if b.kind == "heading"), "")

    def build(self, title: str = "") -> Parsed:
        """The document so far, titled by its first heading where no title is given."""
        return Parsed(title or self.first_heading(), "".join(self._parts), tuple(self._blocks))
