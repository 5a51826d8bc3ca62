"""Adds the pages of a PDF to a document: entries of the outline as headings, tables, and paragraphs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from knowledge.parsing.csv_tables import add_rows
from knowledge.parsing.document_builder import Builder
from knowledge.parsing.pdf.pdf_tables import PdfTable

SAME_COLUMN = 4.0
"""Points by which the columns of a table may differ on the page where it goes on."""
_PARAGRAPH = re.compile(r"\n[ \t]*\n")


class PageWriter:
    """Adds pages one after the other. A table at the top of a page may go on from the page before."""

    def __init__(self, builder: Builder, tables: Mapping[str, PdfTable]) -> None:
        self._builder = builder
        self._tables = tables
        self._open: PdfTable | None = None

    def add(self, text: str, outline: Sequence[tuple[int, str]]) -> None:
        """Add a page. A line that is an entry of the outline for this page, with its level, is a heading."""
        levels = {_folded(title): level for level, title in reversed(outline)}
        for paragraph in _PARAGRAPH.split(text):
            lines: list[str] = []
            for line in paragraph.split("\n"):
                table = self._tables.get(line.strip())
                level = levels.pop(_folded(line), 0)
                if table is None and not level:
                    lines.append(line)
                    continue
                self._add_lines(lines)
                lines = []
                if table is not None:
                    self._add_table(table)
                else:
                    self._open = None
                    self._builder.heading(level, line)
            self._add_lines(lines)

    def _add_lines(self, lines: Sequence[str]) -> None:
        text = "\n".join(lines)
        if text.strip():
            self._open = None
            self._builder.add("paragraph", text)

    def _add_table(self, table: PdfTable) -> None:
        rows = table.rows
        self._builder.add("paragraph", table.title)
        goes_on = self._open is not None and not table.title and _has_columns_of(table, self._open)
        if table.lines and not goes_on:
            self._add_lines(table.lines)
            return
        if self._open is not None and goes_on:
            header = self._open.rows[0]
            rows = rows if rows[0] == header else [header, *rows]
        self._open = PdfTable(rows, table.columns)
        add_rows(self._builder, rows)


def _has_columns_of(table: PdfTable, other: PdfTable) -> bool:
    same = len(table.columns) == len(other.columns)
    return same and all(abs(a - b) <= SAME_COLUMN for a, b in zip(table.columns, other.columns, strict=True))


def _folded(line: str) -> str:
    return "".join(line.split()).casefold()
