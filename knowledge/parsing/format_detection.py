"""Detects the format of a file from its content. The file name only decides between kinds of text. Does no I/O."""

from __future__ import annotations

import re
import zipfile
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import urlsplit

from knowledge.errors import NoTextError, ParseError, PrivateChatError
from knowledge.parsing.chats.slack_export_layout import is_day, normalized, of_single_member
from knowledge.parsing.parse_options import MAX_UNPACKED
from knowledge.parsing.zip_archives import DAMAGED, open_zip

Format = Literal[
    "pdf",
    "image",
    "docx",
    "pptx",
    "xlsx",
    "opendocument",
    "epub",
    "rtf",
    "xls",
    "slack",
    "discord",
    "html",
    "mail",
    "msg",
    "mbox",
    "json",
    "csv",
    "code",
    "markdown",
    "rst",
    "asciidoc",
    "org",
    "latex",
    "plain",
]

MAX_RATIO = 200
"""How many times its own size a ZIP archive may unpack to. Text seldom reaches a tenth of it; zip bombs exceed it."""
MAX_MEMBERS = 100_000

_MARKUP_NAMES: dict[str, Format] = {
    **dict.fromkeys((".md", ".markdown", ".mdx", ".mkd"), "markdown"),
    **dict.fromkeys((".rst", ".rest"), "rst"),
    **dict.fromkeys((".adoc", ".asciidoc"), "asciidoc"),
    **dict.fromkeys((".tex", ".latex", ".ltx"), "latex"),
    ".org": "org",
}
_HTML_START = re.compile(
    rb"\A\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_HTML_PART = re.compile(
    rb"\A\s*(?:<!--.*?-->\s*)*<(?:title|meta|link|base|style|script|h[1-6]|p|div|table|ul|ol|dl|main|article|section"
    rb"|header|nav|center|font)\b[^<>]*>.*?</[a-z][a-z0-9]*\s*>",
    re.I | re.S,
)
"""A page that leaves out the tags that HTML allows to leave out, or a part of a page."""
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_MAIL_START = re.compile(rb"\A(?:[A-Za-z][A-Za-z-]{1,40}:[^\n]*\n(?:[ \t][^\n]*\n)*){3,}")
_MAIL_FIELDS = re.compile(rb"^(?:From|Date|Subject|Message-ID|Received):", re.I | re.M)
_MBOX_START = re.compile(rb"\AFrom [^\n]*\d{4}[^\n]*\n[A-Za-z][A-Za-z-]{0,60}:")
_JSON_START = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*(?:\{\s*[\"}]|\[\s*[\[{\"\]0-9tfn-])")
JSON_NAMES = (".json", ".jsonl", ".ndjson", ".ipynb")
_TABLE_NAMES = (".csv", ".tsv", ".tab", ".psv")
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
"""The name of the stream that an encrypted Office file has in its OLE container."""
_CODE_NAMES = frozenset(
    """.py .js .ts .tsx .jsx .java .kt .go .rs .c .h .cc .cpp .hpp .cs .rb .php .swift .scala .sh .sql .r .lua .pl .json
    .yaml .yml .toml .ini .cfg .xml .css .proto .tf .dockerfile""".split()
)
_OFFICE_PARTS: tuple[tuple[Format, str], ...] = (
    ("docx", "word/document"),
    ("pptx", "ppt/presentation"),
    ("xlsx", "xl/workbook.xml"),
)
_OLD_OFFICE = b"\xd0\xcf\x11\xe0"
"""The signature of .doc, .xls, .ppt and .msg files."""
_WORKBOOK = "Workbook".encode("utf-16-le")
_OUTLOOK_MESSAGE = "__properties_version1.0".encode("utf-16-le")
"""The names of the streams that a workbook and a message have in their OLE containers."""
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
_KNOWN_BINARIES = (
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x7fELF", "a Linux program"),
    (b"MZ", "a Windows program"),
    (b"SQLite format 3", "an SQLite database"),
    (b"ID3", "an MP3 recording"),
    (b"OggS", "an Ogg recording"),
)

_CONTROL = bytes((*range(9), *range(14, 32)))


def detect(data: bytes, name: str = "", content_type: str = "", *, max_unpacked: int = MAX_UNPACKED) -> Format:
    """Return the format of the bytes. If no parser can read them, raises ParseError with the kind of file."""
    content_type = content_type.partition(";")[0].strip().lower()
    if not data.strip(b"\0 \t\r\n"):
        raise NoTextError("it is empty. Check that you chose the right file")
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if data.startswith(b"PK\x03\x04"):
        return _zip_format(data, max_unpacked)
    suffix = _suffix(name)
    if suffix == ".pdf":
        raise ParseError("its name ends in .pdf but it is not a PDF. Download or export it again")
    if suffix in (".docx", ".pptx", ".xlsx"):
        if _ENCRYPTED_PACKAGE in data[: 2**20]:
            raise ParseError("it is encrypted. Save it without a password and try again")
        raise ParseError(f"its name ends in {suffix} but it is not an Office file. Save it again as {suffix}")
    old = _old_office_format(data)
    if old:
        return old
    if data.lstrip()[:5] == rb"{\rtf":
        return "rtf"
    if _is_picture(data):
        return "image"
    _refuse_binary(data)
    if _is_html(_beginning(data), suffix, content_type):
        return "html"
    if _MBOX_START.match(data[:4096]):
        return "mbox"
    if suffix == ".eml" or content_type == "message/rfc822" or _is_mail(data[:16_384]):
        return "mail"
    if _is_json(data, suffix, content_type):
        return "json"
    return text_kind(name, content_type)


def text_kind(name: str, content_type: str = "") -> Format:
    """Return the kind of text by file name and content type, for text whose content does not identify it."""
    suffix = _suffix(name)
    if suffix in _TABLE_NAMES or content_type == "text/csv":
        return "csv"
    if suffix in _CODE_NAMES:
        return "code"
    if suffix in _MARKUP_NAMES:
        return _MARKUP_NAMES[suffix]
    return "markdown" if content_type.startswith("text/markdown") else "plain"


def _is_picture(data: bytes) -> bool:
    """Return whether the data is a picture. A bitmap has the size of the file behind its two letters."""
    if data.startswith(b"BM"):
        return int.from_bytes(data[2:6], "little") == len(data)
    return data.startswith(_PICTURES) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def _beginning(data: bytes) -> bytes:
    """Return the beginning of a text without its byte order mark, in UTF-8 if the mark says how it is encoded."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data[len(mark) : 8192].decode(encoding, "ignore").encode()
    return data[:4096]


def _is_html(head: bytes, suffix: str, content_type: str) -> bool:
    """Return whether a text is HTML. The server's word counts, unless no tag is in sight.

    Markdown and source code may start with tags of HTML too, so a part of a page counts only under other names.
    """
    if _HTML_START.match(head):
        return True
    named = suffix in (".html", ".htm", ".xhtml", ".shtml")
    stated = content_type in ("text/html", "application/xhtml+xml")
    if (named or stated) and re.search(rb"<[a-z!/][^<>]*>", head, re.I):
        return True
    return suffix not in _CODE_NAMES and suffix not in _MARKUP_NAMES and bool(_HTML_PART.match(head))


def _suffix(name: str) -> str:
    return PurePosixPath(urlsplit(name).path if "://" in name else name).suffix.lower()


def _is_json(data: bytes, suffix: str, content_type: str) -> bool:
    """Return whether the data starts and ends like JSON. Only the parser finds out whether it is valid."""
    if not _JSON_START.match(data[:4096]):
        return False
    named = suffix in JSON_NAMES or content_type.endswith(("/json", "+json"))
    return named or (suffix not in _CODE_NAMES and data[-4096:].rstrip().endswith((b"}", b"]")))


def _is_mail(head: bytes) -> bool:
    return bool(_MAIL_START.match(head)) and len({m.lower() for m in _MAIL_FIELDS.findall(head)}) >= 3


def _zip_format(data: bytes, max_unpacked: int) -> Format:
    with open_zip(data) as archive:
        members = archive.infolist()
    _refuse_bomb(members, len(data), max_unpacked)
    names = [normalized(member.filename) for member in members]
    for kind, part in _OFFICE_PARTS:
        if any(name.startswith(part) for name in names):
            return kind
    kind_of_package = _package_kind(data, names)
    if kind_of_package.startswith("application/vnd.oasis.opendocument."):
        return "opendocument"
    if kind_of_package == "application/epub+zip" or "META-INF/container.xml" in names:
        return "epub"
    if "xl/workbook.bin" in names:
        raise ParseError("it is a binary workbook (XLSB), which cannot be read. Save it as XLSX")
    if any(is_day(name) for name in names):
        return "slack"
    if any(name.rpartition("/")[2] == "import.jsonl" for name in names):
        raise ParseError("it is a Mattermost export, which cannot be read yet. Export the channel as text or PDF")
    if any(name.lower().endswith(".json") for name in names):
        return "discord"
    if of_single_member(names):
        raise PrivateChatError(
            "it is a Slack export of one member's conversations, which are private. Export public channels"
        )
    raise ParseError("it is a ZIP archive without a supported format inside. Add the documents in it one by one")


def _package_kind(data: bytes, names: list[str]) -> str:
    """Return the content of the member ``mimetype``, by which OpenDocument and EPUB files tell what they are."""
    if "mimetype" not in names:
        return ""
    try:
        with open_zip(data) as archive, archive.open("mimetype") as member:
            return member.read(200).decode("ascii", "replace").strip()
    except DAMAGED:
        return ""


def _old_office_format(data: bytes) -> Format | None:
    """Return the format of an OLE container that can be read; None for other data.

    Raises ParseError with the way out for a container that cannot be read.
    """
    if not data.startswith(_OLD_OFFICE):
        return None
    if _OUTLOOK_MESSAGE in data:
        return "msg"
    if _WORKBOOK in data:
        return "xls"
    if _ENCRYPTED_PACKAGE in data[: 2**20]:
        raise ParseError("it is encrypted. Save it without a password and try again")
    raise ParseError(
        "it is an old Office file (DOC or PPT), which cannot be read. Open it in Word, PowerPoint or LibreOffice and "
        "save it as DOCX or PPTX"
    )


def _refuse_bomb(members: list[zipfile.ZipInfo], size: int, max_unpacked: int) -> None:
    unpacked = sum(member.file_size for member in members)
    if unpacked > max(size, 100_000) * MAX_RATIO:
        raise ParseError(
            f"it unpacks to {unpacked // 2**20} MB, which looks like a zip bomb. Split it into smaller files"
        )
    if len(members) > MAX_MEMBERS:
        raise ParseError(f"it has more than {MAX_MEMBERS} files. Split it into smaller archives")
    if unpacked > max_unpacked:
        raise ParseError(
            f"it unpacks to {unpacked // 2**20} MB, more than the limit of {max_unpacked // 2**20} MB. "
            "Raise PARLEY_MAX_UNPACKED_MB, or unpack it and add the folder"
        )
    if any(member.flag_bits & 1 for member in members):
        raise ParseError("it is encrypted. Save it without a password and try again")


def _refuse_binary(data: bytes) -> None:
    for magic, kind in _KNOWN_BINARIES:
        if data.startswith(magic):
            raise NoTextError(f"it is {kind}, which has no text to read. Export it to a text format or PDF")
    head = data[:8192]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return
    control = len(head) - len(head.translate(None, _CONTROL))
    if b"\0" in head or control > len(head) * 0.1:
        raise NoTextError("it is a binary file of an unknown format. Export it to a text format or PDF")
