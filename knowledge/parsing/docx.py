"""Word documents (DOCX): headings by style, lists and tables in the order of the text."""

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
from knowledge.parsing.document_builder import Builder, Parsed

_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)


def parse(data: bytes) -> Parsed:
    """Raises ParseError where the parts do not make a document."""
    try:
        document = docx.Document(io.BytesIO(data))
    except (ValueError, KeyError, zipfile.BadZipFile, OSError, SyntaxError):
        raise ParseError("it is broken: Word's own parts are missing in it; save it again") from None
    builder = Builder()
    titles: list[str] = []
    for item in document.iter_inner_content():
        if isinstance(item, Table):
            builder.table(_rows(item))
        else:
            _paragraph(builder, item, titles)
    told = document.core_properties
    parsed = builder.build(titles[0] if titles else str(told.title or "").strip())
    metadata = {AUTHOR: told.author, LANGUAGE: told.language, DATE: told.modified.isoformat() if told.modified else ""}
    return replace(parsed, metadata={key: str(value) for key, value in metadata.items() if value})


def _paragraph(builder: Builder, paragraph: Paragraph, titles: list[str]) -> None:
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
    """Cells that span columns come once."""
    rows = []
    for row in table.rows:
        cells: list[Any] = []
        for cell in row.cells:
            if not cells or cell._tc is not cells[-1]._tc:
                cells.append(cell)
        rows.append([cell.text for cell in cells])
    return rows
