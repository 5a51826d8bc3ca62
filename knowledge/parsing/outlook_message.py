"""Parses messages that Outlook saves (.msg) as e-mails: headers, text, quotations and attachments."""

from __future__ import annotations

import io
from email.message import EmailMessage
from email.utils import format_datetime, formataddr
from typing import Any

from oxmsg import Message

from knowledge.errors import ParseError
from knowledge.parsing import mail
from knowledge.parsing.document_builder import ParsedDocument


def parse(data: bytes) -> ParsedDocument:
    """Parse an Outlook message. Raises ParseError if it is damaged or has nothing to read."""
    try:
        raw = _as_email(Message.load(io.BytesIO(data))).as_bytes()
    except Exception as error:  # the library raises whatever a damaged container causes
        raise ParseError("it is damaged and cannot be opened; save it again in Outlook") from error
    return mail.parse(raw)


def _as_email(message: Any) -> EmailMessage:
    found = EmailMessage()
    found["Subject"] = _line(message.subject)
    found["From"] = _line(message.sender)
    found["To"] = ", ".join(formataddr((_line(r.name), _line(r.email_address))) for r in message.recipients)
    if message.sent_date:
        found["Date"] = format_datetime(message.sent_date)
    found.set_content(message.body or "")
    if message.html_body:
        found.add_alternative(message.html_body, subtype="html")
    for attachment in message.attachments:
        if attachment.attached_by_value and attachment.file_bytes is not None:
            kind, _, subtype = (attachment.mime_type or "application/octet-stream").partition("/")
            name = _line(attachment.file_name)
            found.add_attachment(attachment.file_bytes, maintype=kind, subtype=subtype or "x", filename=name)
    return found


def _line(text: str | None) -> str:
    return " ".join((text or "").split())
