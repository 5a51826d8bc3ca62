"""Ingesting a folder of malicious and good files: each bad file fails with a reason, and the good files are added.

If ``PARLEY_TEST_FILES`` names a folder of real files, it is ingested as well.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from docx import Document as Docx
from pypdf import PdfWriter

from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Sessions
from knowledge.sources.files import FolderSource
from knowledge.types.source_items import Fetched
from tests.knowledge.fakes import WordEmbedder

MAX_BYTES = 50_000_000
ENTITIES = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "{}">]>'.format("&a;" * 1000)


def pdf(pages: int) -> bytes:
    """Return a PDF with a line of text on each page."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * number) for number in range(pages))
    parts = [
        b"%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n",
        b"2 0 obj\n<</Type/Pages/Count %d/Kids[%s]>>\nendobj\n" % (pages, kids),
        b"3 0 obj\n<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>\nendobj\n",
    ]
    for number in range(pages):
        words = b"BT /F1 12 Tf 72 700 Td (Page %d says hello) Tj ET" % (number + 1)
        look = b"/MediaBox[0 0 612 792]/Resources<</Font<</F1 3 0 R>>>>"
        own, content = 4 + 2 * number, 5 + 2 * number
        parts.append(b"%d 0 obj\n<</Type/Page/Parent 2 0 R%s/Contents %d 0 R>>\nendobj\n" % (own, look, content))
        parts.append(b"%d 0 obj\n<</Length %d>>stream\n%s\nendstream\nendobj\n" % (content, len(words), words))
    return b"".join([*parts, b"trailer\n<</Root 1 0 R>>\n%%EOF\n"])


def pdf_bomb() -> bytes:
    """Return a PDF whose page content decompresses to a gigabyte of spaces."""
    packer = zlib.compressobj(9)
    packed = b"".join([*(packer.compress(b" " * 2**20) for _ in range(1024)), packer.flush()])
    head = b"%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n"
    head += b"2 0 obj\n<</Type/Pages/Count 1/Kids[3 0 R]>>\nendobj\n"
    page = b"3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>\nendobj\n"
    stream = b"4 0 obj\n<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream\nendobj\n" % (len(packed), packed)
    return head + page + stream + b"trailer\n<</Root 1 0 R>>\n%%EOF\n"


def encrypted_pdf() -> bytes:
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.encrypt("secret", algorithm="RC4-128")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def docx(body: bytes | None = None, *, name: str = "word/document.xml") -> bytes:
    buffer = io.BytesIO()
    document = Docx()
    document.add_paragraph("A good word.")
    document.save(buffer)
    if body is None:
        return buffer.getvalue()
    out = io.BytesIO()
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(member, body if member == name else old.read(member))
    return out.getvalue()


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(name, data)
    return buffer.getvalue()


def encrypted_zip() -> bytes:
    """Return a ZIP archive with the encryption flag set in both headers of its member."""
    data = bytearray(archive({"word/document.xml": b"secret"}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "bomb.docx": (lambda: archive({"word/document.xml": bytes(200 * 2**20)}), "zip bomb"),
    "nested.xlsx": (lambda: archive({"inner.zip": archive({"a": bytes(2**20)}), "b.txt": b"x"}), "ZIP archive"),
    "entities.docx": (lambda: docx(f"{ENTITIES}<x>&b;</x>".encode()), ""),
    "entities.xlsx": (lambda: archive({"xl/workbook.xml": f"{ENTITIES}<x>&b;</x>".encode()}), ""),
    "locked.docx": (encrypted_zip, "encrypted"),
    "locked.pdf": (encrypted_pdf, "encrypted"),
    "half.docx": (lambda: docx()[:900], "damaged"),
    "half.pdf": (lambda: b"%PDF-1.7\n" + b"\x00\xff" * 500, "damaged"),
    "unfolds.pdf": (pdf_bomb, ""),
    "empty.md": (lambda: b"", "empty"),
    "blank.txt": (lambda: b" \n\t\n" * 100, "empty"),
    "zeros.txt": (lambda: bytes(1000), "empty"),
    "picture.pdf": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(100), "not a PDF"),
    "program.txt": (lambda: b"\x7fELF" + bytes(100), "program"),
    "wrong.docx": (lambda: b"only words", "not an Office file"),
    "pages.pdf": (lambda: pdf(10_001), "more than 10000"),
    "deep.json": (lambda: b"[" * 100_000 + b"1" + b"]" * 100_000, "nested"),
    "deep.html": (lambda: b"<html><body>" + b"<div>" * 200_000 + b"words", ""),
}
GOOD: dict[str, Callable[[], bytes]] = {
    "good.md": lambda: b"# Good\n\nWords that are fine.",
    "good.pdf": lambda: pdf(3),
    "good.docx": docx,
    "invalid.txt": lambda: b"Gr\xfc\xdfe aus K\xf6ln, \xff\xfe auch hier. " * 20,
    "wrongly named.pdf.md": lambda: pdf(2),
    "word.txt": docx,
    "page.txt": lambda: b"<!doctype html><html><body><h1>Page</h1><p>Words of a page.</p></body></html>",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, (made, _) in HOSTILE.items():
        (tmp_path / name).write_bytes(made())
    for name, good in GOOD.items():
        (tmp_path / name).write_bytes(good())
    with (tmp_path / "giant.txt").open("wb") as sparse:
        sparse.truncate(2**30)
    return tmp_path


async def test_malicious_files_fail_with_a_reason_and_good_files_are_added(folder: Path, sessions: Sessions) -> None:
    parser = Parser(seconds=5)
    ingestor = Ingestor(sessions, WordEmbedder(), parser=parser, chunk_tokens=64)
    report = await ingestor.ingest([FolderSource(folder, max_bytes=MAX_BYTES)], tenant_id="t")
    failed = {failure.source.partition("/")[2]: failure.error for failure in report.failed}
    assert set(failed) == {*HOSTILE, "giant.txt"}
    assert report.documents == len(GOOD)
    assert "PARLEY_MAX_FILE_MB" in failed["giant.txt"]
    print("\n".join(f"{name}: {error}" for name, error in failed.items()))
    for name, (_, reason) in HOSTILE.items():
        assert reason in failed[name], (name, failed[name])
        assert failed[name].endswith(".")
        assert "\n" not in failed[name]
    assert (await parser.parse(Fetched("a.md", b"# Still there"))).title == "Still there"
    await ingestor.aclose()


async def test_pdf_of_ten_thousand_pages_keeps_every_page(parser: Parser) -> None:
    document = await parser.parse(Fetched("long.pdf", pdf(10_000)))
    assert {block.page for block in document.blocks} == set(range(1, 10_001))
    last = document.blocks[-1]
    assert (document.text[last.start : last.end], last.page) == ("Page 10000 says hello", 10_000)


async def test_member_names_outside_the_archive_write_no_files(parser: Parser, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    messages = b'[{"user": "U1", "text": "words", "ts": "1700000000.000100"}]'
    members = {
        "channels.json": b'[{"id": "C1", "name": "general"}]',
        f"../../..{outside}/2026-01-01.json": messages,
        "general/2026-01-01.json": messages,
    }
    document = await parser.parse(Fetched("export.zip", archive(members)))
    assert "words" in document.text
    assert not outside.exists()


@pytest.mark.skipif("PARLEY_TEST_FILES" not in os.environ, reason="PARLEY_TEST_FILES is not set")
async def test_a_folder_of_real_files(sessions: Sessions, parser: Parser) -> None:
    """Every file is added or fails with a reason."""
    folder = Path(os.environ["PARLEY_TEST_FILES"])
    ingestor = Ingestor(sessions, WordEmbedder(), parser=parser, chunk_tokens=64)
    source = FolderSource(folder, max_bytes=MAX_BYTES)
    report = await ingestor.ingest([source], tenant_id="t")
    print(f"\n{report.documents} documents, {report.chunks} chunks, {report.seconds:.1f} s")
    for failure in report.failed:
        print(f"{failure.source}: {failure.error}")
    assert report.documents + len(report.failed) == source.count()
    assert all(failure.error.endswith(".") for failure in report.failed)
