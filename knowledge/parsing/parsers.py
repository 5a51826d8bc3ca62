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
from knowledge.parsing.chat_export_forms import refuse_text
from knowledge.parsing.document_builder import ParsedDocument
from knowledge.parsing.format_detection import MAX_UNPACKED, Format, detect, text_kind
from knowledge.storable_text import storable, storable_values

BINARY_PARSERS = MappingProxyType[Format, str](
    {
        "pdf": "pdf",
        "docx": "docx",
        "pptx": "pptx",
        "xlsx": "xlsx",
        "opendocument": "opendocument",
        "epub": "epub",
        "rtf": "rtf",
        "xls": "xls",
        "slack": "slack_export",
        "discord": "discord_export",
        "html": "html",
        "mail": "mail",
        "mbox": "mbox",
    }
)
"""Modules with ``parse(data: bytes) -> ParsedDocument``."""
HIDING_FORMATS = frozenset[Format](("docx", "pptx", "xlsx", "xls", "opendocument"))
"""Formats whose modules have ``parse(data, *, include_hidden)``."""
CHAT_ARCHIVES: tuple[Format, ...] = ("slack", "discord")
"""Formats whose ``parse`` takes ``private_chats`` as well."""
TEXT_PARSERS = MappingProxyType[Format, str]({"json": "json_documents", "csv": "csv_tables", "markdown": "markdown"})
"""Modules with ``parse(text: str) -> ParsedDocument``, for text that is already decoded."""


def parse(
    data: bytes,
    name: str = "",
    content_type: str = "",
    *,
    include_hidden: bool = False,
    private_chats: bool = False,
    max_unpacked: int = MAX_UNPACKED,
) -> ParsedDocument:
    """Parse a file of any format. Its title comes from its content, or from its name. Raises ParseError.

    ``include_hidden`` adds what Office files hide: sheets, rows, columns, deleted text, comments and notes of slides.
    ``private_chats`` reads private channels of chat exports, for a document that only one channel will find.
    ``max_unpacked`` is the number of bytes that an archive may unpack to.
    """
    media_type, charset = split_content_type(content_type)
    kind = detect(data, name, media_type, max_unpacked=max_unpacked)
    if kind == "html":
        from knowledge.parsing import html

        refuse_text(data.decode("utf-8", "replace"), name, private_chats=private_chats)
        parsed: ParsedDocument = html.parse(data, charset)
    elif kind in BINARY_PARSERS:
        options = {"include_hidden": include_hidden} if kind in HIDING_FORMATS else {}
        options |= {"private_chats": private_chats} if kind in CHAT_ARCHIVES else {}
        parsed = import_module(f"knowledge.parsing.{BINARY_PARSERS[kind]}").parse(data, **options)
    else:
        parsed = _parse_text(kind, plain_text.decode(data, charset), name, media_type, private_chats)
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


def _parse_text(kind: Format, text: str, name: str, content_type: str, private_chats: bool) -> ParsedDocument:
    refuse_text(text, name, private_chats=private_chats)
    if kind == "json":
        from knowledge.parsing import json_documents

        try:
            return json_documents.parse(text, name, private_chats=private_chats)
        except json_documents.NotJsonError:
            kind = text_kind(name, content_type)
    if kind in TEXT_PARSERS:
        parsed: ParsedDocument = import_module(f"knowledge.parsing.{TEXT_PARSERS[kind]}").parse(text)
        return parsed
    return plain_text.parse_code(text) if kind == "code" else plain_text.parse(text)
