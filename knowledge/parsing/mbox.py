"""Mailboxes (.mbox): each mail a section of one document, named by its subject, author and date."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import parseaddr, parsedate_to_datetime

from knowledge.errors import ParseError
from knowledge.parsing import mail
from knowledge.parsing.document_builder import Builder, Parsed

MAX_MAILS = 50_000
_BETWEEN = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From [^\n]*\n(?=[A-Za-z][A-Za-z-]{0,60}:)")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)


def parse(data: bytes) -> Parsed:
    """A mail whose text cannot be read says so in its section. Raises ParseError where there are too many."""
    builder = Builder()
    for number, raw in enumerate(_mails(data), 1):
        if number > MAX_MAILS:
            raise ParseError(f"it holds more than {MAX_MAILS} mails; split it")
        message = mail.read(_QUOTED_FROM.sub(rb"\1", raw))
        builder.heading(1, _heading(message))
        try:
            mail.write(builder, message)
        except ParseError as error:
            builder.add("paragraph", f"({error})")
    parsed = builder.build()
    return Parsed("", parsed.text, parsed.blocks)


def _mails(data: bytes) -> Iterator[bytes]:
    starts = [match.span() for match in _BETWEEN.finditer(data)]
    for (_, begin), (end, _) in zip(starts, [*starts[1:], (len(data), 0)], strict=True):
        yield data[begin:end]


def _heading(message: EmailMessage) -> str:
    name, address = parseaddr(str(message.get("From", "")))
    subject = mail.subject_of(message) or "(no subject)"
    parts = [part for part in (name or address, _day(str(message.get("Date", "")))) if part]
    return f"{subject} ({', '.join(parts)})" if parts else subject


def _day(date: str) -> str:
    try:
        return parsedate_to_datetime(date).date().isoformat()
    except ValueError:
        return ""
