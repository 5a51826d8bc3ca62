"""Parses PDF files page by page with pypdfium2, and with pypdf if that fails."""

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
from knowledge.parsing.document_builder import Builder, ParsedDocument

MAX_PAGES = 10_000
_SOFT_HYPHEN = re.compile(r"[\ufffe\u00ad\x02]\n?")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_PLACEHOLDERS = ("untitled", "anonymous", "(anonymous)", "(unspecified)")
_WRONG_PASSWORD = 4
"""``FPDF_ERR_PASSWORD`` of pdfium."""
_DATE = re.compile(r"(?:D:)?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:Z(?:\d\d'?\d\d'?)?|([+-])(\d\d)'?(\d\d)?'?)?")
"""A date by ISO 32000: the year, any further parts from left to right, then the time zone."""


@dataclass(frozen=True, slots=True)
class _PdfText:
    """The text of each page, and ``info``: the document information dictionary without empty values."""

    info: Mapping[str, str]
    pages: list[str]


def parse(data: bytes) -> ParsedDocument:
    """Parse a PDF. Raises ParseError if it is encrypted, damaged or too long, or has no text."""
    try:
        pdf = _read_with_pdfium(data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == _WRONG_PASSWORD:
            raise _encrypted() from None
        pdf = _read_with_pypdf(data)
    builder = Builder()
    for number, text in enumerate(pdf.pages, 1):
        builder.page = number
        for paragraph in _PARAGRAPH.split(_clean(text)):
            builder.add("paragraph", paragraph)
    title = pdf.info.get("Title", "")
    parsed = builder.build("" if title.lower() in _PLACEHOLDERS else title)
    if not parsed.blocks:
        raise ParseError(
            f"its {len(pdf.pages)} page(s) have images and no text; run text recognition (OCR) on it and try again"
        )
    return replace(parsed, metadata=_metadata(pdf.info))


def _encrypted() -> ParseError:
    return ParseError("it is encrypted; save it without a password and try again")


def _metadata(info: Mapping[str, str]) -> dict[str, str]:
    author = info.get("Author", "")
    metadata = {
        AUTHOR: "" if author.lower() in _PLACEHOLDERS else author,
        DATE: _iso_date(info.get("ModDate", "")) or _iso_date(info.get("CreationDate", "")),
    }
    return {key: value for key, value in metadata.items() if value}


def _iso_date(pdf_date: str) -> str:
    """Convert a PDF date to ISO 8601. Return an empty string if it is not a valid date."""
    match = _DATE.fullmatch(pdf_date)
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
    return _CONTROL.sub(" ", _SOFT_HYPHEN.sub("", lines))


def _read_with_pdfium(data: bytes) -> _PdfText:
    document = pypdfium2.PdfDocument(data)
    try:
        _check_length(len(document))
        info = _clean_values(document.get_metadata_dict(skip_empty=True))
        pages = []
        for page in document:
            text = page.get_textpage()
            pages.append(text.get_text_bounded())
            text.close()
            page.close()
        return _PdfText(info, pages)
    finally:
        document.close()


def _read_with_pypdf(data: bytes) -> _PdfText:
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted:
            raise _encrypted()
        _check_length(len(reader.pages))
        info = _clean_values({name.lstrip("/"): value for name, value in (reader.metadata or {}).items()})
        return _PdfText(info, [page.extract_text() for page in reader.pages])
    except (PyPdfError, ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
        raise ParseError("it is damaged and cannot be opened; export or download it again") from None


def _clean_values(info: Mapping[str, object]) -> dict[str, str]:
    return {name: text for name, value in info.items() if (text := _clean(str(value)).strip())}


def _check_length(pages: int) -> None:
    if pages > MAX_PAGES:
        raise ParseError(f"it has {pages} pages, more than {MAX_PAGES}; split it into smaller files")
