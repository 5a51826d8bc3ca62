"""PDF, page by page: pypdfium2, and pypdf where that fails."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import pypdfium2
from pypdf import PdfReader
from pypdf.errors import PyPdfError

from knowledge.errors import ParseError
from knowledge.metadata import AUTHOR, DATE
from knowledge.parsing.document_builder import Builder, Parsed

MAX_PAGES = 10_000
_HYPHEN = re.compile(r"[\ufffe\u00ad\x02]\n?")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_NO_TITLES = ("untitled", "anonymous", "(anonymous)", "(unspecified)")
_WRONG_PASSWORD = 4
"""FPDF_ERR_PASSWORD of pdfium."""
_DATE = re.compile(r"(?:D:)?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:Z(?:\d\d'?\d\d'?)?|([+-])(\d\d)'?(\d\d)?'?)?")
"""ISO 32000: year, then as much of the rest as is known, then the zone."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What a reader brought: ``told`` is the document information dictionary, without empty values."""

    told: Mapping[str, str]
    pages: list[str]


def parse(data: bytes) -> Parsed:
    """Raises ParseError: encrypted, broken, too long, or pages without text."""
    try:
        read = _pdfium(data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == _WRONG_PASSWORD:
            raise ParseError("it is encrypted; save it without a password and try again") from None
        read = _pypdf(data)
    builder = Builder()
    for number, text in enumerate(read.pages, 1):
        builder.page = number
        for paragraph in _PARAGRAPH.split(_clean(text)):
            builder.add("paragraph", paragraph)
    title = read.told.get("Title", "")
    parsed = builder.build("" if title.lower() in _NO_TITLES else title)
    if not parsed.blocks:
        raise ParseError(
            f"its {len(read.pages)} page(s) hold images and no text; run text recognition (OCR) over it and try again"
        )
    return replace(parsed, metadata=_metadata(read.told))


def _metadata(told: Mapping[str, str]) -> dict[str, str]:
    author = told.get("Author", "")
    metadata = {
        AUTHOR: "" if author.lower() in _NO_TITLES else author,
        DATE: _date(told.get("ModDate", "")) or _date(told.get("CreationDate", "")),
    }
    return {key: value for key, value in metadata.items() if value}


def _date(written: str) -> str:
    """A date of a PDF in ISO 8601; empty where it is none."""
    match = _DATE.fullmatch(written)
    if match is None:
        return ""
    year, month, day, hour, minute, second, sign, hours, minutes = match.groups()
    zone = f"{sign}{hours}:{minutes or '00'}" if sign else "+00:00"
    try:
        at = f"{year}-{month or '01'}-{day or '01'}T{hour or '00'}:{minute or '00'}:{second or '00'}{zone}"
        return datetime.fromisoformat(at).isoformat()
    except ValueError:
        return ""


def _clean(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
    return _CONTROL.sub(" ", _HYPHEN.sub("", lines))


def _pdfium(data: bytes) -> _Read:
    document = pypdfium2.PdfDocument(data)
    try:
        _check_length(len(document))
        told = _told(document.get_metadata_dict(skip_empty=True))
        pages = []
        for page in document:
            text = page.get_textpage()
            pages.append(text.get_text_bounded())
            text.close()
            page.close()
        return _Read(told, pages)
    finally:
        document.close()


def _pypdf(data: bytes) -> _Read:
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted:
            raise ParseError("it is encrypted; save it without a password and try again")
        _check_length(len(reader.pages))
        told = _told({name.lstrip("/"): value for name, value in (reader.metadata or {}).items()})
        return _Read(told, [page.extract_text() for page in reader.pages])
    except (PyPdfError, ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
        raise ParseError("it is broken: neither of two PDF readers can open it; export it again") from None


def _told(given: Mapping[str, object]) -> dict[str, str]:
    return {name: words for name, value in given.items() if (words := _clean(str(value)).strip())}


def _check_length(pages: int) -> None:
    if pages > MAX_PAGES:
        raise ParseError(f"it has {pages} pages, more than {MAX_PAGES}; split it")
