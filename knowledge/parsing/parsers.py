"""Registry of the parser modules by format. Parses any file with the parser of its format.

A parser module is imported with the first file of its format. To add a format, add a module and a line here.
"""

from __future__ import annotations

from dataclasses import replace
from email.message import Message
from importlib import import_module
from pathlib import PurePosixPath
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from knowledge.errors import ParseError
from knowledge.metadata import FORMAT
from knowledge.parsing import plain_text
from knowledge.parsing.chats.chat_export_forms import refuse_damaged_json, refuse_text
from knowledge.parsing.document_builder import ParsedDocument
from knowledge.parsing.format_detection import JSON_NAMES, Format, detect, text_kind
from knowledge.parsing.parse_options import NO_OPTIONS, ParseOptions
from knowledge.text.storable_text import storable, storable_values

BINARY_PARSERS = MappingProxyType[Format, str](
    {
        "pdf": "pdf.pdf_document",
        "image": "image",
        "docx": "office.docx",
        "pptx": "office.pptx",
        "xlsx": "office.xlsx",
        "opendocument": "office.opendocument",
        "epub": "epub",
        "rtf": "office.rtf",
        "xls": "office.xls",
        "slack": "chats.slack_export",
        "discord": "chats.discord_export",
        "html": "html.html_document",
        "mail": "mail.mail_document",
        "msg": "mail.outlook",
        "mbox": "mail.mbox",
    }
)
"""Modules with ``parse(data: bytes) -> ParsedDocument``."""
WITH_OPTIONS = frozenset[Format](
    ("pdf", "image", "docx", "pptx", "xlsx", "xls", "opendocument", "slack", "discord", "mail")
)
"""Formats whose modules have ``parse(data: bytes, options: ParseOptions) -> ParsedDocument``."""
TEXT_PARSERS = MappingProxyType[Format, str](
    {
        "json": "json_documents",
        "csv": "csv_tables",
        "markdown": "markdown",
        "rst": "light_markup",
        "asciidoc": "light_markup",
        "org": "light_markup",
        "latex": "latex",
    }
)
"""Modules with ``parse(text: str) -> ParsedDocument``, for text that is already decoded."""


def parse(
    data: bytes,
    name: str = "",
    content_type: str = "",
    options: ParseOptions = NO_OPTIONS,
    *,
    kind: Format | None = None,
) -> ParsedDocument:
    """Parse a file of any format. Its title comes from its content, or from its name. Raises ParseError.

    ``kind`` is its format, if ``detect`` was asked before.
    """
    media_type, charset = split_content_type(content_type)
    kind = kind or detect(data, name, media_type, max_unpacked=options.max_unpacked)
    if kind == "html":
        from knowledge.parsing.html import html_document

        refuse_text(data.decode("utf-8", "replace"), name, private_chats=options.private_chats)
        parsed: ParsedDocument = html_document.parse(data, charset)
    elif kind in BINARY_PARSERS:
        parse_data = import_module(f"knowledge.parsing.{BINARY_PARSERS[kind]}").parse
        parsed = parse_data(data, options) if kind in WITH_OPTIONS else parse_data(data)
    else:
        parsed = _parse_text(kind, plain_text.decode(data, charset), name, media_type, options)
    if not parsed.blocks:
        raise ParseError("it has no text. Check that you chose the right file")
    metadata = {**parsed.metadata, FORMAT: kind}
    return _storable(replace(parsed, title=parsed.title or title_from_name(name), metadata=metadata))


def _storable(parsed: ParsedDocument) -> ParsedDocument:
    """Return the document with text that the database can store. Lengths stay the same, so offsets stay valid."""
    return ParsedDocument(
        storable(parsed.title),
        storable(parsed.text),
        tuple(replace(block, heading=tuple(map(storable, block.heading))) for block in parsed.blocks),
        storable_values(parsed.metadata),
        tuple(map(storable, parsed.warnings)),
        tuple(replace(file, name=storable(file.name)) for file in parsed.attached),
    )


def split_content_type(content_type: str) -> tuple[str, str]:
    """Return the media type and the charset of ``text/html; charset=koi8-r``; each is empty if it is not stated."""
    message = Message()
    message["content-type"] = " ".join(content_type.split())
    return (message.get_content_type() if content_type.strip() else ""), str(message.get_param("charset") or "")


def title_from_name(name: str) -> str:
    """Return a title made from a file name or URL."""
    path = urlsplit(name).path if "://" in name else name
    return PurePosixPath(unquote(path)).stem.replace("_", " ").replace("-", " ").strip() or name


def import_parser(kind: Format) -> None:
    """Import the parser of a format, so that its memory does not count toward the limit of a file."""
    module = BINARY_PARSERS.get(kind) or TEXT_PARSERS.get(kind)
    if module:
        import_module(f"knowledge.parsing.{module}")


def _parse_text(kind: Format, text: str, name: str, content_type: str, options: ParseOptions) -> ParsedDocument:
    refuse_text(text, name, private_chats=options.private_chats)
    if kind == "json":
        from knowledge.parsing import json_documents

        try:
            return json_documents.parse(text, name, options)
        except json_documents.NotJsonError:
            kind = text_kind(name, content_type)
    refuse_damaged_json(text, named_json=PurePosixPath(name).suffix.lower() in JSON_NAMES)
    if kind in ("rst", "asciidoc", "org"):
        from knowledge.parsing import light_markup

        return light_markup.parse(text, kind)
    if kind in TEXT_PARSERS:
        parsed: ParsedDocument = import_module(f"knowledge.parsing.{TEXT_PARSERS[kind]}").parse(text)
        return parsed
    return plain_text.parse_code(text) if kind == "code" else plain_text.parse(text)
