"""Parsing of presentations and workbooks: slides, sheets, tables, notes, and errors for bad files."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from typing import Any

import openpyxl
import pptx
import pytest
from lxml import etree  # type: ignore[import-untyped]
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.opc.package import Part
from pptx.opc.packuri import PackURI
from pptx.util import Inches

from knowledge.errors import ParseError
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched


def blocks(document: Document) -> list[tuple[str, str, tuple[str, ...], int | None]]:
    return [(b.kind, document.text[b.start : b.end], b.heading, b.page) for b in document.blocks]


def slides() -> bytes:
    deck = pptx.Presentation()
    first = deck.slides.add_slide(deck.slide_layouts[1])
    first.shapes.title.text = "Launch plan"
    body = first.placeholders[1].text_frame
    body.text = "Freeze on Monday"
    body.add_paragraph().text = "Ship on Friday"
    body.paragraphs[1].level = 1
    first.notes_slide.notes_text_frame.text = "Ask Ann about the freeze."
    second = deck.slides.add_slide(deck.slide_layouts[6])
    table = second.shapes.add_table(2, 2, Inches(1), Inches(1), Inches(4), Inches(1)).table
    for row, values in zip(table.rows, (("Region", "Owner"), ("EU", "Bob")), strict=True):
        for cell, value in zip(row.cells, values, strict=True):
            cell.text = value
    group = second.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "Inside a group"
    return saved(deck)


def workbook() -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Prices"
    sheet["B1"] = "As of spring"
    sheet.append([])
    for row in (["Plan", "Price", "Since", "Off"], ["Team", 12.5, dt.datetime(2026, 3, 1), 0.25]):
        sheet.append(row)
    sheet["D4"].number_format = "0%"
    people = book.create_sheet("People")
    people.append(["Name", "Active"])
    for number in range(30):
        people.append([f"person{number}", True])
    return book


def saved(document: pptx.presentation.Presentation | openpyxl.Workbook) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def with_member(data: bytes, changed: str, content: bytes) -> bytes:
    """Return the archive with one member replaced."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name in old.namelist():
            made.writestr(name, content if name == changed else old.read(name))
    return buffer.getvalue()


async def test_slides_become_pages_under_their_titles(parser: Parser) -> None:
    document = await parser.parse(Fetched("plan.pptx", slides()))
    assert document.title == "Launch plan"
    assert blocks(document) == [
        ("heading", "Launch plan", (), 1),
        ("list", "- Freeze on Monday\n  - Ship on Friday", ("Launch plan",), 1),
        ("heading", "Slide 2", (), 2),
        ("table", "| Region | Owner |\n| --- | --- |\n| EU | Bob |", ("Slide 2",), 2),
        ("paragraph", "Inside a group", ("Slide 2",), 2),
    ]


async def test_notes_and_hidden_slides_are_left_out_and_told(parser: Parser) -> None:
    deck = pptx.Presentation(io.BytesIO(slides()))
    hidden = deck.slides.add_slide(deck.slide_layouts[5])
    hidden.shapes.title.text = "Redundancies"
    hidden.element.set("show", "0")
    document = await parser.parse(Fetched("plan.pptx", saved(deck)))
    assert "Redundancies" not in document.text
    assert "Ask Ann" not in document.text
    assert document.warnings == (
        "hidden slides left out: 3. Add them with --include-hidden",
        "notes of slides left out: 1. Add them with --include-hidden",
    )
    everything = await parser.parse(Fetched("plan.pptx", saved(deck)), include_hidden=True)
    assert "Notes: Ask Ann about the freeze." in everything.text
    assert "Redundancies" in everything.text
    assert everything.warnings == ()


async def test_chart_of_a_slide_becomes_a_table(parser: Parser) -> None:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = "Sales"
    data: Any = CategoryChartData()  # type: ignore[no-untyped-call]
    data.categories = ["North", "South"]
    data.add_series("2030", (1.5, 2))
    chart = slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, 0, Inches(4), Inches(3), data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "Sales by region"
    document = await parser.parse(Fetched("sales.pptx", saved(deck)))
    assert blocks(document)[1:] == [
        ("paragraph", "Sales by region", ("Sales",), 1),
        ("table", "|  | 2030 |\n| --- | --- |\n| North | 1.5 |\n| South | 2 |", ("Sales",), 1),
    ]


DIAGRAM = """<dgm:dataModel xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram"
 xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><dgm:ptLst>
<dgm:pt modelId="1" type="doc"><dgm:t><a:p/></dgm:t></dgm:pt>
<dgm:pt modelId="2"><dgm:t><a:p><a:r><a:t>Order</a:t></a:r></a:p></dgm:t></dgm:pt>
<dgm:pt modelId="3" type="sibTrans"><dgm:t><a:p><a:r><a:t>arrow</a:t></a:r></a:p></dgm:t></dgm:pt>
<dgm:pt modelId="4"><dgm:t><a:p><a:r><a:t>Pay in </a:t></a:r><a:r><a:t>30 days</a:t></a:r></a:p></dgm:t></dgm:pt>
</dgm:ptLst></dgm:dataModel>"""
FRAME = """<p:graphicFrame xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"
 xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><p:nvGraphicFramePr><p:cNvPr id="9" name="d"/>
<p:cNvGraphicFramePr/><p:nvPr/></p:nvGraphicFramePr><p:xfrm><a:off x="0" y="0"/><a:ext cx="9" cy="9"/></p:xfrm>
<a:graphic><a:graphicData uri="http://schemas.openxmlformats.org/drawingml/2006/diagram"><dgm:relIds
 xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram"
 xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" r:dm="{id}"/></a:graphicData></a:graphic>
</p:graphicFrame>"""


async def test_entries_of_a_diagram_become_a_list(parser: Parser) -> None:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    name = PackURI("/ppt/diagrams/data1.xml")
    content = "application/vnd.openxmlformats-officedocument.drawingml.diagramData+xml"
    part = Part(name, content, slide.part.package, DIAGRAM.encode())
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/diagramData"
    slide.shapes._spTree.append(etree.fromstring(FRAME.format(id=slide.part.relate_to(part, kind))))
    document = await parser.parse(Fetched("flow.pptx", saved(deck)))
    assert ("list", "- Order\n- Pay in 30 days", ("Slide 1",), 1) in blocks(document)


async def test_sheets_become_headings_and_tables_repeat_their_header_row(parser: Parser) -> None:
    document = await parser.parse(Fetched("https://example.org/price-list.xlsx", saved(workbook())))
    assert document.title == "price list"
    found = blocks(document)
    assert found[:4] == [
        ("heading", "Prices", (), None),
        ("paragraph", "As of spring", ("Prices",), None),
        (
            "table",
            "| Plan | Price | Since | Off |\n| --- | --- | --- | --- |\n| Team | 12.5 | 2026-03-01 | 25% |",
            ("Prices",),
            None,
        ),
        ("heading", "People", (), None),
    ]
    tables = found[4:]
    assert len(tables) == 2
    for _, text, heading, _ in tables:
        assert text.startswith("| Name | Active |\n| --- | --- |\n| person")
        assert heading == ("People",)
    assert "| person29 | TRUE |" in tables[1][1]


async def test_formula_shows_its_saved_value(parser: Parser) -> None:
    book = openpyxl.Workbook()
    book.active.append(["Sum", "Total"])
    book.active.append(["=1+1", "x"])
    data = saved(book)
    sheet = zipfile.ZipFile(io.BytesIO(data)).read("xl/worksheets/sheet1.xml")
    assert b"<v />" in sheet or b"<v></v>" in sheet or b"<v/>" in sheet
    for empty in (b"<v />", b"<v></v>", b"<v/>"):
        sheet = sheet.replace(empty, b"<v>2</v>")
    document = await parser.parse(Fetched("sum.xlsx", with_member(data, "xl/worksheets/sheet1.xml", sheet)))
    assert "| 2 | x |" in document.text


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">'
    + "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    + "]>"
).encode()


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.pptx", with_member(slides(), "ppt/slides/slide1.xml", b"<broken"), "damaged"),
        ("a.pptx", with_member(slides(), "ppt/presentation.xml", b"<x/>"), "damaged|cannot be read"),
        ("a.pptx", with_member(slides(), "ppt/slides/slide1.xml", LAUGHS + b"<x>&l11;</x>"), "damaged"),
        ("a.pptx", with_member(slides(), "ppt/slides/slide1.xml", bytes(30 * 2**20)), "zip bomb"),
        ("a.xlsx", with_member(saved(workbook()), "xl/worksheets/sheet1.xml", b"<broken"), "damaged"),
        ("a.xlsx", with_member(saved(workbook()), "xl/workbook.xml", b"<x/>"), "damaged|empty"),
        (
            "a.xlsx",
            with_member(saved(workbook()), "xl/worksheets/sheet1.xml", LAUGHS + b"<x>&l11;</x>"),
            "declares entities",
        ),
        ("a.xlsx", saved(openpyxl.Workbook()), "sheets are empty"),
        ("a.xlsx", b"\xd0\xcf\x11\xe0" + bytes(600) + "EncryptedPackage".encode("utf-16-le"), "encrypted"),
        ("a.xlsx", b"plain", "not an Office file"),
    ],
)
async def test_bad_office_files_raise_an_error_with_the_reason(
    parser: Parser, name: str, data: bytes, reason: str
) -> None:
    with pytest.raises(ParseError, match=reason):
        await parser.parse(Fetched(name, data))
    assert (await parser.parse(Fetched("fine.txt", b"fine"))).text == "fine"


async def test_member_larger_than_its_declared_size_does_not_exhaust_memory() -> None:
    """The sizes in a ZIP directory cannot be trusted: this member of 150 MB declares 1,000 bytes."""
    data = bytearray(with_member(slides(), "ppt/slides/slide1.xml", bytes(150 * 2**20)))
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        size = archive.getinfo("ppt/slides/slide1.xml").file_size.to_bytes(4, "little")
    lying = bytes(data).replace(size, (1000).to_bytes(4, "little"))
    parser = Parser(memory=60 * 2**20)
    with pytest.raises(ParseError):
        await parser.parse(Fetched("lying.pptx", lying))
    assert (await parser.parse(Fetched("fine.txt", b"fine"))).text == "fine"
    await parser.aclose()
