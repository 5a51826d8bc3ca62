"""The parser of each format, imported when the first file of it comes. To add a format: a module and a line here."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from knowledge.errors import ParseError
from knowledge.parsing.builder import Parsed
from knowledge.parsing.detect import Format, detect


def parse(data: bytes, name: str = "", content_type: str = "") -> Parsed:
    """Bytes to text with structure; titled by the document itself, else by its name. Raises ParseError."""
    parsed = _parse(detect(data, name, content_type), data)
    if not parsed.blocks:
        raise ParseError("it holds no text")
    return Parsed(parsed.title or title_of(name), parsed.text, parsed.blocks)


def title_of(name: str) -> str:
    """A title made of a file name or an address."""
    path = urlsplit(name).path if "://" in name else name
    return PurePosixPath(unquote(path)).stem.replace("_", " ").replace("-", " ").strip() or name


def load(kind: Format) -> None:
    """Import what the format needs, so that its cost is not counted against a file."""
    if kind == "pdf":
        import knowledge.parsing.pdf
    elif kind == "docx":
        import knowledge.parsing.docx
    elif kind == "html":
        import knowledge.parsing.html
    elif kind == "mail":
        import knowledge.parsing.mail
    elif kind == "markdown":
        import knowledge.parsing.markdown  # noqa: F401


def _parse(kind: Format, data: bytes) -> Parsed:
    if kind == "pdf":
        from knowledge.parsing import pdf

        return pdf.parse(data)
    if kind == "docx":
        from knowledge.parsing import docx

        return docx.parse(data)
    if kind == "html":
        from knowledge.parsing import html

        return html.parse(data)
    if kind == "mail":
        from knowledge.parsing import mail

        return mail.parse(data)
    from knowledge.parsing import plain

    text = plain.decode(data)
    if kind == "csv":
        from knowledge.parsing import tabular

        return tabular.parse(text)
    if kind == "code":
        return plain.parse_code(text)
    if kind == "markdown":
        from knowledge.parsing import markdown

        return markdown.parse(text)
    return plain.parse(text)
