"""Parses messages that Outlook saves (MSG): converts them to mails, which are then read like any other."""

from __future__ import annotations

import struct
from email.message import EmailMessage
from email.parser import HeaderParser
from email.utils import format_datetime
from typing import Any

from olefile import OleFileIO
from oxmsg.domain import constants
from oxmsg.storage import Storage

from knowledge.errors import ParseError
from knowledge.parsing import text_encoding
from knowledge.parsing.document_builder import ParsedDocument
from knowledge.parsing.mail import mail_document
from knowledge.parsing.mail.outlook_properties import OutlookProperties
from knowledge.parsing.mail.outlook_text import one_line, set_header, set_text

_MESSAGE_HEADER, _EMBEDDED_HEADER, _PART_HEADER = 32, 24, 8
"""Bytes before the properties of a message, of one attached to it, and of its other parts, by MS-OXMSG 2.4."""
_EMBEDDED = "__substg1.0_3701000D"
_TO, _CC = 1, 2
_ADDRESS_FIELDS = {_TO: "To", _CC: "Cc"}


def parse(data: bytes) -> ParsedDocument:
    """Parse a message. Raises ParseError if it is damaged, or has neither text nor attachments."""
    try:
        with OleFileIO(data) as ole:
            message = _mail_of(Storage.from_ole(ole), _MESSAGE_HEADER, 0)
    except (OSError, LookupError, ValueError, TypeError, struct.error, AssertionError, RecursionError):
        raise ParseError("it is a damaged Outlook message. Save it as EML and try again") from None
    return mail_document.document_of(message)


def _mail_of(storage: Any, header: int, depth: int) -> EmailMessage:
    values = OutlookProperties(storage, header)
    recipients = [OutlookProperties(one, _PART_HEADER, values.charset) for one in storage.iter_recipient_storages()]
    made = EmailMessage()
    set_header(made, "Subject", values.str_prop_value(constants.PID_SUBJECT))
    set_header(made, "From", _sender(values))
    for kind, name in _ADDRESS_FIELDS.items():
        shown = (
            _person(one.str_prop_value(constants.PID_DISPLAY_NAME) or "", _address(one))
            for one in recipients
            if one.int_prop_value(constants.PID_RECIPIENT_TYPE) == kind
        )
        set_header(made, name, ", ".join(shown))
    sent = values.date_prop_value(constants.PID_CLIENT_SUBMIT_TIME)
    if sent is not None:
        set_header(made, "Date", format_datetime(sent))
    _set_text(made, values)
    for attached in storage.iter_attachment_storages():
        _attach(made, attached, depth, values.charset)
    return made


def _set_text(made: EmailMessage, values: OutlookProperties) -> None:
    data = values.binary_prop_value(constants.PID_HTML)
    page = text_encoding.decode_known(data, values.body_encoding) if data else ""
    set_text(
        made,
        plain=values.str_prop_value(constants.PID_BODY) or "",
        page=page or values.str_prop_value(constants.PID_BODY_HTML) or "",
        compressed=values.binary_prop_value(constants.PID_RTF_COMPRESSED) or b"",
    )


def _sender(values: OutlookProperties) -> str:
    """Return the author as the headers name them, else by name and address."""
    headers = HeaderParser().parsestr(values.str_prop_value(constants.PID_TRANSPORT_MESSAGE_HEADERS) or "")
    if headers["from"]:
        return str(headers["from"])
    numbers = (constants.PID_SENDER_SMTP_ADDRESS, constants.PID_SENDER_EMAIL_ADDRESS)
    address = next(filter(None, map(values.str_prop_value, numbers)), "")
    name = values.str_prop_value(constants.PID_SENDER_NAME)
    return _person(name or values.str_prop_value(constants.PID_SENT_REPRESENTING_NAME) or "", address)


def _address(recipient: OutlookProperties) -> str:
    numbers = (constants.PID_SMTP_ADDRESS, constants.PID_EMAIL_ADDRESS)
    return next(filter(None, map(recipient.str_prop_value, numbers)), "")


def _attach(made: EmailMessage, storage: Any, depth: int, charset: str) -> None:
    inner = next((one for one in storage.storages if one.name == _EMBEDDED), None)
    if inner is not None:
        if depth < mail_document.MAX_DEPTH:
            made.add_attachment(_mail_of(inner, _EMBEDDED_HEADER, depth + 1))
        return
    values = OutlookProperties(storage, _PART_HEADER, charset)
    text = values.str_prop_value
    kind = text(constants.PID_ATTACH_MIME_TAG) or ""
    if kind.startswith("image/") and text(constants.PID_ATTACH_CONTENT_ID):
        return  # a picture inside the text
    main, _, sub = kind.partition("/")
    name = text(constants.PID_ATTACH_LONG_FILENAME) or text(constants.PID_ATTACH_FILENAME) or "attachment"
    if main in ("text", "message", "multipart") or not sub:
        main, sub = "application", "octet-stream"
    data = values.binary_prop_value(constants.PID_ATTACH_DATA_BINARY) or b""
    made.add_attachment(data, maintype=main, subtype=sub, filename=one_line(name))


def _person(name: str, address: str) -> str:
    """Return a name and an address as a mail writes them."""
    name, address = one_line(name).replace('"', ""), one_line(address)
    if not address or address == name:
        return name or address
    return f'"{name}" <{address}>' if name else address
