"""Builds a parsed document block by block and records the exact offsets of each block in the text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from knowledge.text.numbered_names import numbered
from knowledge.types.documents import Block, BlockKind


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file attached to a mail: its name, below the mail's in a mailbox (``Offer (Ann)/plan.pdf``), and its bytes.

    ``content_type`` is what the mail says about it, and only a hint.
    """

    name: str
    data: bytes
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """What a parser reads from a file: title, text, blocks and the metadata that the file itself contains."""

    title: str
    text: str
    blocks: tuple[Block, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The keys of ``knowledge.metadata`` that the file has values for."""
    warnings: tuple[str, ...] = ()
    """What was left out of the text, such as hidden sheets or pages without text: a sentence for users each."""
    attached: tuple[AttachedFile, ...] = ()
    """Files that are documents of their own. Their names differ."""


@dataclass(slots=True)
class Builder:
    """Appends blocks, separated by an empty line, and tracks the path of headings above them."""

    page: int | None = None
    warnings: dict[str, None] = field(default_factory=dict)
    """The sentences that ``warn`` was called with, in their order."""
    _attached: dict[str, AttachedFile] = field(default_factory=dict)
    _last_numbers: dict[str, int] = field(default_factory=dict)
    """The last number of the attached files of each name."""
    _parts: list[str] = field(default_factory=list)
    _length: int = 0
    _blocks: list[Block] = field(default_factory=list)
    _path: list[tuple[int, str]] = field(default_factory=list)

    def heading(self, level: int, text: str) -> None:
        """Add a heading. Level 1 is the highest; what follows is below it until the next heading of its level."""
        title = " ".join(text.split())
        if not title:
            return
        self._path = [(above, name) for above, name in self._path if above < level]
        self.add("heading", title)
        self._path.append((level, title))

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Put what is added within below a heading that the text itself does not have."""
        above = list(self._path)
        self._path.append((max((level for level, _ in above), default=0) + 1, title))
        yield
        self._path = above

    def add(self, kind: BlockKind, text: str) -> None:
        """Add a block. A block without text is left out."""
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
        """Add a Markdown table with ``rows[0]`` as its header. Empty rows are left out."""
        cells = [
            [" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows if any(map(str.strip, row))
        ]
        if not cells:
            return
        width = max(map(len, cells))
        lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in cells]
        lines.insert(1, "|" + " --- |" * width)
        self.add("table", "\n".join(lines))

    def running_lines(self, lines: Sequence[str]) -> None:
        """Add headers and footers that repeat, at the end of the document, where they stand below no heading."""
        self.page, self._path = None, []
        self.add("running_lines", "\n".join(lines))

    def include(self, document: ParsedDocument, level: int = 1) -> None:
        """Add the blocks of another document with their pages. Its highest headings get this level."""
        page = self.page
        for block in document.blocks:
            self.page = block.page
            text = document.text[block.start : block.end]
            if block.kind == "heading":
                self.heading(len(block.heading) + level, text)
            else:
                self.add(block.kind, text)
        self.page = page

    def warn(self, sentence: str) -> None:
        """Record what is left out of the text. The sentence says what is missing and what to do; repeats count once."""
        self.warnings[sentence] = None

    def attach(self, file: AttachedFile) -> str:
        """Add an attached file, and return its name. Of files with one name, the second is called ``plan (2).pdf``."""
        name, number = file.name, self._last_numbers.get(file.name, 1)
        while name in self._attached:
            number += 1
            name = numbered(file.name, number)
        self._last_numbers[file.name] = number
        self._attached[name] = replace(file, name=name)
        return PurePosixPath(name).name

    def first_heading(self) -> str:
        """Return the text of the first heading; empty if there is none."""
        text = "".join(self._parts)
        return next((text[b.start : b.end] for b in self._blocks if b.kind == "heading"), "")

    def build(self, title: str = "") -> ParsedDocument:
        """Return the document built so far. Without a ``title``, its first heading is the title."""
        text, blocks = "".join(self._parts), tuple(self._blocks)
        return ParsedDocument(
            title or self.first_heading(), text, blocks, {}, tuple(self.warnings), tuple(self._attached.values())
        )
