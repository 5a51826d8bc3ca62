"""E-mail (.eml): who, to whom, when and about what, and the text of the message."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from email.message import EmailMessage

from knowledge.errors import ParseError
from knowledge.metadata import AUTHOR, DATE
from knowledge.parsing import html, plain_text
from knowledge.parsing.document_builder import Builder, Parsed

_SHOWN = ("From", "To", "Cc", "Date")


def parse(data: bytes) -> Parsed:
    """The plain text of the message, else its HTML; attached messages and files are left out. Raises ParseError."""
    message = read(data)
    subject = subject_of(message)
    builder = Builder()
    if subject:
        builder.heading(1, subject)
    write(builder, message)
    told = {AUTHOR: str(message["From"] or ""), DATE: str(message["Date"] or "")}
    return replace(builder.build(subject), metadata={key: value for key, value in told.items() if value})


def read(data: bytes) -> EmailMessage:
    return email.message_from_bytes(data, policy=email.policy.default)


def subject_of(message: EmailMessage) -> str:
    return " ".join(str(message.get("Subject", "")).split())


def write(builder: Builder, message: EmailMessage) -> None:
    """Its head and its text, below whatever heading stands. Raises ParseError where it has none."""
    builder.add("paragraph", "\n".join(f"{name}: {message[name]}" for name in _SHOWN if message[name]))
    body = _body(message)
    for block in body.blocks:
        if block.kind == "heading":
            builder.heading(len(block.heading) + 2, body.text[block.start : block.end])
        else:
            builder.add(block.kind, body.text[block.start : block.end])


def _body(message: EmailMessage) -> Parsed:
    part = message.get_body(("plain", "html"))
    if part is None:
        raise ParseError("the message has no text")
    content = part.get_payload(decode=True)
    raw = content if isinstance(content, bytes) else b""
    if part.get_content_subtype() == "html":
        return html.parse(raw)
    try:
        text = raw.decode(part.get_content_charset() or "utf-8")
    except (UnicodeDecodeError, LookupError):
        text = plain_text.decode(raw)
    return plain_text.parse(plain_text.cleaned(text))
