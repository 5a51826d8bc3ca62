"""Parses Word documents (DOCX): headings by style, paragraphs, lists and tables in document order."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace
from typing import Any

import docx
from docx.table import Table
from docx.text.paragraph import Paragraph

from knowledge.errors import ParseError
from knowledge.metadata import AUTHOR, DATE, LANGUAGE
from knowledge.parsing.document_builder import Builder, ParsedDocument

_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)


def parse(data: bytes) -> ParsedDocument:
    """Parse a DOCX file. Raises ParseError if parts of the file are missing or damaged."""
    try:
        document = docx.Document(io.BytesIO(data))
    except (ValueError, KeyError, zipfile.BadZipFile, OSError, SyntaxError):
        raise ParseError("it is damaged and cannot be opened; save it again in Word") from None
    builder = Builder()
    titles: list[str] = []
    for item in document.iter_inner_content():
        if isinstance(item, Table):
            builder.table(_rows(item))
        else:
            _add_paragraph(builder, item, titles)
    properties = document.core_properties
    parsed = builder.build(titles[0] if titles else str(properties.title or "").strip())
    modified = properties.modified.isoformat() if properties.modified else ""
    metadata = {AUTHOR: properties.author, LANGUAGE: properties.language, DATE: modified}
    return replace(parsed, metadata={key: str(value) for key, value in metadata.items() if value})


def _add_paragraph(builder: Builder, paragraph: Paragraph, titles: list[str]) -> None:
    style = str(getattr(paragraph.style, "name", "") or "")
    level = _HEADING.match(style)
    if style == "Title" and paragraph.text.strip():
        titles.append(" ".join(paragraph.text.split()))
        builder.heading(1, paragraph.text)
    elif level:
        builder.heading(int(level.group(1)), paragraph.text)
    elif style.startswith("List"):
        builder.add("list", f"- {paragraph.text}")
    else:
        builder.add("code" if "code" in style.lower() else "paragraph", paragraph.text)


def _rows(table: Any) -> list[list[str]]:
    """Return the text of each row's cells. A cell that spans columns is returned once."""
    rows = []
    for row in table.rows:
        cells: list[Any] = []
        for cell in row.cells:
            if not cells or cell._tc is not cells[-1]._tc:
                cells.append(cell)
        rows.append([cell.text for cell in cells])
    return rows
