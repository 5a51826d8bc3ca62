"""Finds pages of a PDF whose letters have no Unicode values, and reads them with another library, as far as it can."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from pypdf import PdfReader
from pypdf.errors import DeprecationError, PyPdfError

PYPDF_ERRORS = (
    PyPdfError,
    DeprecationError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    IndexError,
    RecursionError,
)
"""Errors that pypdf raises for a damaged file."""
MAX_BAD_SHARE = 0.2
"""Share of letters without Unicode value from which on the text of a page is not used."""
_BAD = re.compile(r"[\x00\x01\x03-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff]|(?:/[A-Za-z]{1,4}\d{1,5}){3,}")
"""What libraries write for such letters: their numbers in the font as control characters, or names as ``/g18/g152``."""
_SPACE = re.compile(r"[ \t\r\n]+")
_WORD = re.compile(r"[^\W\d_]{3}")


def readable_pages(pages: Sequence[str], data: bytes) -> tuple[list[str], frozenset[int]]:
    """Return the texts of pages, and the indexes of those that are unreadable, of which only readable lines are kept.

    ``pages`` are their texts by pdfium. Those that it cannot read are read with pypdf.
    """
    read = list(pages)
    bad = [index for index, text in enumerate(pages) if _bad_share(text) > MAX_BAD_SHARE]
    others = _read_with_pypdf(data, bad) if bad else {}
    unreadable = {index for index in bad if not others.get(index) or _bad_share(others[index]) > MAX_BAD_SHARE}
    for index in bad:
        read[index] = _readable_lines(read[index]) if index in unreadable else others[index]
    return read, frozenset(unreadable)


def _read_with_pypdf(data: bytes, indexes: Sequence[int]) -> dict[int, str]:
    try:
        pages = PdfReader(io.BytesIO(data)).pages
        return {index: pages[index].extract_text() for index in indexes}
    except PYPDF_ERRORS:
        return {}


def _readable_lines(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if _WORD.search(line) and not _BAD.search(line))


def _bad_share(text: str) -> float:
    characters = len(_SPACE.sub("", text))
    return sum(len(found.group()) for found in _BAD.finditer(text)) / characters if characters else 0.0
