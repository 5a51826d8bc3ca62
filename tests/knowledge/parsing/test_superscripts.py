"""Raised text keeps its meaning in every format: 10 to the power of 6 is not 106."""

from __future__ import annotations

import io
import zipfile

import docx
import pptx
import pytest
from pypdf import PdfReader, PdfWriter

from knowledge.parsing import parsers
from knowledge.parsing.pdf import pdf_document
from knowledge.parsing.superscripts import marked, written
from tests.knowledge.parsing.test_pdf import pdf_of

PIECES = [
    ("Emits 4 x 10", ""),
    ("6", "raised"),
    (" kg of CO", ""),
    ("2", "lowered"),
    (" from the 1", ""),
    ("st", "raised"),
]
READ = "Emits 4 x 10^6 kg of CO2 from the 1st"


def pdf_text(*streams: str) -> str:
    return pdf_document.parse(pdf_of(*streams)).text


def pieces_in_pdf(size: int, rise: int) -> str:
    """Return a content stream."""
    shown = {"": "/F1 12 Tf 0 Ts", "raised": f"/F1 {size} Tf {rise} Ts", "lowered": f"/F1 {size} Tf -2 Ts"}
    drawn = " ".join(f"{shown[how]} ({text}) Tj" for text, how in PIECES)
    return f"BT 72 700 Td {drawn} ET"


@pytest.mark.parametrize(("size", "rise"), [(7, 5), (8, 4), (10, 4), (6, 6)])
def test_pdf_pages_with_smaller_and_larger_superscripts(size: int, rise: int) -> None:
    assert pdf_text(pieces_in_pdf(size, rise)) == READ


def test_pdf_superscript_behind_a_low_letter_and_before_more_text() -> None:
    stream = "BT /F1 12 Tf 72 700 Td (The area is x) Tj /F1 7 Tf 5 Ts (2) Tj /F1 12 Tf 0 Ts (, and more.) Tj ET"
    assert pdf_text(stream) == "The area is x^2, and more."


def test_pdf_text_in_two_sizes_and_letters_with_descenders_are_no_superscripts() -> None:
    stream = "BT /F1 18 Tf 72 700 Td (Typography) Tj /F1 11 Tf ( and layout) Tj /F1 11 Tf 0 -30 Td (jpg) Tj (and) Tj ET"
    assert "^" not in pdf_text(stream)
    assert pdf_text(stream).split() == ["Typography", "and", "layout", "jpgand"]


def test_pdf_identifiers_with_low_lines_stay_whole_on_a_page_with_columns() -> None:
    rows = "".join(
        f"BT /F1 10 Tf 72 {y} Td (CL_{name}) Tj ET BT /F1 10 Tf 300 {y} Td (Code {y}) Tj ET "
        for y, name in ((700, "Water"), (680, "Man_made"), (660, "Sand_Island"), (640, "Obstacle"))
    )
    for name in ("CL_Water", "CL_Man_made", "CL_Sand_Island"):
        assert name in pdf_text(rows)


def test_pdf_hyphen_character_at_a_line_end_joins_the_word() -> None:
    stream = "BT /F1 12 Tf 14 TL 72 700 Td (An inter\\255) Tj T* (national rule) Tj ET"
    data = pdf_of(stream).replace(b"/Encoding /WinAnsiEncoding", b"/Encoding << /Differences [173 /uni2010] >>")
    assert "international rule" in pdf_document.parse(data).text


def test_pdf_with_an_empty_password_is_read_also_by_the_second_reader() -> None:
    writer = PdfWriter()
    writer.append(PdfReader(io.BytesIO(pdf_of("BT /F1 12 Tf 72 700 Td (Open to all) Tj ET"))))
    writer.encrypt(user_password="", owner_password="boss", algorithm="RC4-128")
    stored = io.BytesIO()
    writer.write(stored)
    assert pdf_document.parse(stored.getvalue()).text == "Open to all"
    assert pdf_document._read_with_pypdf(stored.getvalue()).pages == ["Open to all"]


def test_word_file() -> None:
    document, stored = docx.Document(), io.BytesIO()
    paragraph = document.add_paragraph()
    for text, how in PIECES:
        run = paragraph.add_run(text)
        if how:
            setattr(run.font, {"raised": "superscript", "lowered": "subscript"}[how], True)
    document.save(stored)
    assert parsers.parse(stored.getvalue(), "a.docx").text == READ


def test_presentation_in_text_and_table() -> None:
    presentation, stored = pptx.Presentation(), io.BytesIO()
    slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    cell = slide.shapes.add_table(1, 1, 0, 0, 9_000_000, 900_000).table.cell(0, 0)
    for paragraph in (slide.placeholders[1].text_frame.paragraphs[0], cell.text_frame.paragraphs[0]):
        for text, how in PIECES:
            run = paragraph.add_run()
            run.text = text
            run.font._element.set("baseline", {"raised": "30000", "lowered": "-25000"}.get(how, "0"))
    presentation.save(stored)
    assert parsers.parse(stored.getvalue(), "a.pptx").text.count(READ) == 2


@pytest.mark.parametrize("position", ["super 58%", "33% 58%"])
def test_open_document(position: str) -> None:
    names = {"": "T0", "raised": "T1", "lowered": "T2"}
    spans = "".join(f'<text:span text:style-name="{names[how]}">{text}</text:span>' for text, how in PIECES)
    styles = "".join(
        f'<style:style style:name="{name}"><style:text-properties style:text-position="{place}"/></style:style>'
        for name, place in (("T1", position), ("T2", "sub 58%"))
    )
    uri = "urn:oasis:names:tc:opendocument:xmlns"
    content = (
        f'<office:document-content xmlns:office="{uri}:office:1.0" xmlns:text="{uri}:text:1.0" '
        f'xmlns:style="{uri}:style:1.0"><office:automatic-styles>{styles}</office:automatic-styles><office:body>'
        f"<office:text><text:p>{spans}</text:p></office:text></office:body></office:document-content>"
    )
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        archive.writestr("content.xml", content)
    assert parsers.parse(stored.getvalue(), "a.odt").text == READ


def test_page_with_a_raised_style() -> None:
    page = '<p>It holds 10<span style="color:red; vertical-align: super">9</span> litres of water.</p>'
    assert "10^9 litres" in parsers.parse(f"<html><body>{page}</body></html>".encode(), "a.html").text


def test_pieces_side_by_side_are_one_superscript() -> None:
    assert written(f"10{marked('-')}{marked('6')} m") == "10^-6 m"
    assert written(f"{marked('1')} A note below the page") == "1 A note below the page"
    assert written(f"a{marked(' ')}b") == "a b"
