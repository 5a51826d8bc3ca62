"""Parses PDF files page by page with pypdfium2, and with pypdf if that fails."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pypdfium2
from pypdf import PdfReader

from knowledge.errors import ParseError
from knowledge.metadata import AUTHOR, DATE, PAGE_LABELS
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.parsing.ocr.recognized_pages import RecognizedPages
from knowledge.parsing.ocr.text_recognition import INSTALL, MAX_SIDE
from knowledge.parsing.parse_options import NO_OPTIONS, ParseOptions
from knowledge.parsing.pdf.pdf_forms import form_values, typed_texts
from knowledge.parsing.pdf.pdf_lines import PageText, text_of_page
from knowledge.parsing.pdf.pdf_pages import PageWriter
from knowledge.parsing.pdf.pdf_pictures import PagePictures, is_scan
from knowledge.parsing.pdf.pdf_tables import PdfTable
from knowledge.parsing.pdf.pdf_text import clean, clean_pages, without_running_lines
from knowledge.parsing.pdf.unreadable_pages import PYPDF_ERRORS, readable_pages
from knowledge.text.page_labels import ranges_of

MAX_PAGES = 10_000
MAX_ARRANGED_PAGES = 1000
"""Pages whose columns and tables are looked for, which takes a few milliseconds each."""
_PLACEHOLDERS = ("untitled", "anonymous", "(anonymous)", "(unspecified)")
_WRONG_PASSWORD = 4
"""``FPDF_ERR_PASSWORD`` of pdfium."""
_DATE = re.compile(r"(?:D:)?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:Z(?:\d\d'?\d\d'?)?|([+-])(\d\d)'?(\d\d)?'?)?")
"""A date by ISO 32000: the year, any further parts from left to right, then the time zone."""


@dataclass(frozen=True, slots=True)
class _PdfText:
    """What a reader sees on the pages."""

    info: Mapping[str, str]
    """The document information dictionary without empty values."""
    labels: str
    """The numbers that the pages bear, as ``page_labels.ranges_of`` returns them."""
    pages: list[str]
    fields: Mapping[int, list[str]] = field(default_factory=dict)
    """The form fields of a page, by its index, as lines of label and value, and what was typed on the page."""
    unreadable: frozenset[int] = frozenset()
    """Pages whose letters have no Unicode values, by their index. ``pages`` has the lines of them that can be read."""
    scans: frozenset[int] = frozenset()
    """Pages that are a picture with hardly any text, by their index."""
    outline: Mapping[int, list[tuple[int, str]]] = field(default_factory=dict)
    """The entries of the outline that lead to a page, by its index, with their level from 1."""
    tables: Mapping[str, PdfTable] = field(default_factory=dict)
    """The tables by the line of the text that stands for each."""


def parse(data: bytes, options: ParseOptions = NO_OPTIONS) -> ParsedDocument:
    """Parse a PDF. Raises ParseError if it is encrypted, damaged or too long, or has no text."""
    try:
        pdf = _read_with_pdfium(data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == _WRONG_PASSWORD:
            raise _encrypted() from None
        pdf = _read_with_pypdf(data)
    builder = Builder()
    pages = clean_pages(pdf.pages)
    scans = {index for index, text in enumerate(pages) if not text.strip() and index not in pdf.fields}
    scans |= pdf.scans | pdf.unreadable
    recognized = RecognizedPages(builder, options.recognizer)
    pictures = PagePictures(data, MAX_SIDE)
    writer = PageWriter(builder, pdf.tables)
    pages, running_lines = without_running_lines(pages)
    for index, text in enumerate(pages):
        builder.page = index + 1
        if index not in pdf.unreadable or options.recognizer is None:
            writer.add(text, pdf.outline.get(index, []))
        builder.add("paragraph", "\n".join(pdf.fields.get(index, [])))
        if index in scans:
            recognized.add(pictures.of(index) if options.recognizer is not None else None, index + 1)
    pictures.close()
    builder.running_lines(running_lines)
    recognized.warn()
    title = pdf.info.get("Title", "")
    parsed = builder.build("" if title.lower() in _PLACEHOLDERS else title)
    if not parsed.blocks:
        raise ParseError(_without_text(len(pdf.pages), options))
    return replace(parsed, metadata=_metadata(pdf.info, pdf.labels))


def _without_text(pages: int, options: ParseOptions) -> str:
    if options.recognizer is None:
        return f"its {pages} page(s) have images and no text. {INSTALL}, or add a file with text"
    return f"its {pages} page(s) have no text, also in their images. Check that you chose the right file"


def _encrypted() -> ParseError:
    return ParseError("it is encrypted. Save it without a password and try again")


def _metadata(info: Mapping[str, str], labels: str) -> dict[str, str]:
    author = info.get("Author", "")
    metadata = {
        AUTHOR: "" if author.lower() in _PLACEHOLDERS else author,
        DATE: _iso_date(info.get("ModDate", "")) or _iso_date(info.get("CreationDate", "")),
        PAGE_LABELS: labels,
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


def _read_with_pdfium(data: bytes) -> _PdfText:
    document = pypdfium2.PdfDocument(data)
    try:
        if document.get_formtype() != pypdfium2.raw.FORMTYPE_NONE:
            document.init_forms()
        _check_length(len(document))
        info = _clean_values(document.get_metadata_dict(skip_empty=True))
        pages: list[str] = []
        fields: dict[int, list[str]] = {}
        scans: set[int] = set()
        tables: dict[str, PdfTable] = {}
        for index, page in enumerate(document):
            text = page.get_textpage()
            arranged = index < MAX_ARRANGED_PAGES
            read = text_of_page(page, text, len(tables)) if arranged else PageText(text.get_text_range())
            pages.append(read.text)
            tables |= read.tables
            if is_scan(page, pages[-1]):
                scans.add(index)
            values = typed_texts(page)
            values += [f"{label}: {value}" for label, value in form_values(document, page, text)]
            fields |= {index: values} if values else {}
            text.close()
            page.close()
        labels = ranges_of([clean(document.get_page_label(index)) for index in range(len(document))])
        texts, unreadable = readable_pages(pages, data)
        return _PdfText(info, labels, texts, fields, unreadable, frozenset(scans), _outline(document), tables)
    finally:
        document.close()


def _outline(document: Any) -> dict[int, list[tuple[int, str]]]:
    found: dict[int, list[tuple[int, str]]] = {}
    try:
        for entry in document.get_toc():
            target = entry.get_dest()
            page = target.get_index() if target is not None else None
            if page is not None:
                found.setdefault(page, []).append((entry.level + 1, clean(entry.get_title()).strip()))
    except (pypdfium2.PdfiumError, ValueError):
        return found
    return found


def _read_with_pypdf(data: bytes) -> _PdfText:
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise _encrypted()
        _check_length(len(reader.pages))
        info = _clean_values({name.lstrip("/"): value for name, value in (reader.metadata or {}).items()})
        return _PdfText(info, ranges_of(reader.page_labels), [page.extract_text() for page in reader.pages])
    except PYPDF_ERRORS:
        raise ParseError("it is damaged and cannot be opened. Export or download it again") from None


def _clean_values(info: Mapping[str, object]) -> dict[str, str]:
    return {name: text for name, value in info.items() if (text := clean(str(value)).strip())}


def _check_length(pages: int) -> None:
    if pages > MAX_PAGES:
        raise ParseError(f"it has {pages} pages, more than {MAX_PAGES}. Split it into smaller files")
