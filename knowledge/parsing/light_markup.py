"""Parses reStructuredText, AsciiDoc and Org. The text stays as written, and blocks are offsets into it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from knowledge.metadata import AUTHOR, DATE, LANGUAGE, as_date
from knowledge.parsing import front_matter
from knowledge.parsing.document_builder import ParsedDocument
from knowledge.types.documents import Block, BlockKind

Dialect = Literal["rst", "asciidoc", "org"]

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{1,}[ \t]*")
_ASCIIDOC_HEADING = re.compile(r"(={1,6}|#{1,6})[ \t]+(\S.*?)(?:[ \t]+\1)?[ \t]*")
_ASCIIDOC_UNDERLINES = "=-~^+"
_ORG_HEADING = re.compile(
    r"(\*+)[ \t]+(?:(?:TODO|DONE|NEXT|WAITING)[ \t]+)?(?:\[#[A-Z]\][ \t]+)?(.*?)(?:[ \t]+:[\w@:]+:)?[ \t]*"
)
_RST_CODE = re.compile(r"\.\. (?:code|code-block|sourcecode|parsed-literal|math)::")
_FENCES: dict[Dialect, tuple[tuple[re.Pattern[str], BlockKind], ...]] = {
    "rst": (),
    "asciidoc": (
        (re.compile(r"-{4,}|\.{4,}|`{3,}\w*"), "code"),
        (re.compile(r"[|,:!]={3,}"), "table"),
        (re.compile(r"/{4,}"), "paragraph"),
    ),
    "org": ((re.compile(r"(?i)[ \t]*#\+begin_(?:src|example).*"), "code"),),
}
"""Lines that start and end a block whose lines are not looked at, and what such a block is."""
_COMMENTS: dict[Dialect, re.Pattern[str]] = {
    "rst": re.compile(r"\.\.(?:[ \t](?!.*::)(?!\[|_|\|).*)?"),
    "asciidoc": re.compile(r"//(?!/).*|/{4,}"),
    "org": re.compile(r"[ \t]*#(?:[ \t].*)?"),
}
_FIELDS: dict[Dialect, re.Pattern[str]] = {
    "rst": re.compile(r":(\w[\w -]*):[ \t]+(\S.*)"),
    "asciidoc": re.compile(r":(\w[\w-]*):[ \t]+(\S.*)"),
    "org": re.compile(r"#\+(\w+):[ \t]+(\S.*)"),
}
_KEYS = {"author": AUTHOR, "authors": AUTHOR, "date": DATE, "revdate": DATE, "lang": LANGUAGE, "language": LANGUAGE}
_TABLES = re.compile(r"[ \t]*(?:\+[-=+]{3,}\+|={2,}(?:[ \t]+={2,})+|\|.*\|)[ \t]*")


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text.rstrip())


@dataclass(slots=True)
class _Reader:
    """Reads lines one after the other and collects blocks, with the path of headings above them."""

    dialect: Dialect
    lines: Sequence[_Line]
    blocks: list[Block] = field(default_factory=list)
    title: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    _path: list[tuple[int, str]] = field(default_factory=list)
    _styles: list[str] = field(default_factory=list)

    def read(self) -> None:
        at = 0
        while at < len(self.lines):
            if not self.lines[at].text.strip():
                at += 1
                continue
            at = self._heading(at) or self._fenced(at) or self._paragraph(at)

    def _heading(self, at: int) -> int:
        """Read a heading, and return the number of the line behind it; 0 if there is none."""
        found = _heading_at(self.dialect, self.lines, at)
        if found is None:
            return 0
        style, title, count = found
        level = self._level(style)
        self._path = [(above, name) for above, name in self._path if above < level]
        self._add("heading", at, at + count)
        self._path.append((level, title))
        self.title = self.title or title
        return at + count

    def _level(self, style: str) -> int:
        """Return the level of a style: its length, or the place in the order in which the styles first appear."""
        if self.dialect != "rst":
            return int(style)
        if style not in self._styles:
            self._styles.append(style)
        return self._styles.index(style) + 1

    def _fenced(self, at: int) -> int:
        """Read a block between two lines, and return the number of the line behind it; 0 if there is none."""
        opening = self.lines[at].text.rstrip()
        for pattern, kind in _FENCES[self.dialect]:
            if pattern.fullmatch(opening):
                closing = _closing_line(opening)
                end = at + 1
                while end < len(self.lines) and self.lines[end].text.strip().lower() != closing:
                    end += 1
                if not opening.startswith("//"):
                    self._add(kind, at, min(end + 1, len(self.lines)))
                return end + 1
        return 0

    def _paragraph(self, at: int) -> int:
        """Read lines up to an empty one or the next heading, and return the number of the line behind them."""
        end = at + 1
        while end < len(self.lines) and self.lines[end].text.strip():
            starts = _heading_at(self.dialect, self.lines, end) is not None and self.dialect != "rst"
            if starts or any(pattern.fullmatch(self.lines[end].text.rstrip()) for pattern, _ in _FENCES[self.dialect]):
                break
            end += 1
        lines = self.lines[at:end]
        if not self.blocks or len(self._path) <= 1:
            self._read_fields(lines)
        if self._is_comment(lines):
            return end
        first, last = lines[0].text, lines[-1].text.rstrip()
        is_code = self.dialect == "rst" and bool(_RST_CODE.match(first))
        self._add("code" if is_code else "table" if _TABLES.fullmatch(first) else "paragraph", at, end)
        literal = self.dialect == "rst" and last.endswith("::") and not first.startswith("..")
        return self._indented(end) if is_code or literal else end

    def _is_comment(self, lines: Sequence[_Line]) -> bool:
        comment = _COMMENTS[self.dialect]
        if self.dialect == "rst":
            return bool(comment.fullmatch(lines[0].text.rstrip()))
        return all(comment.fullmatch(line.text.rstrip()) for line in lines)

    def _indented(self, at: int) -> int:
        """Read indented lines as code, with the empty lines between them. Return the number of the line behind them."""
        end = at
        for index in range(at, len(self.lines)):
            text = self.lines[index].text
            if text.strip() and not text[0].isspace():
                break
            end = index + 1 if text.strip() else end
        first = next((index for index in range(at, end) if self.lines[index].text.strip()), end)
        if first < end:
            self._add("code", first, end)
        return end

    def _read_fields(self, lines: Sequence[_Line]) -> None:
        for line in lines:
            found = _FIELDS[self.dialect].fullmatch(line.text.rstrip())
            if found is None:
                continue
            name, value = found.group(1).lower(), found.group(2).strip()
            if name == "title":
                self.title = value
            key = _KEYS.get(name)
            if key and (key != DATE or as_date(value.strip("<>[]"))):
                self.metadata.setdefault(key, value.strip("<>[]"))

    def _add(self, kind: BlockKind, first: int, behind: int) -> None:
        start, end = self.lines[first].start, self.lines[behind - 1].end
        if end > start:
            self.blocks.append(Block(kind, start, end, tuple(name for _, name in self._path)))


def parse(text: str, dialect: Dialect) -> ParsedDocument:
    """Parse a text. Its title is that of its fields, or its first heading."""
    front = front_matter.read(text) if dialect == "asciidoc" else front_matter.FrontMatter()
    reader = _Reader(dialect, list(_lines(text, front.end)))
    reader.read()
    fields = (Block("paragraph", front.start, front.stop - 1),) if front.stop > front.start + 1 else ()
    metadata = {**reader.metadata, **front.metadata}
    return ParsedDocument(front.title or reader.title, text, (*fields, *reader.blocks), metadata)


def _lines(text: str, start: int) -> Iterator[_Line]:
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield _Line(text[start:end], start)
        start = end + 1


def _closing_line(opening: str) -> str:
    """Return the line, in lower case, that ends what a line starts."""
    first = opening.strip().lower().split()[0]
    if first.startswith("#"):
        return first.replace("#+begin", "#+end")
    return "```" if first.startswith("```") else first


def _heading_at(dialect: Dialect, lines: Sequence[_Line], at: int) -> tuple[str, str, int] | None:
    """Return the style, the title and the number of lines of a heading."""
    line = lines[at].text
    if dialect == "org":
        found = _ORG_HEADING.fullmatch(line)
        return (str(len(found.group(1))), found.group(2).strip(), 1) if found and found.group(2).strip() else None
    if dialect == "asciidoc":
        found = _ASCIIDOC_HEADING.fullmatch(line)
        if found:
            return str(len(found.group(1))), found.group(2).strip(), 1
        under = lines[at + 1].text.rstrip() if at + 1 < len(lines) else ""
        same = len(under) >= 4 and len(set(under)) == 1 and under[0] in _ASCIIDOC_UNDERLINES
        if same and abs(len(under) - len(line.rstrip())) <= 2 and line[:1].isalnum():
            return str(_ASCIIDOC_UNDERLINES.index(under[0]) + 1), line.strip(), 2
        return None
    return _rst_heading(lines, at)


def _rst_heading(lines: Sequence[_Line], at: int) -> tuple[str, str, int] | None:
    """Return a title with a line of punctuation below it, and perhaps the same above it."""
    line = lines[at].text.rstrip()
    if at + 2 < len(lines) and _ADORNMENT.fullmatch(line) and lines[at + 2].text.rstrip() == line:
        title = lines[at + 1].text.strip()
        if title and len(title) <= len(line) + 1:
            return f"{line[0]}over", title, 3
    under = lines[at + 1].text.rstrip() if at + 1 < len(lines) else ""
    if not line or line[0].isspace() or _ADORNMENT.fullmatch(line) or not _ADORNMENT.fullmatch(under):
        return None
    blank_before = at == 0 or not lines[at - 1].text.strip() or _ADORNMENT.fullmatch(lines[at - 1].text.rstrip())
    return (under[0], line.strip(), 2) if blank_before and len(under) >= min(len(line), 4) else None
