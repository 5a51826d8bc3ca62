"""Parses OpenDocument files: texts (ODT), workbooks (ODS) and presentations (ODP).

Comments are left out, and a warning says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from knowledge.errors import ParseError
from knowledge.metadata import AUTHOR, DATE, LANGUAGE
from knowledge.parsing import superscripts
from knowledge.parsing.csv_tables import MAX_ROWS, add_rows
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.parsing.office.ooxml_package import (
    PACKAGE_ERRORS,
    Package,
    attribute,
    child,
    children,
    descendants,
    local_name,
)
from knowledge.parsing.parse_options import NO_OPTIONS, ParseOptions
from knowledge.whole_numbers import whole_number

MAX_REPEATED_COLUMNS = 1000
MAX_DEPTH = 50
_SKIPPED = frozenset(("annotation", "annotation-end", "tracked-changes", "bookmark", "notes", "forms", "note-citation"))
_VALUES = ("string-value", "date-value", "time-value", "boolean-value", "value")
"""Attributes with the value of a cell, which a program may save without a text."""
_WHITE_SPACE = {"tab": "\t", "line-break": "\n", "s": " "}
_METADATA = {"creator": AUTHOR, "date": DATE, "language": LANGUAGE}


def parse(data: bytes, options: ParseOptions = NO_OPTIONS) -> ParsedDocument:
    """Parse an OpenDocument file. ``options.include_hidden`` adds comments, hidden sheets, rows, columns and slides.

    Raises ParseError if it is damaged or encrypted.
    """
    try:
        package = Package(data)
        root = package.xml("content.xml")
        writer = _Writer(root, include_hidden=options.include_hidden)
        for body in children(child(root, "body"), "text"):
            writer.blocks(body, 0)
        for body in children(child(root, "body"), "spreadsheet"):
            for table in children(body, "table"):
                writer.sheet(table)
        for body in children(child(root, "body"), "presentation"):
            for number, page in enumerate(children(body, "page"), 1):
                writer.slide(page, number)
        writer.warn()
        about = _about(package)
    except (*PACKAGE_ERRORS, AttributeError):
        raise ParseError("it is damaged or encrypted and cannot be opened. Save it again without a password") from None
    metadata = {key: about[name] for name, key in _METADATA.items() if about.get(name)}
    return replace(writer.builder.build(about.get("title", "")), metadata=metadata)


def _about(package: Package) -> dict[str, str]:
    """Return what the document says about itself; empty without ``meta.xml``, which the format does not require."""
    meta = child(package.xml("meta.xml"), "meta") if "meta.xml" in package.names else None
    return {} if meta is None else {local_name(e): (e.text or "").strip() for e in meta}


class _Writer:
    def __init__(self, root: Any, *, include_hidden: bool) -> None:
        self.builder = Builder()
        self._include_hidden = include_hidden
        self._comments_left_out = 0
        self._seen_comments: set[Any] = set()
        styles = list(descendants(root, "style"))
        self._raised = {
            attribute(style, "name")
            for style in styles
            if _is_raised(attribute(child(style, "text-properties"), "text-position"))
        }
        self._hidden = {
            attribute(style, "name")
            for style in styles
            if any(
                attribute(p, "display") == "false" or attribute(p, "visibility") == "hidden"
                for name in ("table-properties", "drawing-page-properties")
                for p in children(style, name)
            )
        }

    def warn(self) -> None:
        """Say how many comments were left out."""
        if self._comments_left_out:
            self.builder.warn(f"comments left out ({self._comments_left_out}). Add them with --include-hidden")

    def _comments(self, element: Any) -> None:
        """Add the comments within an element, each once, or count those that are left out."""
        for comment in descendants(element, "annotation"):
            if comment in self._seen_comments:
                continue
            self._seen_comments.add(comment)
            if not self._include_hidden:
                self._comments_left_out += 1
                continue
            text = "\n".join(filter(None, (self._text(p).strip() for p in descendants(comment, "p"))))
            author = child(comment, "creator")
            name = "Comment" if author is None else f"Comment by {author.text}"
            self.builder.add("paragraph", f"{name}: {text}" if text else "")

    def _text(self, paragraph: Any) -> str:
        return superscripts.written(_text(paragraph, self._raised))

    def blocks(self, container: Any, depth: int) -> None:
        """Add headings, paragraphs, lists and tables in order."""
        if depth > MAX_DEPTH:
            return
        for item in container:
            name = local_name(item)
            if name == "h":
                self.builder.heading(whole_number(attribute(item, "outline-level")) or 1, self._text(item))
                self._beside(item, depth)
            elif name == "p":
                self.builder.add("list" if self._in_list(item) else "paragraph", self._prefix(item) + self._text(item))
                self._beside(item, depth)
            elif name == "table":
                add_rows(self.builder, [row for row, _ in self._rows(item)])
                self._comments(item)
            elif name not in _SKIPPED:
                self.blocks(item, depth + 1)

    def sheet(self, table: Any) -> None:
        """Add a sheet of a workbook."""
        name = attribute(table, "name")
        if self._is_hidden(table):
            self.builder.warn(f"hidden sheets left out: {name}. Add them with --include-hidden")
            return
        self.builder.heading(1, name)
        region: list[list[str]] = []
        for row, shown in self._rows(table):
            if not shown:
                self.builder.warn(f"hidden rows of sheet {name} left out. Add them with --include-hidden")
            elif any(row):
                region.append(row)
                if len(region) > MAX_ROWS:
                    raise ParseError(f"it has more than {MAX_ROWS} rows. Split it into smaller files")
            elif region:
                add_rows(self.builder, region)
                region = []
        if region:
            add_rows(self.builder, region)
        self._comments(table)

    def slide(self, page: Any, number: int) -> None:
        """Add a slide of a presentation without its notes."""
        if self._is_hidden(page):
            self.builder.warn(f"hidden slide {number} left out. Add it with --include-hidden")
            return
        self.builder.page = number
        titles = [f for f in children(page, "frame") if attribute(f, "class") == "title"]
        title = " ".join(self._text(p) for f in titles for p in descendants(f, "p"))
        self.builder.heading(1, title.strip() or f"Slide {number}")
        for shape in page:
            if shape not in titles and local_name(shape) not in _SKIPPED:
                self.blocks([shape], 0)
        for comment in children(page, "annotation"):
            self._comments(comment)

    def _is_hidden(self, element: Any) -> bool:
        return not self._include_hidden and attribute(element, "style-name") in self._hidden

    def _rows(self, table: Any) -> Iterator[tuple[list[str], bool]]:
        """Yield each row, and whether it is shown. Hidden columns are left out."""
        columns: list[bool] = []
        for column in descendants(table, "table-column"):
            shown = self._include_hidden or attribute(column, "visibility") in ("", "visible")
            columns += [shown] * _repeated(column, "number-columns-repeated")
        if not all(columns):
            name = attribute(table, "name")
            self.builder.warn(f"hidden columns of sheet {name} left out. Add them with --include-hidden")
        for row in descendants(table, "table-row"):
            cells: list[str] = []
            for cell in row:
                if local_name(cell) in ("table-cell", "covered-table-cell"):
                    cells += [self._cell_text(cell)] * _repeated(cell, "number-columns-repeated")
            cells = [text for index, text in enumerate(cells) if index >= len(columns) or columns[index]]
            while cells and not cells[-1].strip():
                cells.pop()
            shown = self._include_hidden or attribute(row, "visibility") in ("", "visible")
            yield cells, shown or not cells

    def _cell_text(self, cell: Any) -> str:
        """Return the text of a cell without its comments; of one that stores no text, its value."""
        lines = [self._text(p) for p in descendants(cell, "p") if not _is_in(p, "annotation")]
        return "\n".join(lines) if any(lines) else next(filter(None, (attribute(cell, name) for name in _VALUES)), "")

    def _beside(self, paragraph: Any, depth: int) -> None:
        """Add the notes, text boxes and comments of a paragraph."""
        self._comments(paragraph)
        for note in descendants(paragraph, "note-body", "text-box"):
            self.blocks(note, depth + 1)

    def _in_list(self, paragraph: Any) -> bool:
        return _is_in(paragraph, "list-item")

    def _prefix(self, paragraph: Any) -> str:
        level = sum(local_name(e) == "list-item" for e in paragraph.iterancestors())
        return "  " * (level - 1) + "- " if level else ""


def _is_in(element: Any, name: str) -> bool:
    return any(local_name(above) == name for above in element.iterancestors())


def _repeated(element: Any, name: str) -> int:
    written = whole_number(attribute(element, name))
    return 1 if written is None else min(written, MAX_REPEATED_COLUMNS)


def _is_raised(position: str) -> bool:
    """Return whether a text position, such as ``super 58%`` or ``33% 58%``, is above the line."""
    return position.startswith("super") or (whole_number(position.partition("%")[0]) or 0) > 0


def _text(element: Any, raised: Collection[str]) -> str:
    """Return the text of a paragraph without notes, comments and text boxes, which stand apart.

    Text in the styles ``raised`` is marked.
    """
    pieces = [element.text or ""]
    for item in element:
        name = local_name(item)
        if name in _WHITE_SPACE:
            pieces.append(_WHITE_SPACE[name] * _repeated(item, "c"))
        elif name not in _SKIPPED and name not in ("note", "text-box"):
            text = _text(item, raised)
            pieces.append(superscripts.marked(text) if attribute(item, "style-name") in raised else text)
        pieces.append(item.tail or "")
    return "".join(pieces)
