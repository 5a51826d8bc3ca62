"""Pictures inside Word documents and presentations: their text is read where it stands, or their number is told."""

from __future__ import annotations

import io
from typing import Any

import docx
import pptx
import pytest
from aiohttp import web
from pptx.util import Inches

from knowledge.parsing.document_builder import ParsedDocument
from knowledge.parsing.office import docx as docx_parser
from knowledge.parsing.office import pptx as pptx_parser
from knowledge.parsing.parse_options import ParseOptions
from knowledge.sources.web_page import UrlSource
from knowledge.types.source_items import Fetched
from tests.knowledge.parsing.test_text_recognition import bars, png, recognizer

SHOT = png(bars(600, 400, (20, 12, 300)))
OTHER = png(bars(600, 400, (20, 12, 200)))
ICON = png(bars(120, 30, (9, 9, 99)))


def document(*pictures: bytes) -> bytes:
    made = docx.Document()
    made.add_heading("Gate", 1)
    made.add_paragraph("Before.")
    for picture in pictures:
        made.add_picture(io.BytesIO(picture))
    table = made.add_table(1, 2)
    table.cell(0, 0).text = "Plan"
    table.cell(0, 1).paragraphs[0].add_run().add_picture(io.BytesIO(OTHER))
    made.add_paragraph("After.")
    return saved(made)


def slides(*pictures: bytes) -> bytes:
    made = pptx.Presentation()
    for number, picture in enumerate(pictures, 1):
        slide = made.slides.add_slide(made.slide_layouts[5])
        slide.shapes.title.text = f"Slide of gate {number}"
        slide.shapes.add_picture(io.BytesIO(picture), Inches(1), Inches(2))
    return saved(made)


def saved(made: Any) -> bytes:
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def found(parsed: ParsedDocument) -> list[tuple[tuple[str, ...], str]]:
    return [(block.heading, parsed.text[block.start : block.end]) for block in parsed.blocks]


def test_pictures_of_a_document_are_read_where_they_stand() -> None:
    reader, _ = recognizer()
    parsed = docx_parser.parse(document(SHOT, ICON, SHOT), ParseOptions(recognizer=reader))
    marked = ("Gate", "Read by OCR, 99 % sure")
    assert found(parsed)[1:] == [
        (("Gate",), "Before."),
        (marked, "bar of 300"),
        (("Gate",), "| Plan |  |\n| --- | --- |"),
        (marked, "bar of 200"),
        (("Gate",), "After."),
    ]
    assert parsed.warnings == ("2 pictures read by OCR, at least 99 % sure. Check figures and names in the original",)


def test_pictures_of_slides_are_read_with_their_slide() -> None:
    reader, _ = recognizer()
    parsed = pptx_parser.parse(slides(SHOT, ICON, OTHER), ParseOptions(recognizer=reader))
    read = [(b.page, parsed.text[b.start : b.end]) for b in parsed.blocks if len(b.heading) > 1]
    assert read == [(1, "bar of 300"), (3, "bar of 200")]


@pytest.mark.parametrize(("parse", "data"), [(docx_parser.parse, document(SHOT)), (pptx_parser.parse, slides(SHOT))])
def test_pictures_that_cannot_be_read_are_counted(parse: Any, data: bytes) -> None:
    warning = parse(data).warnings[0]
    assert warning.endswith("left out, which may hold text. Install parley[ocr] to read scans")
    reader, _ = recognizer(0)
    assert parse(data, ParseOptions(recognizer=reader)).warnings[0].endswith("Split the file to read them")


async def test_a_picture_at_a_url_is_fetched_for_its_text() -> None:
    async def picture(_: web.Request) -> web.Response:
        return web.Response(body=SHOT, content_type="image/png")

    app = web.Application()
    app.router.add_get("/plan.png", picture)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        source = UrlSource(f"http://{host}:{port}/plan.png", fetch_allow=("127.0.0.0/8",), max_bytes=10**6)
        items = [item async for item in source.fetch()]
    finally:
        await runner.cleanup()
    assert isinstance(items[0], Fetched)
    assert (items[0].data, items[0].content_type) == (SHOT, "image/png")
