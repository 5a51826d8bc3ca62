"""Parses mailboxes (.mbox) into one document with a section for each email, named by subject, author and date.

The emails of a thread follow each other, so that a quotation of one that the mailbox has is not read a second time.
"""

from __future__ import annotations

import re
from dataclasses import replace
from email.message import EmailMessage
from email.utils import parseaddr, parsedate_to_datetime

from knowledge.errors import ParseError
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.parsing.mail import mail_document, mail_message
from knowledge.parsing.mail.attached_files import one_name
from knowledge.parsing.mail.mail_replies import Known
from knowledge.parsing.mail.mail_threads import in_thread_order, read_headers

MAX_MAILS = 50_000
_SEPARATOR = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From [^\n]*\n(?=[A-Za-z][A-Za-z-]{0,60}:)")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)


def parse(data: bytes) -> ParsedDocument:
    """Parse the mailbox. Raises ParseError if it has more than ``MAX_MAILS`` emails.

    Attached files are named by the section of their email. The section of an email whose text cannot be read says why.
    """
    builder = Builder()
    known = Known()
    spans = _spans(data)
    if len(spans) > MAX_MAILS:
        raise ParseError(f"it has more than {MAX_MAILS} emails. Split it into smaller files")
    for place in in_thread_order([read_headers(data[start:end]) for start, end in spans]):
        raw = data[slice(*spans[place])]
        message = mail_message.parse_message(_QUOTED_FROM.sub(rb"\1", raw))
        builder.heading(1, _heading(message))
        try:
            mail_document.write(builder, message, known, folder=one_name(_heading(message)))
        except ParseError as error:
            problem, _, _ = str(error).partition(". ")
            builder.add("paragraph", f"({problem})")
    parsed = builder.build()
    return replace(parsed, title="")


def _spans(data: bytes) -> list[tuple[int, int]]:
    """Return the start and end of each email."""
    starts = [match.span() for match in _SEPARATOR.finditer(data)]
    return [(begin, end) for (_, begin), (end, _) in zip(starts, [*starts[1:], (len(data), 0)], strict=True)]


def _heading(message: EmailMessage) -> str:
    name, address = parseaddr(mail_message.header(message, "From"))
    subject = mail_message.header(message, "Subject") or "(no subject)"
    parts = [part for part in (name or address, _iso_date(mail_message.header(message, "Date"))) if part]
    return f"{subject} ({', '.join(parts)})" if parts else subject


def _iso_date(date: str) -> str:
    try:
        return parsedate_to_datetime(date).date().isoformat()
    except ValueError:
        return ""
