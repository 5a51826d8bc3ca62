"""Reads the lines and tables of a PDF page in the order in which people read them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from knowledge.parsing.pdf.aligned_tables import aligned_tables, may_have_tables
from knowledge.parsing.pdf.letter_placement import marks_of
from knowledge.parsing.pdf.page_space import PageSpace
from knowledge.parsing.pdf.pdf_tables import PdfTable, grids_on, table_of
from knowledge.parsing.pdf.ruled_grid import Grid
from knowledge.parsing.pdf.text_runs import (
    LINE_END_MARKS,
    Place,
    continues,
    line_text,
    merged_pieces,
    turned_words,
    words_of,
)
from knowledge.parsing.reading_order import Word, columns, gap_between_columns, rows_in_order

MAX_RECTS = 3000
"""Pieces of text on a page that is looked at. A page with more is a drawing."""
MAX_UPWARD = 0.34
"""Share of the lines that stand above the one before from which on a page counts as drawn in disorder."""
MAX_ABOVE_REST = 6
"""Pieces of text, such as those of a running header, above the rest of a table that began on the page before."""
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc]")
_HYPHEN = re.compile(r"(?<=[^\W\d_])-$")

_FIRST_KEY = 0xF0000
_KEYS = 0xFFFD
"""Characters of private use, of which each stands for a table in the text of its page."""


@dataclass(frozen=True, slots=True)
class PageText:
    """The text of a page. A line of it that is a key of ``tables`` stands for that table."""

    text: str
    tables: Mapping[str, PdfTable] = field(default_factory=dict)


def text_of_page(page: Any, text: Any, first_table: int = 0) -> PageText:
    """Return the text of a page. It differs from pdfium's own if the page has columns, tables or is drawn in disorder.

    ``first_table`` is the number of tables on the pages before, so that each table of a document has a key of its own.
    """
    own = str(text.get_text_range())
    if not 1 < text.count_rects() <= MAX_RECTS or _RIGHT_TO_LEFT.search(own):
        return PageText(own)
    space = PageSpace(page, text)
    grids = grids_on(page, space)
    boxes = [space.box(text.get_rect(index)) for index in range(text.count_rects())]
    marks = marks_of(text, space, own, boxes)
    pieces = merged_pieces(boxes)
    aligned = may_have_tables(pieces)
    if not (marks or grids or aligned or gap_between_columns(pieces) is not None or _is_in_disorder(pieces)):
        return PageText(own)
    found = list(words_of(text, space, grids, marks))
    turned = list(turned_words(text, space, grids, marks))
    in_grids = _tables_in(grids, [*found, *turned])
    keys = {number: _key(first_table + index) for index, number in enumerate(in_grids)}
    words = _with_keys(found, grids, keys)
    tables = {keys[number]: table for number, table in in_grids.items()}
    if aligned:
        words, more = _with_aligned_tables(words, first_table + len(tables))
        tables |= more
    beside = "\n".join(word.text for place, word in turned if place is None or place[0] not in keys)
    if columns(words) is not None or _is_in_disorder(words):
        lines = "\n".join(_with_marks([line_text(row) for row in rows_in_order(words)]))
        return PageText(f"{lines}\n\n{beside}".rstrip(), tables)
    drawn = "\n".join(_as_drawn(words))
    if tables or turned or marks.repeated:
        return PageText(f"{drawn}\n\n{beside}".rstrip(), tables)
    same = _letters_of(drawn) == _letters_of(own) if marks else drawn.split() == own.split()
    return PageText(drawn if same else own)


def _letters_of(lines: str) -> str:
    """Return a text without white space, marks of superscripts, and line ends, which pdfium marks in two ways."""
    return re.sub(rf"[\s^{LINE_END_MARKS}]", "", lines)


def _tables_in(grids: Sequence[Grid], words: Sequence[tuple[Place, Word]]) -> dict[int, PdfTable]:
    """Return the tables, each by the number of its grid."""
    tables: dict[int, PdfTable] = {}
    for number, grid in enumerate(grids):
        found = table_of(grid, [(place[1], word) for place, word in words if place is not None and place[0] == number])
        if found is not None:
            tables[number] = found
    return tables


def _with_keys(words: Sequence[tuple[Place, Word]], grids: Sequence[Grid], keys: Mapping[int, str]) -> list[Word]:
    """Return the words outside of tables, with the key of each table, by the number of its grid, where it begins."""
    kept: list[Word] = []
    placed: set[int] = set()
    for place, word in words:
        if place is None or place[0] not in keys:
            kept.append(word)
        elif place[0] not in placed:
            placed.add(place[0])
            kept.append(Word(keys[place[0]], *grids[place[0]].box))
    return kept


def _with_aligned_tables(words: Sequence[Word], first: int) -> tuple[list[Word], dict[str, PdfTable]]:
    """Return the words in the same way, with a word for each table that has no lines around it, and these tables."""
    tables: dict[str, PdfTable] = {}
    stand_in: dict[int, Word] = {}
    inside: set[int] = set()
    plain = [word for word in words if not _is_key(word.text)]
    for number, found in enumerate(aligned_tables(plain)):
        above = sum(word.bottom <= found.box[1] for word in plain)
        if not found.has_header and above > MAX_ABOVE_REST:
            continue
        key = _key(first + number)
        lines = () if found.has_header else tuple(_as_drawn([plain[place] for place in sorted(found.members)]))
        tables[key] = PdfTable(found.rows, found.anchors, lines=lines)
        stand_in[min(found.members)] = Word(key, *found.box)
        inside |= found.members
    kept: list[Word] = []
    place = 0
    for word in words:
        if _is_key(word.text):
            kept.append(word)
            continue
        if place in stand_in:
            kept.append(stand_in[place])
        if place not in inside:
            kept.append(word)
        place += 1
    return kept, tables


def _key(number: int) -> str:
    return chr(_FIRST_KEY + number % _KEYS)


def _as_drawn(words: Sequence[Word]) -> Iterator[str]:
    """Yield lines in the order in which they were drawn."""
    line: list[Word] = []
    for word in words:
        table = _is_key(word.text) or (line and _is_key(line[-1].text))
        if line and (table or not continues(line[-1], word, float("inf"))):
            yield line_text(line)
            line = []
        line.append(word)
    if line:
        yield line_text(line)


def _is_key(text: str) -> bool:
    return len(text) == 1 and ord(text) >= _FIRST_KEY


def _is_in_disorder(words: Sequence[Word]) -> bool:
    """Return whether many lines stand wholly above the one that was drawn before."""
    upward = sum(after.bottom <= before.top for before, after in pairwise(words))
    return len(words) > 3 and upward > MAX_UPWARD * len(words)


def _with_marks(lines: Sequence[str]) -> Iterator[str]:
    """Mark hyphens at line ends as pdfium does, which could not tell where the lines of a column end."""
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        yield _HYPHEN.sub("\ufffe", line) if after[:1].isalpha() else line
