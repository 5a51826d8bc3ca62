"""Finds where a quote stands on a page of a PDF: the areas of its lines.

The text of a document differs from the text of its pages: hyphens at line ends are joined, cells stand between bars,
columns are read one after the other. So only letters and digits are compared.
"""

from __future__ import annotations

import ctypes
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import pypdfium2.raw as pdfium

from knowledge.parsing.pdf.page_space import Box
from knowledge.parsing.pdf.text_runs import merged_pieces

Area = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of a page as it is displayed, as shares of its width and height."""

MIN_SHARE = 0.6
"""Share of a quote's letters that must be found, if its words do not stand one after the other."""
MIN_RUN_CHARS = 4
"""Letters of words one after the other from which on they count as found."""
MAX_QUOTE_CHARS = 20_000
MAX_PAGE_CHARS = 100_000
MAX_COMPARED_WORDS = 5_000
"""Words of a page and of a quote that are compared one by one."""
_GRID = 100_000
"""Steps in which pdfium returns places on a displayed page."""


@dataclass(frozen=True, slots=True)
class _Word:
    """Letters and digits in lower case, and the indices of the characters that they begin and end with."""

    text: str
    first: int
    last: int


def quote_areas(page: Any, text: Any, quote: str, earlier: int = 0) -> list[Area]:
    """Return the areas of a quote on a page of pypdfium2 with its text page; none if it is not there.

    ``earlier`` is how often the same words stand on the page before it.
    """
    count = min(text.count_chars(), MAX_PAGE_CHARS)
    there = _words(pdfium.FPDFText_GetUnicode(text, index) for index in range(count))
    wanted = _words(map(ord, quote[:MAX_QUOTE_CHARS]))
    width, height = page.get_size()
    boxes: list[Box] = []
    for first, last in _in_one_piece(there, wanted, earlier) or _in_several_pieces(there, wanted):
        for number in range(text.count_rects(first, last - first + 1)):
            left, top, right, bottom = _displayed(page, text.get_rect(number))
            boxes.append((left * width, top * height, right * width, bottom * height))
    lines = merged_pieces(iter(boxes))
    return [(one.left / width, one.top / height, one.right / width, one.bottom / height) for one in lines]


def _words(codes: Iterable[int]) -> list[_Word]:
    """Split characters into words. A character of a script without spaces is a word of its own."""
    found: list[_Word] = []
    open_word = False
    for index, code in enumerate(codes):
        char = chr(code) if 0 < code <= 0x10FFFF else " "
        letters = "".join(filter(str.isalnum, unicodedata.normalize("NFKC", char).casefold()))
        alone = unicodedata.east_asian_width(char) in "WF"
        if letters and open_word and not alone:
            before = found.pop()
            found.append(_Word(before.text + letters, before.first, index))
        elif letters:
            found.append(_Word(letters, index, index))
        open_word = bool(letters) and not alone
    return found


def _in_one_piece(there: list[_Word], wanted: list[_Word], earlier: int) -> list[tuple[int, int]]:
    """Return the first and last index of the characters, wherever the page divides the letters into words."""
    letters, needed = "".join(word.text for word in there), "".join(word.text for word in wanted)
    place = letters.find(needed) if needed else -1
    for _ in range(earlier):
        following = letters.find(needed, place + 1)
        place = place if following < 0 else following
    if place < 0:
        return []
    touched = [word for word, start in _starts(there) if start < place + len(needed) and start + len(word.text) > place]
    return [(touched[0].first, touched[-1].last)]


def _starts(words: Iterable[_Word]) -> Iterator[tuple[_Word, int]]:
    start = 0
    for word in words:
        yield word, start
        start += len(word.text)


def _in_several_pieces(there: list[_Word], wanted: list[_Word]) -> list[tuple[int, int]]:
    """Return the runs of words that page and quote have in common, if they are most of the quote."""
    there, wanted = there[:MAX_COMPARED_WORDS], wanted[:MAX_COMPARED_WORDS]
    matcher = SequenceMatcher(None, [word.text for word in there], [word.text for word in wanted], autojunk=False)
    runs = [there[block.a : block.a + block.size] for block in matcher.get_matching_blocks()]
    lengths = {index: sum(len(word.text) for word in run) for index, run in enumerate(runs)}
    kept = [index for index, length in lengths.items() if length >= MIN_RUN_CHARS]
    if sum(lengths[index] for index in kept) < MIN_SHARE * sum(len(word.text) for word in wanted):
        return []
    return [(runs[index][0].first, runs[index][-1].last) for index in kept]


def _displayed(page: Any, rect: tuple[float, float, float, float]) -> Area:
    """Convert left, bottom, right and top in the coordinates of the page to a part of the page as it is displayed."""
    left, bottom, right, top = rect
    (x1, y1), (x2, y2) = _point(page, left, bottom), _point(page, right, top)
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def _point(page: Any, x: float, y: float) -> tuple[float, float]:
    across, down = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDF_PageToDevice(page, 0, 0, _GRID, _GRID, 0, x, y, across, down)
    return tuple(min(1.0, max(0.0, value.value / _GRID)) for value in (across, down))  # type: ignore[return-value]
