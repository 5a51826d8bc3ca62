"""What stands on the pages of a document, but not in its main text: imported pages, typed texts, other code pages."""

from __future__ import annotations

import io

import docx
import pytest
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from knowledge.parsing import parsers
from knowledge.parsing.document_builder import ParsedDocument
from tests.knowledge.parsing.outlook_files import compound_file, message
from tests.knowledge.parsing.test_pdf import lines, pdf_of

PAGE = "<html><body><h1>Gate</h1><p>The gate opens at six.</p></body></html>"
ARCHIVE = f"MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{PAGE}"


def importing(name: str, data: bytes) -> ParsedDocument:
    """Return what is read of a Word file that imports another file between two paragraphs."""
    document, stored = docx.Document(), io.BytesIO()
    document.add_paragraph("Before.")
    part = Part(PackURI(f"/word/{name}"), "application/octet-stream", data, document.part.package)
    identifier = document.part.relate_to(part, RELATIONSHIP_TYPE.A_F_CHUNK)
    chunk = parse_xml(f'<w:altChunk {nsdecls("w", "r")} r:id="{identifier}"/>')
    document.add_paragraph("After.")._p.addprevious(chunk)
    document.save(stored)
    return parsers.parse(stored.getvalue(), "report.docx")


@pytest.mark.parametrize(("name", "data"), [("page.html", PAGE), ("page.mht", ARCHIVE), ("a.dat", PAGE)])
def test_word_file_that_imports_a_web_page(name: str, data: str) -> None:
    document = importing(name, data.encode())
    shown = [line for line in document.text.split("\n") if line]
    assert [shown[0], shown[-1]] == ["Before.", "After."]
    assert "The gate opens at six." in shown
    assert document.warnings == ()


def test_imported_archive_is_left_out_and_named() -> None:
    document = importing("inner.docx", b"PK\x03\x04 and more")
    assert document.text == "Before.\n\nAfter."
    assert document.warnings == (
        "inner.docx, which the document imports, was left out: it is an archive. Add it as a file of its own",
    )


@pytest.mark.parametrize(("flags", "shown"), [(4, True), (6, False), (36, False)])
def test_text_typed_on_a_pdf_page_is_read_unless_it_is_hidden(flags: int, shown: bool) -> None:
    typed = f"<< /Type /Annot /Subtype /FreeText /Rect [72 500 300 520] /Contents (Signed by Ann) /F {flags} >>"
    note = "<< /Type /Annot /Subtype /Text /Rect [9 9 30 30] /Contents (a remark) /F 4 >>"
    data = pdf_of(lines("The contract."), page="/Annots [4 0 R 5 0 R]", extra=(typed, note))
    text = parsers.parse(data, "contract.pdf").text
    assert text == ("The contract.\n\nSigned by Ann" if shown else "The contract.")


def test_outlook_message_in_a_code_page_of_windows() -> None:
    page = "<p>\u683c\u5f0f\u6e2c\u8a66</p>".encode("cp950")
    data = compound_file(message(subject="Gate", html=page, sender=("Ann", "ann@example.org"), code_page=950))
    assert "\u683c\u5f0f\u6e2c\u8a66" in parsers.parse(data, "a.msg").text
