"""Reads ruled tables of a PDF page: the lines that are drawn, and the text in the cells between them."""

from __future__ import annotations

import ctypes
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pypdfium2.raw as pdfium

from knowledge.parsing.pdf.page_space import PageSpace
from knowledge.parsing.pdf.ruled_grid import MAX_RULES, Grid, Rule, grids_of
from knowledge.parsing.pdf.text_runs import line_text
from knowledge.parsing.reading_order import Word, rows_in_order

MAX_OBJECTS = 20_000
MAX_SEGMENTS = 4 * MAX_RULES
THIN = 3.0
"""Points of the shorter side of a filled rectangle that counts as a line."""
MIN_LENGTH = 4.0
MAX_HEADER_ROWS = 3
MIN_FILLED = 0.3
"""Share of the cells of a table that have text. Charts have fewer."""

MAX_REPEATED = 2.0
"""How many times as long as its text a table is with its merged cells repeated. Forms and drawings are longer."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class PdfTable:
    """The rows of a table; merged cells are repeated. ``columns`` are where its columns start and end, in points.

    ``title`` is the text of a first row that is one cell. ``lines`` is the text of a table whose first row does not
    name the columns: it is a table only if it goes on from the page before.
    """

    rows: list[list[str]]
    columns: tuple[float, ...]
    title: str = ""
    lines: tuple[str, ...] = ()


def grids_on(page: Any, space: PageSpace) -> list[Grid]:
    """Return the grids of lines on a page."""
    return grids_of(list(_rules(page, space)))


def table_of(grid: Grid, words: Sequence[tuple[int, Word]]) -> PdfTable | None:
    """Return the table in a grid; None if it is a frame or a drawing. ``words`` stand with the numbers of cells."""
    inside: dict[int, list[Word]] = defaultdict(list)
    for cell, word in words:
        inside[cell].append(word)
    texts = {cell: " ".join(line_text(row) for row in rows_in_order(found)) for cell, found in inside.items()}
    cells = {cell for row in grid.cells for cell in row}
    if len(texts) < MIN_FILLED * len(cells):
        return None
    lines, title = list(grid.cells), ""
    if len(lines) > 2 and len(set(lines[0])) == 1:
        title = texts.get(lines.pop(0)[0], "")
    rows = _with_one_header(lines, texts)
    kept = [index for index in range(len(rows[0])) if any(row[index] for row in rows)]
    rows = [[row[index] for index in kept] for row in rows if any(row)]
    if len(rows) < 2 or len(kept) < 2:
        return None
    if sum(len(cell) for row in rows for cell in row) > MAX_REPEATED * sum(map(len, texts.values())):
        return None
    return PdfTable(rows, tuple(grid.xs[index] for index in kept), title)


def _with_one_header(lines: Sequence[Sequence[int]], texts: dict[int, str]) -> list[list[str]]:
    """Return the texts of the rows. The rows of a header with cells above others become one: ``Fee``, ``Day`` is
    ``Fee Day``.
    """
    height = 1
    while height < min(MAX_HEADER_ROWS, len(lines) - 1) and _has_cells_above_others(lines[height - 1]):
        height += 1
    if height == 1:
        return [_row(row, texts) for row in lines]
    columns = zip(*lines[:height], strict=True)
    header = [" ".join(filter(None, (texts.get(cell, "") for cell in dict.fromkeys(column)))) for column in columns]
    return [header, *(_row(row, texts) for row in lines[height:])]


def _has_cells_above_others(cells: Sequence[int]) -> bool:
    return 1 < len(set(cells)) < len(cells)


def _row(cells: Sequence[int], texts: dict[int, str]) -> list[str]:
    """Return the texts of a row. A cell of several columns is repeated, but not one of all columns."""
    if len(set(cells)) == 1:
        return [texts.get(cells[0], "")] + [""] * (len(cells) - 1)
    return [texts.get(cell, "") for cell in cells]


def _rules(page: Any, space: PageSpace) -> Iterator[Rule]:
    """Yield the horizontal and vertical lines of a page, up to ``MAX_RULES`` and one more."""
    count = pdfium.FPDFPage_CountObjects(page)
    if count > MAX_OBJECTS:
        return
    found = segments = 0
    for index in range(count):
        drawn = pdfium.FPDFPage_GetObject(page, index)
        if pdfium.FPDFPageObj_GetType(drawn) != pdfium.FPDF_PAGEOBJ_PATH:
            continue
        segments += pdfium.FPDFPath_CountSegments(drawn)
        if segments > MAX_SEGMENTS:
            return
        for rule in _rules_of(drawn, space):
            if rule.end - rule.start >= MIN_LENGTH:
                yield rule
                found += 1
        if found > MAX_RULES:
            return


def _rules_of(drawn: Any, space: PageSpace) -> Iterator[Rule]:
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDFPath_GetDrawMode(drawn, fill, stroke)
    for shape in _shapes(drawn, space):
        xs, ys = [x for x, _ in shape], [y for _, y in shape]
        left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
        if min(right - left, bottom - top) <= THIN and (fill.value or stroke.value):
            horizontal = right - left >= bottom - top
            middle = (top + bottom) / 2 if horizontal else (left + right) / 2
            yield Rule(horizontal, middle, left if horizontal else top, right if horizontal else bottom)
        elif stroke.value:
            for (x1, y1), (x2, y2) in pairwise(shape):
                if abs(y1 - y2) <= 1:
                    yield Rule(True, (y1 + y2) / 2, min(x1, x2), max(x1, x2))
                elif abs(x1 - x2) <= 1:
                    yield Rule(False, (x1 + x2) / 2, min(y1, y2), max(y1, y2))


def _shapes(drawn: Any, space: PageSpace) -> Iterator[list[Point]]:
    """Yield the points of each part of a path without curves, as the page is shown."""
    matrix = pdfium.FS_MATRIX()
    pdfium.FPDFPageObj_GetMatrix(drawn, matrix)
    x, y = ctypes.c_float(), ctypes.c_float()
    shape: list[Point] = []
    curved = False
    for index in range(pdfium.FPDFPath_CountSegments(drawn)):
        segment = pdfium.FPDFPath_GetPathSegment(drawn, index)
        kind = pdfium.FPDFPathSegment_GetType(segment)
        if kind == pdfium.FPDF_SEGMENT_MOVETO:
            if len(shape) > 1 and not curved:
                yield shape
            shape, curved = [], False
        curved = curved or kind == pdfium.FPDF_SEGMENT_BEZIERTO
        pdfium.FPDFPathSegment_GetPoint(segment, x, y)
        at_x = matrix.a * x.value + matrix.c * y.value + matrix.e
        at_y = matrix.b * x.value + matrix.d * y.value + matrix.f
        shape.append(space.point(at_x, at_y))
        if pdfium.FPDFPathSegment_GetClose(segment):
            shape.append(shape[0])
    if len(shape) > 1 and not curved:
        yield shape
