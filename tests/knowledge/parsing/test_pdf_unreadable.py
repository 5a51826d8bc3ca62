"""PDF pages whose letters have no Unicode values: what can be read of them is, and they are named."""

from __future__ import annotations

import re

import pytest

from knowledge.errors import ParseError
from knowledge.parsing.pdf import pdf_document
from knowledge.parsing.pdf.unreadable_pages import readable_pages
from tests.knowledge.parsing.test_pdf import pdf_of
from tests.knowledge.parsing.test_pdf_layout import at
from tests.knowledge.parsing.test_pdf_letters import cid_font, odd

PRIVATE = "3 beginbfchar <0001> <E001> <0002> <E002> <0003> <E003> endbfchar"
CONTROL = "3 beginbfchar <0001> <0011> <0002> <0012> <0003> <0013> endbfchar"
REPLACED = "3 beginbfchar <0001> <FFFD> <0002> <FFFD> <0003> <FFFD> endbfchar"
ODD = odd(72, 700, "000100020003" * 9)
FONT = "/F2 4 0 R"


@pytest.mark.parametrize("values", [PRIVATE, CONTROL, REPLACED, ""], ids=["private", "control", "replaced", "none"])
def test_unreadable_pages_are_named_and_what_can_be_read_is_kept(values: str) -> None:
    second = f"{ODD} {at(72, 660, 'Papers on harbours, no. 9')} {at(72, 640, '7 7')}"
    data = pdf_of(ODD, at(72, 700, "The fee is 15."), second, fonts=FONT, extra=cid_font(values))
    document = pdf_document.parse(data)
    assert document.text == "The fee is 15.\n\nPapers on harbours, no. 9"
    assert [block.page for block in document.blocks] == [2, 3]
    assert len(document.warnings) == 1
    assert re.search(r"\b1, 3\b", document.warnings[0])


def test_a_document_of_unreadable_letters_only_is_refused() -> None:
    with pytest.raises(ParseError, match="1 page"):
        pdf_document.parse(pdf_of(ODD, fonts=FONT, extra=cid_font(PRIVATE)))


def test_a_page_with_few_unreadable_letters_keeps_its_text() -> None:
    line = "The fee of the second lot is 15 euros a month."
    data = pdf_of(f"{at(72, 700, line)} {odd(72, 660, '0001')}", fonts=FONT, extra=cid_font(PRIVATE))
    document = pdf_document.parse(data)
    assert document.text.split("\n")[0] == line
    assert document.warnings == ()


def test_pages_that_only_pypdf_can_read_are_read_with_it() -> None:
    line = "The gate of the tower has seven keys."
    data = pdf_of(at(72, 700, line), at(72, 700, line))
    assert readable_pages(["\x11\x12\x13" * 9, line], data) == ([line, line], frozenset())
