"""Parses Word documents (DOCX): headings, paragraphs, numbered lists, tables, text boxes, notes, headers and footers.

Deleted text, hidden text and comments are left out, and a warning says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from knowledge.errors import ParseError
from knowledge.metadata import AUTHOR, DATE, LANGUAGE
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.parsing.embedded_pictures import EmbeddedPictures
from knowledge.parsing.office.docx_styles import Numbering, Styles, heading_level, style_name
from knowledge.parsing.office.docx_tables import add_table
from knowledge.parsing.office.docx_text import ParagraphText, TextReader
from knowledge.parsing.office.ooxml_graphics import add_graphic
from knowledge.parsing.office.ooxml_package import (
    PACKAGE_ERRORS,
    Package,
    attribute,
    child,
    children,
    core_properties,
    descendants,
    local_name,
)
from knowledge.parsing.office.page_headers import add_page_headers
from knowledge.parsing.parse_options import NO_OPTIONS, ParseOptions

MAX_NESTING = 50
"""Levels of tables, text boxes and content controls that are read, one inside the other."""
_TRANSPARENT = frozenset(("sdt", "sdtContent", "customXml", "ins", "moveTo", "smartTag", "AlternateContent", "Choice"))
_NOTE_KINDS = ("footnote", "endnote", "comment")


def parse(data: bytes, options: ParseOptions = NO_OPTIONS) -> ParsedDocument:
    """Parse a DOCX file. ``options.include_hidden`` adds deleted text, hidden text and comments.

    Raises ParseError if parts of the file are missing or damaged.
    """
    try:
        package = Package(data)
        main = package.related("", "officeDocument")[0]
        body = child(package.xml(main), "body")
        writer = _Writer(package, main, options)
    except (*PACKAGE_ERRORS, IndexError):
        raise _damaged() from None
    if body is None:
        raise _damaged()
    writer.page_headers(body)
    writer.blocks(body)
    writer.warn()
    properties = core_properties(package)
    title = writer.titles[0] if writer.titles else properties.get("title", "")
    metadata = {
        AUTHOR: properties.get("creator", ""),
        LANGUAGE: properties.get("language", ""),
        DATE: _iso_date(properties.get("modified", "")),
    }
    return replace(writer.builder.build(title), metadata={key: value for key, value in metadata.items() if value})


def _damaged() -> ParseError:
    return ParseError("it is damaged and cannot be opened. Save it again in Word")


def _iso_date(written: str) -> str:
    try:
        return datetime.fromisoformat(written).isoformat()
    except ValueError:
        return ""


class _Writer:
    """Writes the blocks of one document in the order in which they are read."""

    def __init__(self, package: Package, main: str, options: ParseOptions) -> None:
        self.builder = Builder()
        self._pictures = EmbeddedPictures(self.builder, options.recognizer)
        self.titles: list[str] = []
        self._package = package
        self._part = main
        self._include_hidden = options.include_hidden
        self._reader = TextReader(include_hidden=options.include_hidden)
        self._styles = Styles.of(self._root("styles"))
        self._numbering = Numbering.of(self._root("numbering"))
        self._notes = {kind: self._notes_of(kind) for kind in _NOTE_KINDS}
        self._note_count = 0
        self._comments_left_out = 0
        self._depth = 0

    def page_headers(self, body: Any) -> None:
        """Add each header and footer of a page once. One without letters, such as a page number, is left out."""
        parts = self._package.relationships(self._part)
        texts: list[str] = []
        for reference in descendants(body, "headerReference", "footerReference"):
            linked = parts.get(attribute(reference, "id"))
            root = None if linked is None else self._read_part(linked.target)
            texts.append("" if root is None else "\n".join(self._lines(root)))
        add_page_headers(self.builder, texts)

    def _lines(self, container: Any) -> Iterator[str]:
        """Yield the text of each paragraph of a header, footer or note, also of those in its tables and text boxes."""
        for item in container:
            name = local_name(item)
            if name == "p":
                found = self._reader.read(item)
                yield from filter(None, [found.text.strip()])
                for box in found.boxes:
                    yield from self._lines(box)
            elif name != "Fallback":
                yield from self._lines(item)

    def blocks(self, container: Any) -> None:
        """Add the paragraphs and tables of a body, cell, text box or note."""
        if self._depth >= MAX_NESTING:
            self.builder.warn(f"content nested deeper than {MAX_NESTING} levels was left out")
            return
        self._depth += 1
        for item in container:
            name = local_name(item)
            if name == "p":
                self._paragraph(item)
            elif name == "tbl":
                self._table(item)
            elif name in _TRANSPARENT:
                self.blocks(item)
            elif name in ("oMathPara", "oMath"):
                self.builder.add("paragraph", self._reader.read(item).text)
            elif name == "altChunk":
                self._imported(attribute(item, "id"))
        self._depth -= 1

    def _imported(self, identifier: str) -> None:
        """Add a web page or text that Word takes into the document when it opens the file."""
        from knowledge.parsing import parsers

        linked = self._package.relationships(self._part).get(identifier)
        if linked is None or linked.target not in self._package.names:
            return
        name, data = linked.target.rsplit("/", 1)[-1], self._package.read(linked.target)
        try:
            if data.startswith(b"PK"):
                raise ParseError("it is an archive. Add it as a file of its own")
            # An archive of a web page (MHT) has the form of a mail.
            media_type = "message/rfc822" if b"MIME-Version:" in data[:999] else ""
            self.builder.include(parsers.parse(data, name, media_type))
        except ParseError as error:
            self.builder.warn(f"{name}, which the document imports, was left out: {error}")

    def warn(self) -> None:
        """Say what was left out of the document, and what was read of its pictures."""
        self._pictures.warn()
        if self._include_hidden:
            return
        for count, what in (
            (self._reader.deletions, "deleted text of tracked changes"),
            (self._reader.hidden, "hidden text"),
            (self._comments_left_out, "comments"),
        ):
            if count:
                self.builder.warn(f"{what} left out ({count}). Add it with --include-hidden")

    def cell_text(self, cell: Any, beside: list[ParagraphText]) -> str:
        """Return the text of a table cell without nested tables. What stands beside its text is added to ``beside``."""
        lines = []
        for item in cell:
            name = local_name(item)
            if name == "p":
                found = self._reader.read(item)
                beside.append(found)
                label = self._label(item)
                lines.append(f"{label} {found.text}" if label and found.text.strip() else found.text)
            elif name in _TRANSPARENT:
                lines.append(self.cell_text(item, beside))
        return "\n".join(line for line in lines if line.strip())

    def beside(self, found: ParagraphText) -> None:
        """Add the text boxes, graphics and notes of a paragraph that has been written."""
        for box in found.boxes:
            self.blocks(box)
        for kind, identifier in found.graphics:
            linked = self._package.relationships(self._part).get(identifier)
            if linked is not None and kind == "picture":
                self._picture(linked.target)
            elif linked is not None:
                add_graphic(self.builder, self._package, linked.target)
        for kind, identifier in found.notes:
            self._note(kind, identifier)

    def _picture(self, part: str) -> None:
        try:
            self._pictures.add(self._package.read(part))
        except PACKAGE_ERRORS:
            self.builder.warn("a picture is damaged and was left out")

    def _paragraph(self, paragraph: Any) -> None:
        found = self._reader.read(paragraph)
        if found.text.strip():
            self._write_paragraph(paragraph, found.text)
        self.beside(found)

    def _write_paragraph(self, paragraph: Any, text: str) -> None:
        chain = self._styles.chain(paragraph)
        names = [style_name(style) for style in chain]
        level = heading_level(paragraph, chain)
        item = self._numbering.item(paragraph, chain)
        label = f"{item.label} " if item and item.label else ""
        if "Title" in names:
            self.titles.append(" ".join(text.split()))
            self.builder.heading(1, text)
        elif level:
            self.builder.heading(level, ("" if label == "- " else label) + text)
        elif item:
            self.builder.add("list", "  " * item.level + label + text)
        elif names and names[0].startswith("List"):
            self.builder.add("list", f"- {text}")
        else:
            code = any("code" in name.lower() for name in names[:1])
            self.builder.add("code" if code else "paragraph", text)

    def _label(self, paragraph: Any) -> str:
        item = self._numbering.item(paragraph, self._styles.chain(paragraph))
        return item.label if item else ""

    def _table(self, table: Any) -> None:
        try:
            add_table(self, table)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            self.builder.warn("a table is damaged and was left out. Save the document again in Word")

    def _note(self, kind: str, identifier: str) -> None:
        note = self._notes[kind].get(identifier)
        if note is None:
            return
        if kind == "comment" and not self._include_hidden:
            self._comments_left_out += 1
            return
        text = "\n".join(self._lines(note))
        if not text:
            return
        self._note_count += kind != "comment"
        author = attribute(note, "author")
        name = f"Comment by {author}" if kind == "comment" else f"Note {self._note_count}"
        self.builder.add("paragraph", f"{name}: {text}")

    def _notes_of(self, kind: str) -> dict[str, Any]:
        return {attribute(note, "id"): note for note in children(self._root(f"{kind}s"), kind)}

    def _root(self, kind: str) -> Any:
        parts = self._package.related(self._part, kind)
        return self._read_part(parts[0]) if parts else None

    def _read_part(self, name: str) -> Any:
        """Return the root of a part. A missing or damaged part is left out; the rest is read."""
        try:
            return self._package.xml(name)
        except (*PACKAGE_ERRORS, ParseError):
            self.builder.warn(f"the part {name} of the file is damaged and was left out")
            return None
