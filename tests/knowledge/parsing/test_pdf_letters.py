"""Letters of PDF pages that do not simply stand on their lines: turned, lowered, drawn twice, or hard to encode."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from knowledge.parsing.pdf import pdf_document
from tests.knowledge.parsing.test_pdf import pdf_of
from tests.knowledge.parsing.test_pdf_layout import LEFT, XS, YS, at, cells, ruled, tables, text

BODY = " ".join(at(90, 700 - 20 * row, line) for row, line in enumerate(LEFT))


@pytest.mark.parametrize("matrix", ["0 1 -1 0 40 300", "0 -1 1 0 580 500"], ids=["upwards", "downwards"])
def test_words_of_turned_text_stay_whole_and_stand_behind_the_page(matrix: str) -> None:
    margin = f"BT /F1 11 Tf {matrix} Tm (Preprint 2031, volume 7) Tj ET"
    paragraphs = text(f"{margin} {BODY}").split("\n\n")
    assert paragraphs[-1] == "Preprint 2031, volume 7"
    assert "\n".join(paragraphs[:-1]).startswith("The first lot opened in spring")


def test_words_of_turned_text_whose_spaces_are_only_gaps_stay_apart() -> None:
    margin = "BT /F1 11 Tf 0 1 -1 0 40 300 Tm [(Volume) -278 (seven)] TJ ET"
    assert text(f"{margin} {BODY}").split("\n\n")[-1] == "Volume seven"


def test_turned_words_of_a_ruled_table_stay_in_their_cells() -> None:
    ys = (700, 640, 620, 600, 580)
    rows = [["Lot", "", "", "Remark"], ["A", "12", "140", "near"], ["B", "9", "90", "far"], ["C", "7", "70", "gone"]]
    turned = " ".join(
        f"BT /F1 11 Tf 0 1 -1 0 {x} 645 Tm ({word}) Tj ET" for x, word in ((190, "Day fee"), (270, "Month"))
    )
    document = pdf_document.parse(pdf_of(f"{ruled(XS, ys)} {cells(XS, ys, rows)} {turned}"))
    assert tables(document)[0][0] == ["Lot", "Day fee", "Month", "Remark"]
    assert document.text.count("Month") == 1


def test_text_in_a_font_of_negative_size_is_read_in_its_direction() -> None:
    turned = " ".join(
        f"BT /F1 -11 Tf -1 0 0 -1 {x} {700 - 16 * row} Tm ({word}) Tj ET"
        for row, line in enumerate([["Lot", "Fee"], ["A", "12"], ["B", "9"], ["C", "7"]])
        for x, word in zip((90, 300), line, strict=True)
    )
    assert text(turned).replace("|", " ").split() == ["Lot", "Fee", *["---"] * 2, *"A 12 B 9 C 7".split()]


def test_subscripts_belong_to_the_word_before_them() -> None:
    water = "BT /F1 12 Tf 72 500 Td (The CO) Tj /F1 8 Tf -3 Ts (2) Tj /F1 12 Tf 0 Ts ( and H) Tj /F1 8 Tf -3 Ts (2) Tj "
    assert text(f"{water} /F1 12 Tf 0 Ts (O of the room) Tj ET") == "The CO2 and H2O of the room"
    assert text(f"{BODY} {water} /F1 12 Tf 0 Ts (O rise) Tj ET").split("\n")[-1] == "The CO2 and H2O rise"
    tight = "BT /F1 12 Tf 72 500 Td (between V) Tj /F1 8 Tf -3 Ts (1) Tj /F1 12 Tf 0 Ts -3.2 Tw ( and) Tj ET"
    assert text(f"{BODY} {tight}").split("\n")[-1] == "between V1 and"


@pytest.mark.parametrize(("across", "down"), [(0.3, 0), (0, 0.3), (0, 0)])
def test_text_that_is_drawn_twice_for_bold_type_is_read_once(across: float, down: float) -> None:
    words = [*LEFT, "A book of bees, all in all"]
    once = " ".join(at(72, 700 - 20 * row, line) for row, line in enumerate(words))
    again = " ".join(at(72 + across, 700 - 20 * row - down, line) for row, line in enumerate(words))
    assert text(f"{once} {again}") == text(once)


def test_a_form_of_merged_cells_is_read_as_text() -> None:
    note = "This box of the form holds one long note that every part of the drawing would repeat"
    left_out: list[tuple[float, ...]] = [(a, y, b, y) for y in YS[1:-1] for a, b in pairwise(XS[:4])]
    left_out += [(x, a, x, b) for x in XS[1:3] for a, b in pairwise(YS)]
    values = " ".join(at(315, y - 14, f"{y} km") for y in YS[:-1])
    document = pdf_document.parse(pdf_of(f"{ruled(XS, YS, left_out)} {at(75, 650, note, 5)} {values}"))
    assert tables(document) == []
    assert document.text.count("one long note") == 1
    assert len(re.findall(r"\d km", document.text)) == 4


def cid_font(cmap: str) -> tuple[str, ...]:
    """Return objects 4 to 7: a font of two bytes a letter, with the Unicode values of ``cmap``."""
    stream = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapType 2 def "
        f"1 begincodespacerange <0000> <FFFF> endcodespacerange {cmap} endcmap end end"
    )
    return (
        "<< /Type /Font /Subtype /Type0 /BaseFont /Odd /Encoding /Identity-H "
        "/DescendantFonts [5 0 R] /ToUnicode 7 0 R >>",
        "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Odd /FontDescriptor 6 0 R /DW 600 "
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>",
        "<< /Type /FontDescriptor /FontName /Odd /Flags 4 /FontBBox [0 0 600 700] /Ascent 700 /Descent 0 "
        "/ItalicAngle 0 /CapHeight 700 /StemV 80 >>",
        f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
    )


def odd(x: int, y: int, codes: str) -> str:
    return f"BT /F2 11 Tf 1 0 0 1 {x} {y} Tm <{codes}> Tj ET"


def test_letters_beyond_the_first_plane_of_unicode_are_whole_on_arranged_pages() -> None:
    extra = cid_font("2 beginbfchar <0001> <D835DC49> <0002> <D835DC62> endbfchar")
    rows = [["Lot", "Day", "Month", "Remark"], *([f"A{n}", "1", "2", "x"] for n in range(3))]
    stream = f"{odd(72, 740, '00010002')} {ruled(XS, YS)} {cells(XS, YS, rows)}"
    document = pdf_document.parse(pdf_of(stream, fonts="/F2 4 0 R", extra=extra))
    assert tables(document) == [rows]
    assert document.text.startswith("\U0001d449\U0001d462\n")


def wide_ligature() -> tuple[str, ...]:
    """Return objects 4 to 6: a font whose only glyph is wider than high, and stands for ``ffi``."""
    glyph = "900 0 0 0 900 500 d1 0 0 900 500 re f"
    values = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap 1 begincodespacerange <00> <FF> "
        "endcodespacerange 1 beginbfchar <01> <006600660069> endbfchar endcmap end end"
    )
    return (
        "<< /Type /Font /Subtype /Type3 /FontBBox [0 0 900 500] /FontMatrix [0.001 0 0 0.001 0 0] "
        "/CharProcs << /ffi 5 0 R >> /Encoding << /Type /Encoding /Differences [1 /ffi] >> "
        "/FirstChar 1 /LastChar 1 /Widths [900] /ToUnicode 6 0 R >>",
        f"<< /Length {len(glyph)} >>\nstream\n{glyph}\nendstream",
        f"<< /Length {len(values)} >>\nstream\n{values}\nendstream",
    )


@pytest.mark.parametrize("twice", ["", at(72, 500, "air") + at(300, 500, "tea") + at(72, 500, "air")])
def test_letters_of_a_wide_ligature_stay_together_on_arranged_pages(twice: str) -> None:
    rows = [["Lot", "Day", "Month", "Remark"], *([f"A{n}", "1", "2", "x"] for n in range(3))]
    word = "BT /F1 11 Tf 72 740 Td (insu) Tj /F2 11 Tf (\\001) Tj /F1 11 Tf (cient) Tj ET"
    stream = f"{word} {ruled(XS, YS)} {cells(XS, YS, rows)} {twice}"
    document = pdf_document.parse(pdf_of(stream, fonts="/F2 4 0 R", extra=wide_ligature()))
    assert document.text.split("\n")[0] == "insufficient"


@pytest.mark.parametrize("gap", [125, 135])
def test_words_that_only_a_gap_divides_are_apart(gap: int) -> None:
    words = ("Samuel", "Cleveland", "and", "his", "wife", "left", "the", "federal", "tort")
    shown = f" -{gap} ".join(f"({word})" for word in words)
    lines = " ".join(f"BT /F1 12 Tf 1 0 0 1 72 {700 - 20 * row} Tm [{shown}] TJ ET" for row in range(3))
    assert text(lines).split("\n") == [" ".join(words)] * 3


@pytest.mark.parametrize("gap", [160, 190])
def test_letters_of_spaced_words_stay_together(gap: int) -> None:
    words = ("China", "Ocean", "Shipping", "Group", "Company")
    shown = " ".join(f"[{f' -{gap} '.join(f'({letter})' for letter in word)} ( )] TJ" for word in words)
    streams = " ".join(f"BT /F1 11 Tf 1 0 0 1 72 {700 - 20 * row} Tm {shown} ET" for row in range(3))
    assert [line.rstrip() for line in text(streams).split("\n")] == [" ".join(words)] * 3


def test_letters_that_stand_by_themselves_stay_apart() -> None:
    apart = " ".join(at(x, 500, letter) for x, letter in zip(range(72, 168, 12), "abcdefgh", strict=True))
    assert text(f"{BODY} {apart}").split("\n")[-1].split() == list("abcdefgh")
