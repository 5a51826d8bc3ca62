"""Text in pictures (OCR): scanned pages and photos, what is said about them, and the limits of reading them."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from knowledge.errors import NoTextError, ParseError
from knowledge.ingest import Ingestor
from knowledge.parsing import image
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.parsing.ocr.text_recognition import MAX_SIDE, Recognizer, is_installed
from knowledge.parsing.parse_options import ParseOptions
from knowledge.parsing.pdf import pdf_document
from knowledge.ports import Sessions
from knowledge.search.retriever import Retriever
from knowledge.sources.files import UploadSource
from knowledge.types.scope import Scope
from knowledge.types.source_items import Fetched
from tests.knowledge.fakes import WordEmbedder
from tests.knowledge.parsing.test_pdf import lines, pdf_of

installed = pytest.mark.skipif(not is_installed(), reason="parley[ocr] is not installed")


@dataclass
class Found:
    """What the library returns of a picture: None in place of lists if it found nothing."""

    boxes: Any
    txts: tuple[str, ...] | None
    scores: tuple[float, ...] | None


@dataclass
class Engine:
    """Finds a line for each black bar of a picture: its number of pixels, less sure if the bar is grey."""

    seen: list[tuple[int, ...]] = field(default_factory=list)

    def __call__(self, picture: np.ndarray[Any, Any], *, use_cls: bool) -> Found:
        assert not use_cls
        self.seen.append(picture.shape)
        dark = picture[:, :, 0] < 200
        rows = np.flatnonzero(dark.any(axis=1))
        if not len(rows):
            return Found(None, None, None)
        boxes, texts, scores = [], [], []
        for bar in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
            columns = np.flatnonzero(dark[bar[0]])
            left, right, top, bottom = columns[0], columns[-1] + 1, bar[0], bar[-1] + 1
            boxes.append([[left, top], [right, top], [right, bottom], [left, bottom]])
            texts.append(f"bar of {right - left}")
            sure = 0.99 if picture[top, left, 0] < 100 else 0.4
            scores.append(0.6 if picture[-1, -1, 0] == UPSIDE_DOWN else sure)
        return Found(np.array(boxes, dtype=float), tuple(texts), tuple(scores))


UPSIDE_DOWN = 210
"""The grey of the last pixel of a picture that stands on its head."""


def bars(width: int, height: int, *places: tuple[int, int, int], grey: int = 0) -> np.ndarray[Any, Any]:
    """Return a white picture with bars: first row, height and width of each."""
    picture = np.full((height, width, 3), 255, dtype=np.uint8)
    for top, thick, wide in places:
        picture[top : top + thick, 10 : 10 + wide] = grey
    return picture


def recognizer(pages: int = 5, **hooks: Any) -> tuple[Recognizer, Engine]:
    engine = Engine()
    return Recognizer(pages, _engine=engine, **hooks), engine


def png(picture: np.ndarray[Any, Any]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


def scan(*texts: str, size: int = 40) -> Image.Image:
    """Return a picture of lines of text, slightly turned, as scanners make it."""
    page = Image.new("L", (1240, 300 + 70 * len(texts)), 255)
    for number, text in enumerate(texts):
        ImageDraw.Draw(page).text((90, 100 + 70 * number), text, font=ImageFont.load_default(size), fill=20)
    return page.rotate(0.5, fillcolor=255)


def scanned_pdf(*pages: Image.Image) -> bytes:
    out = io.BytesIO()
    pages[0].save(out, "PDF", save_all=True, append_images=pages[1:], resolution=150)
    return out.getvalue()


def test_lines_of_which_the_models_are_not_sure_are_left_out() -> None:
    reader, _ = recognizer()
    found = reader.read(bars(600, 400, (20, 12, 300)))
    assert found is not None
    assert (found.lines, found.percent) == (("bar of 300",), 99)
    unsure = reader.read(bars(600, 400, (20, 12, 300), grey=150))
    assert unsure is not None
    assert unsure.lines == ()


def test_no_more_pages_are_read_than_allowed_and_blank_ones_do_not_count() -> None:
    told: list[str] = []
    reader, engine = recognizer(2, after_page=lambda: told.append("page"))
    blank = reader.read(bars(600, 400))
    assert blank is not None
    assert blank.lines == ()
    read = [reader.read(bars(600, 400, (20, 12, wide))) for wide in (100, 200, 300)]
    assert [found.lines if found else None for found in read] == [("bar of 100",), ("bar of 200",), None]
    assert len(engine.seen) == len(told) == 2


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_picture_is_turned_as_it_is_read_best(quarters: int) -> None:
    reader, engine = recognizer()
    upright = bars(600, 400, (20, 12, 300), (60, 12, 200))
    upright[0, 0] = UPSIDE_DOWN
    found = reader.read(np.rot90(upright, quarters))
    assert found is not None
    assert (found.lines, found.percent) == (("bar of 300", "bar of 200"), 99)
    assert len(engine.seen) <= 3
    assert reader.pages == 4


def test_each_strip_of_a_long_picture_counts_and_is_told() -> None:
    told: list[str] = []
    reader, engine = recognizer(2, after_page=lambda: told.append("strip"))
    found = reader.read(bars(500, 8000, *[(40 * n + 5, 30, 100 + n) for n in range(200)]))
    assert found is not None
    assert found.lines[0] == "bar of 100"
    assert len(told) == len(engine.seen) == 2
    assert reader.pages == 0


def test_a_long_picture_is_cut_between_its_lines() -> None:
    reader, engine = recognizer()
    places = [(40 * n + 5, 30, 100 + n) for n in range(100)]
    found = reader.read(bars(500, 4000, *places))
    assert found is not None
    assert found.lines == tuple(f"bar of {100 + n}" for n in range(100))
    assert len(engine.seen) > 1
    assert all(height <= max(MAX_SIDE, 1000) for height, *_ in engine.seen)


def test_a_picture_is_read_upright_on_white_and_not_wider_than_needed() -> None:
    reader, engine = recognizer()
    clear = Image.fromarray(bars(3200, 800, (100, 50, 1000))).convert("RGBA")
    clear.putalpha(Image.fromarray(bars(3200, 800, (100, 50, 1000))).convert("L").point(lambda value: 255 - value))
    turned = clear.rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    turned.save(out, "PNG", exif=exif)
    document = image.parse(out.getvalue(), ParseOptions(recognizer=reader))
    assert engine.seen == [(400, MAX_SIDE, 3)]
    assert document.text == "bar of 500"
    assert document.blocks[0].heading == ("Read by OCR, 99 % sure",)
    assert document.title == ""


def test_each_page_of_a_fax_is_a_page() -> None:
    reader, _ = recognizer()
    first, second = (Image.fromarray(bars(600, 400, (20, 12, wide))) for wide in (100, 200))
    out = io.BytesIO()
    first.save(out, "TIFF", save_all=True, append_images=[second])
    document = image.parse(out.getvalue(), ParseOptions(recognizer=reader))
    assert [(document.text[b.start : b.end], b.page) for b in document.blocks] == [("bar of 100", 1), ("bar of 200", 2)]


def test_a_picture_without_text_or_without_the_extra_is_told_as_such() -> None:
    reader, _ = recognizer()
    with pytest.raises(NoTextError, match="picture without text"):
        image.parse(png(bars(300, 300)), ParseOptions(recognizer=reader))
    with pytest.raises(NoTextError, match=r"parley\[ocr\]"):
        image.parse(png(bars(300, 300, (9, 9, 99))))
    with pytest.raises(ParseError, match="damaged"):
        image.parse(png(bars(300, 300, (9, 9, 99)))[:60], ParseOptions(recognizer=reader))


def test_scanned_pages_stand_among_the_others_and_are_marked() -> None:
    reader, _ = recognizer()
    bar = "0 g 72 600 400 14 re f"
    data = pdf_of(lines("The fee is 15."), bar, lines("The end."), "")
    document = pdf_document.parse(data, ParseOptions(recognizer=reader))
    assert [(b.page, b.heading) for b in document.blocks] == [(1, ()), (2, ("Read by OCR, 99 % sure",)), (3, ())]
    assert document.text.startswith("The fee is 15.\n\nbar of ")
    assert document.warnings == (
        "page 2 read by OCR, at least 99 % sure. Check figures and names in the original",
        "page 4 without text, also in pictures",
    )


def test_pages_beyond_the_limit_are_named() -> None:
    reader, _ = recognizer(1)
    bar = "0 g 72 600 400 14 re f"
    document = pdf_document.parse(pdf_of(bar, bar, bar), ParseOptions(recognizer=reader))
    assert len(document.blocks) == 1
    assert document.warnings[1].startswith("pages 2, 3 without text left out")


def test_a_scan_with_a_stamp_is_still_a_scan() -> None:
    reader, _ = recognizer()
    picture = "q 612 0 0 792 0 0 cm BI /W 1 /H 4 /BPC 8 /CS /G ID \xff\x20\xff\xff EI Q"
    document = pdf_document.parse(pdf_of(f"{picture} {lines('Received 4 May')}"), ParseOptions(recognizer=reader))
    assert document.text.startswith("Received 4 May\n\nbar of")
    without = pdf_document.parse(pdf_of(f"{picture} {lines('Received 4 May')}"))
    assert without.warnings == ("page 1 without text left out. Install parley[ocr] to read scans",)


class EndlessParser(Parser):
    """Starts a process that tells of recognized pages for ever."""

    _worker_command = (
        "-c",
        "import sys\n"
        "from knowledge.parsing.isolation.worker_protocol import Response, read\n"
        "out = sys.stdout.buffer\n"
        "Response({'landlock': 0, 'seccomp': False}).write(out)\n"
        "read(sys.stdin.buffer)\n"
        "while True: Response({'recognized': True}).write(out)",
    )


async def test_a_process_that_reads_pages_for_ever_is_ended() -> None:
    parser = EndlessParser(recognized_pages=3)
    with pytest.raises(ParseError, match="invalid result"):
        await parser.parse(Fetched("scan.pdf", b"%PDF-"))
    assert parser._process is None


@installed
@pytest.mark.skipif(sys.platform != "linux", reason="the limits of memory are those of Linux")
async def test_a_scan_is_read_in_the_sandbox_and_found_with_its_page(
    sessions: Sessions, embedder: WordEmbedder
) -> None:
    data = scanned_pdf(scan("The permit costs 48.50 euros a month."), scan("Die Frist endet am 31. Dezember."))
    parser = Parser(seconds=240)
    try:
        ingestor = Ingestor(sessions, embedder, parser=parser)
        report = await ingestor.ingest([UploadSource("scan.pdf", data)], tenant_id="t")
        assert parser._process is None, "the process that holds the models ends with the file"
    finally:
        await parser.aclose()
    assert report.failed == ()
    assert report.warnings[0].warning.startswith("pages 1, 2 read by OCR, at least 9")
    found = await Retriever(sessions, embedder)("Frist Dezember", Scope("t"))
    passage = found.passages[0]
    assert passage.text.split("\n\n") == ["The permit costs 48.50 euros a month.", "Die Frist endet am 31. Dezember."]
    place = passage.place_at(passage.text.index("Die Frist"))
    assert place.page == 2
    assert place.heading is not None
    assert place.heading[0].startswith("Read by OCR, 9")
