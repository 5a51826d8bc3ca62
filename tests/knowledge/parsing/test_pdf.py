"""Parsing of PDF files: lines, hyphens, forms, outlines, running headers, and pages that hold no text."""

from __future__ import annotations

from collections import Counter

import pytest

from knowledge.chunking import chunk
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.parsing.pdf.pdf_text import clean, without_running_lines
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched

HELVETICA = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"


def pdf_of(*streams: str, page: str = "", catalog: str = "", extra: tuple[str, ...] = (), fonts: str = "") -> bytes:
    """Return a handwritten PDF with a page for each content stream. Object 3 is the font, ``extra`` begin at 4.

    ``page``, ``catalog`` and ``fonts`` are entries of their dictionaries. The first page is the object after ``extra``.
    """
    first = 4 + len(extra)
    kids = " ".join(f"{first + 2 * n} 0 R" for n in range(len(streams)))
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(streams)} >>",
        HELVETICA,
        *extra,
    ]
    for n, stream in enumerate(streams):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {first + 2 * n + 1} 0 R "
            f"/Resources << /Font << /F1 3 0 R {fonts} >> >> {page} >>"
        )
        objects.append(f"<< /Length {len(stream.encode('cp1252'))} >>\nstream\n{stream}\nendstream")
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("cp1252")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer << /Size {len(objects) + 1} /Root 1 0 R >>"
    return out + f"{end}\nstartxref\n{len(out)}\n%%EOF".encode()


def lines(*texts: str, at: int = 700, leading: int = 16) -> str:
    """Return a content stream with lines of text, each below the other."""
    shown = " ".join(f"({text}) Tj T*" for text in texts)
    return f"BT /F1 12 Tf {leading} TL 72 {at} Td {shown} ET"


async def read(parser: Parser, data: bytes) -> Document:
    return await parser.parse(Fetched("report.pdf", data))


def texts(document: Document) -> list[tuple[str, str, int | None]]:
    return [(b.kind, document.text[b.start : b.end], b.page) for b in document.blocks]


@pytest.mark.parametrize("rotation", [0, 90, 270, 450])
async def test_lines_stay_apart_on_rotated_pages(parser: Parser, rotation: int) -> None:
    rows = [("MAIER, K", "1,200.50"), ("ONG, T", "33,400.00"), ("PETIT, L", "810.75")]
    turned = rotation % 360 == 90
    stream = ""
    for n, (name, amount) in enumerate(rows):
        for text, offset in ((name, 20), (amount, 345)):
            place = f"0 1 -1 0 {60 + 12 * n} {offset}" if turned else f"1 0 0 1 {20 + offset} {500 - 12 * n}"
            stream += f"BT /F1 8 Tf {place} Tm ({text}) Tj ET\n"
    document = await read(parser, pdf_of(stream, page=f"/Rotate {rotation}"))
    assert document.text.splitlines() == [f"{name} {amount}" for name, amount in rows]


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        ("a state-of-", "the-art plant", "a state-of-the-art plant"),
        ("the short-", "term loan", "the short-term loan"),
        ("their satis-", "faction grew", "their satisfaction grew"),
        ("by e-", "mail only", "by e-mail only"),
        ("die K\xfcndi-", "gungsfrist endet", "die K\xfcndigungsfrist endet"),
        ("in Garmisch-", "Partenkirchen", "in Garmisch-Partenkirchen"),
        ("alle Haupt-", "und Nebenkosten", "alle Haupt- und Nebenkosten"),
        ("the NATION-", "AL office", "the NATIONAL office"),
    ],
)
async def test_hyphens_at_line_ends_stay_where_they_belong(parser: Parser, first: str, second: str, shown: str) -> None:
    document = await read(parser, pdf_of(lines(first, second)))
    assert document.text == shown


def test_a_word_is_joined_as_the_rest_of_the_document_writes_it() -> None:
    assert clean("A trade\ufffeoff. The tradeoff is known.") == "A tradeoff. The tradeoff is known."
    assert clean("The micro\ufffegrid, as every micro-grid.") == "The micro-grid, as every micro-grid."


FIELDS = (
    "<< /Fields [5 0 R 6 0 R 7 0 R 8 0 R] /DA (/F1 12 Tf) /DR << /Font << /F1 3 0 R >> >> >>",
    "<< /Type /Annot /Subtype /Widget /FT /Tx /T (v) /V (Acme Bolts Ltd) /Rect [180 695 380 715] >>",
    "<< /Type /Annot /Subtype /Widget /FT /Btn /T (c) /V /Yes /AS /Yes /Rect [180 645 200 665] "
    "/AP << /N << /Yes 9 0 R /Off 9 0 R >> >> >>",
    "<< /Type /Annot /Subtype /Widget /FT /Ch /Ff 131072 /T (p) /V (Air) /Opt [(Air) (Sea)] /Rect [180 595 280 615] >>",
    "<< /Type /Annot /Subtype /Widget /FT /Tx /T (order.note) /V (ring twice) /Rect [72 300 380 320] >>",
    "<< /Type /XObject /Subtype /Form /BBox [0 0 20 20] /Length 0 >>\nstream\n\nendstream",
)


async def test_form_values_stand_with_their_labels(parser: Parser) -> None:
    stream = lines("Supplier:", "Approved:", "Freight by:", leading=50)
    data = pdf_of(stream, page="/Annots [5 0 R 6 0 R 7 0 R 8 0 R]", catalog="/AcroForm 4 0 R", extra=FIELDS)
    last = (await read(parser, data)).text.split("\n\n")[-1]
    assert last.splitlines() == [
        "Supplier: Acme Bolts Ltd",
        "Approved: yes",
        "Freight by: Air",
        "order.note: ring twice",
    ]


async def test_values_of_a_page_that_was_taken_out_of_its_form_stand_with_their_labels(parser: Parser) -> None:
    stream = lines("Supplier:", "Approved:", "Freight by:", leading=50)
    data = pdf_of(stream, page="/Annots [5 0 R 6 0 R 7 0 R 8 0 R]", extra=FIELDS)
    last = (await read(parser, data)).text.split("\n\n")[-1]
    assert last.splitlines() == ["Supplier: Acme Bolts Ltd", "Freight by: Air", "order.note: ring twice"]


async def test_entries_of_the_outline_are_headings(parser: Parser) -> None:
    extra = (
        "<< /Type /Outlines /First 5 0 R /Last 5 0 R /Count 2 >>",
        "<< /Title (Travel) /Parent 4 0 R /First 6 0 R /Last 6 0 R /Count 1 /Dest [7 0 R /Fit] >>",
        "<< /Title (By train) /Parent 5 0 R /Dest [9 0 R /Fit] >>",
    )
    data = pdf_of(
        lines("Travel", "Book in time."), lines("By train", "Second class."), catalog="/Outlines 4 0 R", extra=extra
    )
    document = await read(parser, data)
    assert [(b.kind, document.text[b.start : b.end], b.heading) for b in document.blocks] == [
        ("heading", "Travel", ()),
        ("paragraph", "Book in time.", ("Travel",)),
        ("heading", "By train", ("Travel",)),
        ("paragraph", "Second class.", ("Travel", "By train")),
    ]


async def test_pages_without_text_are_named(parser: Parser) -> None:
    document = await read(parser, pdf_of(lines("The fee is 15."), "", "0 0 100 100 re f"))
    assert document.text == "The fee is 15."
    assert len(document.warnings) == 1
    assert "2, 3" in document.warnings[0]


def test_headers_and_footers_that_repeat_are_kept_once_on_their_page() -> None:
    pages = [
        f"Acme report 2031\nBody {n} says {n * n}.\nMore of it.\n\nEven more {n}.\nend of {n}\nPage {n}\n{n}"
        for n in range(1, 6)
    ]
    found, removed = without_running_lines(pages)
    assert sum("Acme report" in page for page in found) == 1
    assert sum("Page" in page for page in found) == 1
    assert [f"says {n * n}." in page for n, page in enumerate(found, 1)] == [True] * 5
    assert Counter(removed) == Counter(
        ["Acme report 2031"] * 4 + [f"Page {n}" for n in range(2, 6)] + [str(n) for n in range(1, 6)]
    )


async def test_headers_and_footers_that_repeat_are_text_of_the_document_but_of_no_chunk(parser: Parser) -> None:
    pages = (
        lines("Handbook of the harbour", f"Crane {n} lifts {n * 7} tonnes.", f"Pier {n} of 5") for n in range(1, 6)
    )
    document = await read(parser, pdf_of(*pages))
    last = document.blocks[-1]
    assert (last.kind, last.page) == ("running_lines", None)
    assert document.text[last.start :].split("\n")[-2:] == ["Handbook of the harbour", "Pier 5 of 5"]
    assert document.text.count("Handbook of the harbour") == 5
    chunks = chunk(document, count=lambda texts: [len(one.split()) for one in texts])
    assert sum(one.text.count("Handbook of the harbour") for one in chunks) == 1
    assert all(any(f"Crane {n} lifts" in one.text for one in chunks) for n in range(1, 6))


def test_few_pages_keep_every_line() -> None:
    pages = ["Same\nx", "Same\ny", "Same\nz"]
    assert without_running_lines(pages) == (pages, [])
