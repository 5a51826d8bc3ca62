"""Parsing of common formats in the sandbox: structure, encodings, errors for bad files, and limits of the process."""

from __future__ import annotations

import io
import os
import signal
import zipfile
from pathlib import Path

import docx
import pytest
from pypdf import PdfWriter

from knowledge.errors import ParseError
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched

HTML = b"""<html><head><title>Site</title></head><body><nav><a href="/">Home</a></nav><main><h1>Guide</h1>
<p>An introduction that is long enough to be taken for the content of this page by anybody.</p>
<h2>Install</h2><pre><code>pip install thing
  --now</code></pre><p>After that, everything works and there is nothing more that anybody has to do.</p>
<table><tr><th>Name</th><th>Value</th></tr><tr><td>a</td><td>1</td></tr></table>
<ul><li>one</li><li>two</li></ul></main><footer>Imprint</footer></body></html>"""


def pdf(*pages: str, password: str = "") -> bytes:
    """Return a handwritten PDF with a line of text on each page. With a password, pypdf encrypts it."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>")
    objects.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for n, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET" if text else ""
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * n} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    out = b"%PDF-1.4\n"
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    out += f"{end}trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF".encode()
    if not password:
        return out
    writer = PdfWriter(io.BytesIO(out))
    writer.encrypt(password, algorithm="RC4-128")
    return saved(writer)


def saved(writer: PdfWriter) -> bytes:
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def docx_file() -> bytes:
    document = docx.Document()
    document.add_heading("Handbook", 1)
    document.add_paragraph("Welcome to the company.")
    document.add_heading("Leave", 2)
    table = document.add_table(rows=2, cols=2)
    for row, values in zip(table.rows, (("Kind", "Days"), ("Vacation", "30")), strict=True):
        for cell, value in zip(row.cells, values, strict=True):
            cell.text = value
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def zip_file(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return buffer.getvalue()


def blocks(document: Document) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(b.kind, document.text[b.start : b.end], b.heading) for b in document.blocks]


async def test_html_keeps_headings_tables_and_code(parser: Parser) -> None:
    document = await parser.parse(Fetched("https://example.org/guide", HTML))
    found = blocks(document)
    assert document.title == "Guide"
    assert ("code", "pip install thing\n  --now", ("Guide", "Install")) in found
    assert ("table", "| Name | Value |\n| --- | --- |\n| a | 1 |", ("Guide", "Install")) in found
    assert ("list", "- one\n- two", ("Guide", "Install")) in found
    assert "Home" not in document.text
    assert "Imprint" not in document.text


async def test_docx_keeps_headings_and_tables(parser: Parser) -> None:
    document = await parser.parse(Fetched("handbook.docx", docx_file()))
    assert blocks(document) == [
        ("heading", "Handbook", ()),
        ("paragraph", "Welcome to the company.", ("Handbook",)),
        ("heading", "Leave", ("Handbook",)),
        ("table", "| Kind | Days |\n| --- | --- |\n| Vacation | 30 |", ("Handbook", "Leave")),
    ]


async def test_pdf_keeps_pages(parser: Parser) -> None:
    document = await parser.parse(Fetched("two.pdf", pdf("First page", "Second page")))
    assert [(b.page, document.text[b.start : b.end]) for b in document.blocks] == [
        (1, "First page"),
        (2, "Second page"),
    ]


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        (
            {"/Author": "Ann Lee", "/CreationDate": "D:20200101", "/ModDate": "D:20210203040506+02'00'"},
            {"author": "Ann Lee", "date": "2021-02-03T04:05:06+02:00"},
        ),
        (
            {"/Author": "anonymous", "/CreationDate": "D:20200131101112Z", "/ModDate": "D:20209999"},
            {"date": "2020-01-31T10:11:12+00:00"},
        ),
        ({"/Author": "  ", "/CreationDate": "yesterday"}, {}),
    ],
)
async def test_pdf_author_and_date_become_metadata(
    parser: Parser, properties: dict[str, str], expected: dict[str, str]
) -> None:
    writer = PdfWriter(io.BytesIO(pdf("A page")))
    writer.add_metadata(properties)
    metadata = (await parser.parse(Fetched("a.pdf", saved(writer)))).metadata
    assert {key: metadata[key] for key in ("author", "date") if key in metadata} == expected


async def test_markdown_stays_as_written(parser: Parser) -> None:
    source = "---\ntitle: Named\n---\n# One\n\nText *here*.\n\n## Two\n\n```py\nx = 1\n```\n"
    document = await parser.parse(Fetched("a.md", source.encode()))
    assert (document.title, document.text) == ("Named", source)
    assert blocks(document)[1:] == [
        ("paragraph", "Text *here*.", ("One",)),
        ("heading", "## Two", ("One",)),
        ("code", "```py\nx = 1\n```", ("One", "Two")),
    ]


async def test_email_keeps_headers_subject_and_plain_text(parser: Parser) -> None:
    mail = (
        b"From: Ann <ann@example.org>\r\nTo: Bob <bob@example.org>\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\n"
        b"Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; "
        b'boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n'
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\nDie Gr=F6=DFe passt.\r\n\r\nAnn\r\n--b\r\n"
        b"Content-Type: text/html\r\n\r\n<p>no</p>\r\n--b--\r\n"
    )
    for name in ("message.eml", "message"):
        document = await parser.parse(Fetched(name, mail))
        assert document.title == "Größe"
        assert "From: Ann <ann@example.org>" in document.text
        assert ("paragraph", "Die Größe passt.", ("Größe",)) in blocks(document)


async def test_csv_tables_repeat_the_header_row(parser: Parser) -> None:
    rows = "".join(f"name{n};{n}\n" for n in range(30))
    document = await parser.parse(Fetched("prices.csv", f"Name;Price\n{rows}".encode()))
    assert [b.kind for b in document.blocks] == ["table", "table"]
    for _, table, _ in blocks(document):
        assert table.startswith("| Name | Price |\n| --- | --- |\n| name")


async def test_code_blocks_end_at_empty_lines(parser: Parser) -> None:
    source = "import os\n\n\ndef one():\n    return 1\n\n\ndef two():\n    return 2\n"
    document = await parser.parse(Fetched("a.py", source.encode()))
    assert document.text == source
    assert [text for _, text, _ in blocks(document)] == [
        "import os",
        "def one():\n    return 1",
        "def two():\n    return 2",
    ]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("größe\r\n\r\nzwei".encode(), "größe\n\nzwei"),
        ("\ufeffwith a mark".encode(), "with a mark"),
        ("Die Größe der Bäume übertrifft alle Erwartungen, sagt Jürgen Müller.".encode("cp1252"), "Größe der Bäume"),
        ("Ein Text über Öl, Größe und Spaß".encode("utf-16"), "über Öl"),
        (b"bell \x07 and null", "bell   and null"),
    ],
)
async def test_text_encodings_are_detected(parser: Parser, data: bytes, text: str) -> None:
    assert text in (await parser.parse(Fetched("notes.txt", data))).text


async def test_content_decides_the_format_not_the_name(parser: Parser) -> None:
    assert "First" in (await parser.parse(Fetched("wrong.txt", pdf("First")))).text
    assert (await parser.parse(Fetched("wrong.md", HTML))).title == "Guide"


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", b" \n\t ", "empty"),
        ("a.pdf", b"no pdf at all", "not a PDF"),
        ("a.docx", b"plain", "not an Office file"),
        ("a.pdf", b"%PDF-1.7 and then rubbish", "damaged"),
        ("a.pdf", pdf("secret", password="x"), "encrypted"),
        ("a.pdf", pdf(""), "no text"),
        ("a.md", b"\x89PNG\r\n\x1a\n....", "picture"),
        ("a", bytes(range(256)) * 20, "binary file"),
        ("a.docx", zip_file(**{"word__document.xml": b"<broken"}), "damaged"),
        ("a.zip", zip_file(**{"a.txt": b"x"}), "ZIP archive without a supported format"),
        ("a.docx", zip_file(**{"word__document.xml": bytes(400 * 2**20)}), "zip bomb"),
        ("a.docx", b"PK\x03\x04 torn", "damaged ZIP"),
        ("a.html", b"<html><body></body></html>", "no text"),
    ],
)
async def test_bad_files_raise_an_error_with_the_reason(parser: Parser, name: str, data: bytes, reason: str) -> None:
    with pytest.raises(ParseError, match=reason):
        await parser.parse(Fetched(name, data))


async def test_xml_entities_are_not_expanded(parser: Parser) -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    evil = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]><x>&l11;</x>'.encode()
    good = zipfile.ZipFile(io.BytesIO(docx_file()))
    members = {name: good.read(name) for name in good.namelist()} | {"word/document.xml": evil}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(ParseError):
        await parser.parse(Fetched("laughs.docx", buffer.getvalue()))
    assert (await parser.parse(Fetched("fine.txt", b"fine"))).text == "fine"


async def test_parser_works_again_after_a_timeout() -> None:
    parser = Parser(seconds=0.001)
    with pytest.raises(ParseError, match="took longer than"):
        await parser.parse(Fetched("slow.txt", b"slow"))
    parser = Parser(seconds=30)
    assert (await parser.parse(Fetched("fine.txt", b"fine"))).text == "fine"
    await parser.aclose()


async def test_parser_works_again_after_running_out_of_memory() -> None:
    parser = Parser(memory=1_000_000)
    with pytest.raises(ParseError, match="memory"):
        await parser.parse(Fetched("large.txt", b"word " * 4_000_000))
    assert (await parser.parse(Fetched("fine.txt", b"fine"))).text == "fine"
    await parser.aclose()


async def test_killed_worker_process_is_restarted(parser: Parser) -> None:
    await parser.parse(Fetched("fine.txt", b"fine"))
    process = parser._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    assert (await parser.parse(Fetched("fine.txt", b"again"))).text == "again"


async def test_worker_process_gets_no_secrets_in_its_environment(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary")
    await parser.parse(Fetched("fine.txt", b"fine"))
    assert parser._process is not None
    environment = Path(f"/proc/{parser._process.pid}/environ")
    if os.geteuid() == 0:
        assert b"canary" not in environment.read_bytes()
    else:  # not even the same user may look; test_parser_process.py asks the process itself
        with pytest.raises(PermissionError):
            environment.read_bytes()
