"""Builds a small valid file of every format; they are what mutations begin with."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping

import openpyxl
import pptx
from docx import Document
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from knowledge import sample

HTML = b"""<!doctype html><html><head><title>Page</title></head><body><h1>Page</h1><p>Words of a page.</p>
<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table><pre>code()</pre></body></html>"""
MARKDOWN = (
    b"---\ntitle: Notes\n---\n# Notes\n\nWords.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
    b"```\ncode()\n```\n\n- one\n- two\n"
)
MAIL = (
    b"From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"Date: Mon, 2 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n'
    b"--x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nWords of a mail.\r\n"
    b"--x\r\nContent-Type: text/html\r\n\r\n<p>And a page.</p>\r\n--x--\r\n"
)


def archive(members: Mapping[str, bytes]) -> bytes:
    """Return a ZIP archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(name, data)
    return buffer.getvalue()


def pdf(content: bytes = b"BT /F1 12 Tf 72 700 Td (Hello) Tj ET", catalog: Mapping[str, object] = {}) -> bytes:
    """Return a PDF of one page. ``catalog`` has further entries of its catalog, such as an action to open."""
    writer = PdfWriter()
    page = writer.add_blank_page(300, 300)
    stream = DecodedStreamObject()
    stream.set_data(content)
    page[NameObject("/Contents")] = writer._add_object(stream)
    font = DictionaryObject({NameObject("/Type"): NameObject("/Font"), NameObject("/Subtype"): NameObject("/Type1")})
    font[NameObject("/BaseFont")] = NameObject("/Helvetica")
    fonts = DictionaryObject({NameObject("/F1"): font})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    for name, value in catalog.items():
        writer._root_object[NameObject(name)] = value
    return _saved(writer.write)


def docx() -> bytes:
    """Return a Word document with a heading, a table and a list."""
    document = Document()
    document.add_heading("Title", 1)
    document.add_paragraph("A good word.")
    document.add_paragraph("One", style="List Bullet")
    document.add_table(2, 2).cell(0, 0).text = "cell"
    return _saved(document.save)


def slides() -> bytes:
    """Return a PowerPoint presentation."""
    made = pptx.Presentation()
    page = made.slides.add_slide(made.slide_layouts[1])
    page.shapes.title.text = "Slide"
    page.placeholders[1].text = "Words of a slide."
    return _saved(made.save)


def workbook() -> bytes:
    """Return an Excel workbook."""
    made = openpyxl.Workbook()
    sheet = made.active
    assert sheet is not None
    for row in (("name", "value"), ("a", 1), ("b", "=1+1")):
        sheet.append(row)
    return _saved(made.save)


def slack_export() -> bytes:
    """Return a Slack export."""
    user = [{"id": "U1", "name": "ann", "profile": {"real_name": "Ann"}}]
    channel = [{"id": "C1", "name": "general"}]
    message = [{"type": "message", "user": "U1", "text": "Hello", "ts": "1700000000.000100"}]
    files = {"users.json": user, "channels.json": channel, "general/2026-11-01.json": message}
    return archive({name: json.dumps(value).encode() for name, value in files.items()})


def discord_export() -> bytes:
    """Return a Discord export of one channel."""
    author = {"id": "1", "name": "ann", "nickname": "Ann"}
    message = {"id": "2", "type": "Default", "timestamp": "2026-11-01T10:00:00+00:00", "content": "Hello"}
    return json.dumps(
        {
            "guild": {"id": "3", "name": "Team"},
            "channel": {"id": "4", "type": "GuildTextChat", "name": "general"},
            "messages": [{**message, "author": author, "attachments": []}],
            "messageCount": 1,
        }
    ).encode()


def files() -> dict[str, bytes]:
    """Return a valid file of every format, by name."""
    return {
        "a.pdf": pdf(),
        "sample.pdf": (sample.path() / "incident-handbook.pdf").read_bytes(),
        "a.docx": docx(),
        "a.pptx": slides(),
        "a.xlsx": workbook(),
        "slack.zip": slack_export(),
        "discord.json": discord_export(),
        "a.html": HTML,
        "a.md": MARKDOWN,
        "a.eml": MAIL,
        "a.mbox": b"From ann@example.org Mon Nov  2 10:00:00 2026\n" + MAIL.replace(b"\r\n", b"\n") + b"\n",
        "a.csv": b'name,value\na,1\n"b, c",2\n',
        "a.json": b'{"a": {"b": [1, 2, {"c": "words"}]}, "d": null}',
        "a.jsonl": b'{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n',
        "a.txt": "Grüße. Words in lines.\n\nAnother paragraph.\n".encode(),
        "a.py": b"def run() -> None:\n    print('words')\n",
    }


def _saved(save: object) -> bytes:
    buffer = io.BytesIO()
    save(buffer)  # type: ignore[operator]
    return buffer.getvalue()
