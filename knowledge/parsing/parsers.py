"""The parser of each format, imported when the first file of it comes. To add a format: a module and a line here."""

from __future__ import annotations

from importlib import import_module
from pathlib import PurePosixPath
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from knowledge.errors import ParseError
from knowledge.metadata import FORMAT
from knowledge.parsing import plain_text
from knowledge.parsing.document_builder import Parsed
from knowledge.parsing.format_detection import Format, detect, text_kind

OF_BYTES = MappingProxyType[Format, str](
    {
        "pdf": "pdf",
        "docx": "docx",
        "pptx": "pptx",
        "xlsx": "xlsx",
        "slack": "slack_export",
        "discord": "discord_export",
        "html": "html",
        "mail": "mail",
        "mbox": "mbox",
    }
)
"""The modules with ``parse(data: bytes) -> Parsed``."""
OF_TEXT = MappingProxyType[Format, str]({"json": "json_documents", "csv": "csv_tables", "markdown": "markdown"})
"""The modules with ``parse(text: str) -> Parsed``; the text is decoded already."""


def parse(data: bytes, name: str = "", content_type: str = "") -> Parsed:
    """Bytes to text with structure; titled by the document itself, else by its name. Raises ParseError."""
    kind = detect(data, name, content_type)
    if kind in OF_BYTES:
        parsed: Parsed = import_module(f"knowledge.parsing.{OF_BYTES[kind]}").parse(data)
    else:
        parsed = _parse_text(kind, plain_text.decode(data), name, content_type)
    if not parsed.blocks:
        raise ParseError("it holds no text")
    metadata = {**parsed.metadata, FORMAT: kind}
    return Parsed(parsed.title or title_of(name), parsed.text, parsed.blocks, metadata)


def title_of(name: str) -> str:
    """A title made of a file name or an address."""
    path = urlsplit(name).path if "://" in name else name
    return PurePosixPath(unquote(path)).stem.replace("_", " ").replace("-", " ").strip() or name


def load(kind: Format) -> None:
    """Import what the format needs, so that its cost is not counted against a file."""
    module = OF_BYTES.get(kind) or OF_TEXT.get(kind)
    if module:
        import_module(f"knowledge.parsing.{module}")


def _parse_text(kind: Format, text: str, name: str, content_type: str) -> Parsed:
    if kind == "json":
        from knowledge.parsing import json_documents

        try:
            return json_documents.parse(text)
        except json_documents.NotJsonError:
            kind = text_kind(name, content_type)
    if kind in OF_TEXT:
        parsed: Parsed = import_module(f"knowledge.parsing.{OF_TEXT[kind]}").parse(text)
        return parsed
    return plain_text.parse_code(text) if kind == "code" else plain_text.parse(text)
