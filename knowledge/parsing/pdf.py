"""PDF, page by page: pypdfium2, and pypdf where that fails."""

from __future__ import annotations

import io
import re

import pypdfium2
from pypdf import PdfReader
from pypdf.errors import PyPdfError

from knowledge.errors import ParseError
from knowledge.parsing.builder import Builder, Parsed

MAX_PAGES = 10_000
_HYPHEN = re.compile(r"[\ufffe\u00ad\x02]\n?")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_NO_TITLES = ("untitled", "anonymous", "(anonymous)", "(unspecified)")
_WRONG_PASSWORD = 4
"""FPDF_ERR_PASSWORD of pdfium."""


def parse(data: bytes) -> Parsed:
    """Raises ParseError: encrypted, broken, too long, or pages without text."""
    try:
        title, pages = _pdfium(data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == _WRONG_PASSWORD:
            raise ParseError("it is encrypted; save it without a password and try again") from None
        title, pages = _pypdf(data)
    builder = Builder()
    for number, text in enumerate(pages, 1):
        builder.page = number
        for paragraph in _PARAGRAPH.split(_clean(text)):
            builder.add("paragraph", paragraph)
    parsed = builder.build("" if title.lower() in _NO_TITLES else title)
    if not parsed.blocks:
        raise ParseError(
            f"its {len(pages)} page(s) hold images and no text; run text recognition (OCR) over it and try again"
        )
    return parsed


def _clean(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
    return _CONTROL.sub(" ", _HYPHEN.sub("", lines))


def _pdfium(data: bytes) -> tuple[str, list[str]]:
    document = pypdfium2.PdfDocument(data)
    try:
        _check_length(len(document))
        title = str(document.get_metadata_value("Title") or "")
        pages = []
        for page in document:
            text = page.get_textpage()
            pages.append(text.get_text_bounded())
            text.close()
            page.close()
        return title.strip(), pages
    finally:
        document.close()


def _pypdf(data: bytes) -> tuple[str, list[str]]:
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted:
            raise ParseError("it is encrypted; save it without a password and try again")
        _check_length(len(reader.pages))
        title = str((reader.metadata.title if reader.metadata else "") or "")
        return title.strip(), [page.extract_text() for page in reader.pages]
    except (PyPdfError, ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
        raise ParseError("it is broken: neither of two PDF readers can open it; export it again") from None


def _check_length(pages: int) -> None:
    if pages > MAX_PAGES:
        raise ParseError(f"it has {pages} pages, more than {MAX_PAGES}; split it")
