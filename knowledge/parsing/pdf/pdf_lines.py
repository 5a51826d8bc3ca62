"""Reads the lines and tables of a PDF page in the order in which people read them."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pypdfium2.raw as pdfium

from knowledge.parsing import superscripts
from knowledge.parsing.pdf.aligned_tables import aligned_tables, may_have_tables
from knowledge.parsing.pdf.page_space import Box, PageSpace
from knowledge.parsing.pdf.pdf_tables import PdfTable, grids_on, table_of
from knowledge.parsing.pdf.raised_letters import may_have_raised_letters, raised_letters
from knowledge.parsing.pdf.ruled_grid import Grid
from knowledge.parsing.reading_order import Word, columns, gap_between_columns, lines_of

MAX_RECTS = 3000
"""Pieces of text on a page that is looked at. A page with more is a drawing."""
WIDE_GAP = 1.2
"""A gap of so many heights of letters is not one between words."""
TOUCHING = 0.15
"""A gap of fewer heights of letters is one inside a word."""
MIN_OVERLAP = 0.3
"""Share of their height that the letters of a line have in common."""
MAX_FLAT = 0.3
"""Height of a flat letter, such as ``_``, in heights of the other letters."""
MAX_FLAT_DISTANCE = 0.75
"""How far the middle of a flat letter may be from that of the others on its line, in the same unit."""
MAX_UPWARD = 0.34
"""Share of the lines that stand above the one before from which on a page counts as drawn in disorder."""
MAX_ABOVE_REST = 6
"""Pieces of text, such as those of a running header, above the rest of a table that began on the page before."""
_LINE_END_MARKS = "\ufffe\x02"
"""What pdfium writes in place of a hyphen at the end of a line."""
_LINE_ENDS = "\r\n" + _LINE_END_MARKS
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc]")
_HYPHEN = re.compile(r"(?<=[^\W\d_])-$")
_MERGED_GAP = 1.0

_FIRST_KEY = 0xF0000
_KEYS = 0xFFFD
"""Characters of private use, of which each stands for a table in the text of its page."""

Place = tuple[int, int] | None
"""The number of a grid on the page and of a cell in it."""


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
    raised = raised_letters(text, space) if may_have_raised_letters(boxes) else frozenset()
    pieces = merged_pieces(boxes)
    aligned = may_have_tables(pieces)
    if not (raised or grids or aligned or gap_between_columns(pieces) is not None or _is_in_disorder(pieces)):
        return PageText(own)
    words, tables = _with_tables(list(_words(text, space, grids, raised)), grids, first_table)
    if aligned:
        words, more = _with_aligned_tables(words, first_table + len(tables))
        tables |= more
    if columns(words) is not None or _is_in_disorder(words):
        return PageText("\n".join(_with_marks(lines_of(words))), tables)
    drawn = "\n".join(_as_drawn(words))
    same = _letters_of(drawn) == _letters_of(own) if raised else drawn.split() == own.split()
    return PageText(drawn, tables) if tables or same else PageText(own)


def _letters_of(lines: str) -> str:
    """Return a text without white space and the marks of superscripts."""
    return "".join(lines.split()).replace("^", "")


def _with_tables(
    words: Sequence[tuple[Place, Word]], grids: Sequence[Grid], first: int
) -> tuple[list[Word], dict[str, PdfTable]]:
    """Return the words outside of tables, with a word for each table where its first one stands, and the tables."""
    tables: dict[int, PdfTable] = {}
    for number, grid in enumerate(grids):
        found = table_of(grid, [(place[1], word) for place, word in words if place is not None and place[0] == number])
        if found is not None:
            tables[number] = found
    keys = {number: _key(first + index) for index, number in enumerate(tables)}
    kept: list[Word] = []
    placed: set[int] = set()
    for place, word in words:
        if place is None or place[0] not in tables:
            kept.append(word)
        elif place[0] not in placed:
            placed.add(place[0])
            kept.append(Word(keys[place[0]], *grids[place[0]].box))
    return kept, {keys[number]: table for number, table in tables.items()}


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
        if line and (table or not _continues(line[-1], word, float("inf"))):
            yield _line_text(line)
            line = []
        line.append(word)
    if line:
        yield _line_text(line)


def _line_text(pieces: Sequence[Word]) -> str:
    """Return the text of a line. Pieces that touch are one word, as a superscript and the comma behind it."""
    parts = [pieces[0].text]
    for before, after in pairwise(pieces):
        touch = 0 <= after.left - before.right < TOUCHING * max(before.height, after.height)
        parts.append(after.text if touch else f" {after.text}")
    return "".join(parts)


def _is_key(text: str) -> bool:
    return len(text) == 1 and ord(text) >= _FIRST_KEY


def merged_pieces(boxes: Iterable[Box]) -> list[Word]:
    """Return the pieces of lines, each of the boxes that stand close together."""
    merged: list[Word] = []
    for left, top, right, bottom in boxes:
        word = Word("", left, top, right, bottom)
        if merged and _continues(merged[-1], word, _MERGED_GAP):
            word = _joined(merged.pop(), word)
        merged.append(word)
    return merged


def _words(text: Any, space: PageSpace, grids: Sequence[Grid], raised: Collection[int]) -> Iterator[tuple[Place, Word]]:
    """Yield the pieces of lines, each with the cell in which it stands, in the order in which they were drawn.

    ``raised`` are the indexes of letters that belong to the piece before them as its superscript.
    """
    for place, word in _pieces(text, space, grids, raised):
        yield place, replace(word, text=superscripts.written(word.text)) if raised else word


def _pieces(
    text: Any, space: PageSpace, grids: Sequence[Grid], raised: Collection[int]
) -> Iterator[tuple[Place, Word]]:
    place: Place = None
    current: Word | None = None
    spaced = ended = False
    for index, (char, box) in enumerate(_letters(text, space)):
        if box is None:
            spaced = True
            ended |= char in _LINE_ENDS
            if char in _LINE_END_MARKS and current is not None:
                current = replace(current, text=current.text + char)
            continue
        letter = Word(char, *box)
        where = _place_of(letter, grids)
        if current is not None and index in raised:
            # pdfium ends the line before a raised letter.
            current = replace(current, text=current.text + superscripts.marked(char), right=max(current.right, box[2]))
        elif current is not None and not ended and where == place and _continues(current, letter, WIDE_GAP):
            current = _joined(current, letter, " " if spaced else "")
        else:
            if current is not None:
                yield place, current
            current, place = letter, where
        spaced = ended = False
    if current is not None:
        yield place, current


def _letters(text: Any, space: PageSpace) -> Iterator[tuple[str, Box | None]]:
    """Yield the characters of a page with their places. White space and marks of line ends have no place."""
    out = [ctypes.c_double() for _ in range(4)]
    left, right, bottom, top = out
    for index in range(text.count_chars()):
        char = _char(pdfium.FPDFText_GetUnicode(text, index))
        if char.isspace() or char in _LINE_END_MARKS:
            yield char, None
        else:
            pdfium.FPDFText_GetCharBox(text, index, left, right, bottom, top)
            yield char, space.box((left.value, bottom.value, right.value, top.value))


def _place_of(word: Word, grids: Sequence[Grid]) -> Place:
    """Return the number of the grid and of the cell in which the middle of a word stands; None outside."""
    x, y = (word.left + word.right) / 2, (word.top + word.bottom) / 2
    for number, grid in enumerate(grids):
        cell = grid.cell_at(x, y)
        if cell is not None:
            return number, cell
    return None


def _char(code: int) -> str:
    return chr(code) if 0 < code <= 0x10FFFF else "\ufffd"


def _continues(before: Word, after: Word, gap: float) -> bool:
    """Return whether two pieces stand side by side on one line with no wide gap between them."""
    height = max(before.height, after.height, 1.0)
    return _on_one_line(before, after, height) and -height < after.left - before.right < gap * height


def _on_one_line(before: Word, after: Word, height: float) -> bool:
    """Return whether letters have their height in common. Flat ones, such as ``_``, stand beside the others."""
    lower = min(before.height, after.height)
    if lower < MAX_FLAT * height:
        return abs(before.top + before.bottom - after.top - after.bottom) < 2 * MAX_FLAT_DISTANCE * height
    return min(before.bottom, after.bottom) - max(before.top, after.top) >= MIN_OVERLAP * lower


def _joined(before: Word, after: Word, between: str = "") -> Word:
    return Word(
        before.text + between + after.text,
        min(before.left, after.left),
        min(before.top, after.top),
        max(before.right, after.right),
        max(before.bottom, after.bottom),
    )


def _is_in_disorder(words: Sequence[Word]) -> bool:
    """Return whether many lines stand wholly above the one that was drawn before."""
    upward = sum(after.bottom <= before.top for before, after in pairwise(words))
    return len(words) > 3 and upward > MAX_UPWARD * len(words)


def _with_marks(lines: Sequence[str]) -> Iterator[str]:
    """Mark hyphens at line ends as pdfium does, which could not tell where the lines of a column end."""
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        yield _HYPHEN.sub("\ufffe", line) if after[:1].isalpha() else line
