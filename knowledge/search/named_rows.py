"""Tells whether a question names a row of a table: by a full name, or by a number that is a cell of its own.

Does no I/O. A row has few of the words of a question about it, in any language, so the confidence in it is low.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise, zip_longest

from knowledge.text.word_splitter import SPACED_LETTER

_ROW = re.compile(r"^\|(.+)\|[ \t]*$", re.MULTILINE)
_CELL_SEPARATOR = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"[\s:|-]+")
_WORD = re.compile(r"\w+")
_WITHOUT_SPACES = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]{3,}")
"""A name in a script that writes no spaces between words."""
_NUMBER = re.compile(r"(?=.*\d)[\w.:/+-]{3,}")
MOST_CELL_CHARS = 60
"""Longer cells are sentences."""
ENDING_CHARS = 2
"""Letters that a question may add to a name, as in *Bob Maiers*."""


def names_a_row(question: str, texts: Iterable[str]) -> bool:
    """Return whether the question has a whole cell of a row, of two words or a number, or two neighboring words of it.

    ``texts`` have tables in Markdown. Their header rows do not count.
    """
    asked = question.casefold()
    neighbors = {frozenset(pair) for pair in pairwise(_WORD.findall(asked))}
    return any(_is_named(cells, asked, neighbors) for text in texts for cells in _rows(text.casefold()))


def _rows(text: str) -> Iterable[list[str]]:
    """Yield the cells of each row that is no header."""
    rows = [match.group(1) for match in _ROW.finditer(text)]
    for row, after in zip_longest(rows, rows[1:], fillvalue=""):
        if not _RULE.fullmatch(row) and not ("-" in after and _RULE.fullmatch(after)):
            yield [cell.strip() for cell in _CELL_SEPARATOR.split(row)]


def _is_named(cells: list[str], asked: str, neighbors: set[frozenset[str]]) -> bool:
    if any(cell in asked and _is_distinctive(cell) and _stands_alone(cell, asked) for cell in cells):
        return True
    words = {cell for cell in cells if _WORD.fullmatch(cell) and len(cell) > 1 and not cell.isdecimal()}
    return any(len(pair) == 2 and pair <= words for pair in neighbors)


def _is_distinctive(cell: str) -> bool:
    if len(cell) > MOST_CELL_CHARS:
        return False
    return len(_WORD.findall(cell)) > 1 or bool(_NUMBER.fullmatch(cell) or _WITHOUT_SPACES.fullmatch(cell))


def _stands_alone(cell: str, asked: str) -> bool:
    """Return whether the cell is in the question as words of its own; an ending may follow it."""
    if _WITHOUT_SPACES.fullmatch(cell):
        return True
    ending = rf"[^\W\d]{{0,{ENDING_CHARS}}}" if cell[-1].isalpha() else ""
    return bool(re.search(rf"(?<!\.)(?<!{SPACED_LETTER}){re.escape(cell)}{ending}(?!{SPACED_LETTER}|\.\w)", asked))
