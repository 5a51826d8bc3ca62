"""Joins the letters of a PDF page to text runs: pieces of lines without a wide gap."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pypdfium2.raw as pdfium

from knowledge.parsing import superscripts
from knowledge.parsing.pdf.letter_placement import LetterMarks
from knowledge.parsing.pdf.page_space import Box, PageSpace
from knowledge.parsing.pdf.ruled_grid import Grid
from knowledge.parsing.reading_order import Word

WIDE_GAP = 1.2
"""A gap of so many heights of letters is not one between words."""
TOUCHING = 0.15
"""A gap of fewer heights of letters is one inside a word."""
MIN_TURNED_GAP = 0.35
"""A gap of so many heights of letters is one between words of turned text, whose spaces pdfium does not find."""
MIN_OVERLAP = 0.3
"""Share of their height that the letters of a line have in common."""
MAX_FLAT = 0.3
"""Height of a flat letter, such as ``_``, in heights of the other letters."""
MAX_FLAT_DISTANCE = 0.75
"""How far the middle of a flat letter may be from that of the others on its line, in the same unit."""
LINE_END_MARKS = "\ufffe\x02"
"""What pdfium writes in place of a hyphen at the end of a line."""
_LINE_ENDS = "\r\n" + LINE_END_MARKS
_MERGED_GAP = 1.0

Place = tuple[int, int] | None
"""The number of a grid on the page and of a cell in it."""


def merged_pieces(boxes: Iterable[Box]) -> list[Word]:
    """Return the pieces of lines, each of the boxes that stand close together."""
    merged: list[Word] = []
    for left, top, right, bottom in boxes:
        word = Word("", left, top, right, bottom)
        if merged and continues(merged[-1], word, _MERGED_GAP):
            word = joined(merged.pop(), word)
        merged.append(word)
    return merged


def words_of(text: Any, space: PageSpace, grids: Sequence[Grid], marks: LetterMarks) -> Iterator[tuple[Place, Word]]:
    """Yield the pieces of lines, each with the cell in which it stands, in the order in which they were drawn.

    Turned letters are left out.
    """
    place: Place = None
    current: Word | None = None
    last: Box | None = None
    spaced = ended = False
    for index, char, box in _letters(text, space):
        if index in marks.repeated or index in marks.turned or index in marks.inner_spaces:
            continue
        spaced |= index in marks.word_starts
        if box is None:
            spaced |= char not in _LINE_ENDS
            ended |= char in _LINE_ENDS
            if char in LINE_END_MARKS and current is not None:
                current = replace(current, text=current.text + char)
            continue
        if current is not None and box == last:
            current = replace(current, text=current.text + char)  # another letter of one ligature
            continue
        last = box
        letter = Word(char, *box)
        where = _place_of(letter, grids)
        if current is not None and (index in marks.raised or index in marks.lowered):
            # pdfium ends the line before such a letter.
            shown = superscripts.marked(char) if index in marks.raised else char
            current = replace(current, text=current.text + shown, right=max(current.right, box[2]))
        elif current is not None and not ended and where == place and continues(current, letter, WIDE_GAP):
            current = joined(current, letter, " " if spaced else "")
        else:
            if current is not None:
                yield place, _written(current)
            current, place = replace(letter, spaced=spaced), where
        spaced = ended = False
    if current is not None:
        yield place, _written(current)


def turned_words(
    text: Any, space: PageSpace, grids: Sequence[Grid], marks: LetterMarks
) -> Iterator[tuple[Place, Word]]:
    """Yield the pieces of lines of turned letters in the same way, the letters of each angle together."""
    for turn in sorted(set(marks.turned.values())):
        upright = space.turned(turn)
        current: Word | None = None
        spaced = False
        for index, char, box in _letters(text, upright):
            if box is None:
                spaced |= char not in _LINE_ENDS
            if box is None or marks.turned.get(index) != turn or index in marks.repeated:
                continue
            letter = Word(char, *box)
            if current is not None and continues(current, letter, WIDE_GAP):
                apart = spaced or letter.left - current.right > MIN_TURNED_GAP * max(current.height, letter.height)
                current = joined(current, letter, " " if apart else "")
            else:
                if current is not None:
                    yield _located(current, upright, space, grids)
                current = letter
            spaced = False
        if current is not None:
            yield _located(current, upright, space, grids)


def _located(word: Word, upright: PageSpace, space: PageSpace, grids: Sequence[Grid]) -> tuple[Place, Word]:
    """Return a turned word with its box on the page and the cell in which it stands."""
    box = space.box(upright.area((word.left, word.top, word.right, word.bottom)))
    located = Word(_written(word).text, *box)
    return _place_of(located, grids), located


def _written(word: Word) -> Word:
    return replace(word, text=superscripts.written(word.text))


def _letters(text: Any, space: PageSpace) -> Iterator[tuple[int, str, Box | None]]:
    """Yield the indexes, characters and places of a page. White space and marks of line ends have no place.

    pdfium counts a character beyond the first plane of Unicode as two, in the way of UTF-16.
    """
    out = [ctypes.c_double() for _ in range(4)]
    left, right, bottom, top = out
    first_half = ""
    for index in range(text.count_chars()):
        char = _char(pdfium.FPDFText_GetUnicode(text, index))
        if "\ud800" <= char <= "\udbff":
            first_half = char
            continue
        if first_half:
            char = (first_half + char).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            first_half = ""
        if char.isspace() or char in LINE_END_MARKS:
            yield index, char, None
        else:
            pdfium.FPDFText_GetCharBox(text, index, left, right, bottom, top)
            yield index, char, space.box((left.value, bottom.value, right.value, top.value))


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


def continues(before: Word, after: Word, gap: float) -> bool:
    """Return whether two pieces stand side by side on one line with no wide gap between them."""
    height = max(before.height, after.height, 1.0)
    return _on_one_line(before, after, height) and -height < after.left - before.right < gap * height


def _on_one_line(before: Word, after: Word, height: float) -> bool:
    """Return whether letters have their height in common. Flat ones, such as ``_``, stand beside the others."""
    lower = min(before.height, after.height)
    if lower < MAX_FLAT * height:
        return abs(before.top + before.bottom - after.top - after.bottom) < 2 * MAX_FLAT_DISTANCE * height
    return min(before.bottom, after.bottom) - max(before.top, after.top) >= MIN_OVERLAP * lower


def joined(before: Word, after: Word, between: str = "") -> Word:
    """Return two pieces as one, with the text ``between`` them and a box around both."""
    return Word(
        before.text + between + after.text,
        min(before.left, after.left),
        min(before.top, after.top),
        max(before.right, after.right),
        max(before.bottom, after.bottom),
        before.spaced,
    )


def line_text(pieces: Sequence[Word]) -> str:
    """Return the text of a line. Pieces that touch are one word, as a superscript and the comma behind it."""
    parts = [pieces[0].text]
    for before, after in pairwise(pieces):
        touch = abs(after.left - before.right) < TOUCHING * max(before.height, after.height)
        parts.append(after.text if touch and not after.spaced else f" {after.text}")
    return "".join(parts)
