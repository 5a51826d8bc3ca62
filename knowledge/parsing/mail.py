"""Parses email messages (.eml): the headers From, To, Cc, Date and Subject, and the text of the message."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from email.message import EmailMessage

from knowledge.errors import ParseError
from knowledge.metadata import AUTHOR, DATE
from knowledge.parsing import html, plain_text
from knowledge.parsing.document_builder import Builder, ParsedDocument

_SHOWN_HEADERS = ("From", "To", "Cc", "Date")


def parse(data: bytes) -> ParsedDocument:
    """Parse the plain text of the message, or its HTML if it has no plain text. Raises ParseError.

    Attached messages and files are left out.
    """
    message = parse_message(data)
    subject = subject_of(message)
    builder = Builder()
    if subject:
        builder.heading(1, subject)
    write(builder, message)
    metadata = {AUTHOR: str(message["From"] or ""), DATE: str(message["Date"] or "")}
    return replace(builder.build(subject), metadata={key: value for key, value in metadata.items() if value})


def parse_message(data: bytes) -> EmailMessage:
    """Parse the headers and parts of a raw message."""
    return email.message_from_bytes(data, policy=email.policy.default)


def subject_of(message: EmailMessage) -> str:
    """Return the subject on one line; empty if there is none."""
    return " ".join(str(message.get("Subject", "")).split())


def write(builder: Builder, message: EmailMessage) -> None:
    """Add the headers and the text of the message below the current heading. Raises ParseError if it has no text."""
    builder.add("paragraph", "\n".join(f"{name}: {message[name]}" for name in _SHOWN_HEADERS if message[name]))
    body = _body(message)
    for block in body.blocks:
        if block.kind == "heading":
            builder.heading(len(block.heading) + 2, body.text[block.start : block.end])
        else:
            builder.add(block.kind, body.text[block.start : block.end])


def _body(message: EmailMessage) -> ParsedDocument:
    part = message.get_body(("plain", "html"))
    if part is None:
        raise ParseError("the message has no text; add its attachments as separate files")
    content = part.get_payload(decode=True)
    raw = content if isinstance(content, bytes) else b""
    if part.get_content_subtype() == "html":
        return html.parse(raw)
    try:
        text = raw.decode(part.get_content_charset() or "utf-8")
    except (UnicodeDecodeError, LookupError):
        text = plain_text.decode(raw)
    return plain_text.parse(plain_text.normalize(text))
