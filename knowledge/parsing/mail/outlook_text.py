"""Puts the text of an Outlook message into a mail: the plain text, the HTML, or what is there only as Rich Text."""

from __future__ import annotations

from contextlib import suppress
from email.message import EmailMessage

from knowledge.errors import ParseError
from knowledge.parsing.mail import compressed_rtf
from knowledge.parsing.office import rtf


def set_text(made: EmailMessage, *, plain: str, page: str, compressed: bytes) -> None:
    """Set the body. ``page`` is HTML. ``compressed`` is Rich Text, which is read if the others are empty."""
    plain, page = encodable(plain), encodable(page)
    if not plain.strip() and not page.strip() and compressed:
        plain = _text_of_rtf(compressed)
    if page.strip() and not plain.strip():
        made.set_content(page, subtype="html")
        return
    made.set_content(plain)
    if page.strip():
        made.add_alternative(page, subtype="html")


def set_header(made: EmailMessage, name: str, value: str | None) -> None:
    """Set a header to a value on one line, unless it is empty."""
    if value and value.strip():
        made[name] = one_line(value)


def one_line(value: str) -> str:
    """Return the value as one line that a header can hold."""
    return " ".join(encodable(value).split())


def encodable(text: str) -> str:
    """Return the text without halves of surrogate pairs, which no charset can encode."""
    return text.encode("utf-8", "replace").decode()


def _text_of_rtf(compressed: bytes) -> str:
    with suppress(ValueError, ParseError):
        return encodable(rtf.text_of(compressed_rtf.decompress(compressed)))
    return ""
