"""Parses email messages (.eml): the headers From, To, Cc, Date and Subject, the sender's words, quotes, attachments."""

from __future__ import annotations

import re
from dataclasses import replace
from email.message import EmailMessage

from knowledge.errors import ParseError
from knowledge.metadata import AUTHOR, DATE
from knowledge.parsing import plain_text
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.parsing.html import html_document
from knowledge.parsing.mail import calendar_events, tnef
from knowledge.parsing.mail.mail_message import (
    attached_parts,
    charset_of,
    header,
    parse_message,
    payload_of,
    shown_parts,
    text_of,
)
from knowledge.parsing.mail.mail_replies import Known, Reply, split_blocks, split_reply
from knowledge.parsing.parse_options import NO_OPTIONS, ParseOptions

MAX_DEPTH = 5
"""Levels of mails that are attached to mails."""
MAX_ATTACHMENTS = 200
_SHOWN_HEADERS = ("From", "To", "Cc", "Date")
_WORD = re.compile(r"\w")


def parse(data: bytes, options: ParseOptions = NO_OPTIONS) -> ParsedDocument:
    """Parse a message with its attachments, each under a heading. Raises ParseError if nothing in it can be read.

    What it quotes of ``options.earlier_mails`` is left out.
    """
    known = Known()
    for earlier in options.earlier_mails:
        for part in shown_parts(parse_message(earlier)):
            _write_part(Builder(), part, known)
    return document_of(parse_message(data), options, known)


def document_of(message: EmailMessage, options: ParseOptions, known: Known | None = None) -> ParsedDocument:
    """Return a message with its attachments as a document. Raises ParseError if nothing in it can be read.

    Quotations whose words are in ``known`` are left out.
    """
    subject = header(message, "Subject")
    builder = Builder()
    if subject:
        builder.heading(1, subject)
    write(builder, message, options, known)
    metadata = {AUTHOR: header(message, "From"), DATE: header(message, "Date")}
    return replace(builder.build(subject), metadata={key: value for key, value in metadata.items() if value})


def write(
    builder: Builder, message: EmailMessage, options: ParseOptions, known: Known | None = None, depth: int = 0
) -> None:
    """Add the message below the current heading. Raises ParseError if nothing in it can be read.

    Quotations and signatures whose lines are in ``known`` are left out; the message's lines are added to it.
    """
    known = known or Known()
    headers = ((name, header(message, name)) for name in _SHOWN_HEADERS)
    builder.add("paragraph", "\n".join(f"{name}: {value}" for name, value in headers if value))
    attached = [*attached_parts(message)]
    packed = [inside for part in attached if _is_packed(part) if (inside := _unpacked(builder, part, depth))]
    files = [part for part in attached if not _is_packed(part)]
    files += [part for inside in packed for part in attached_parts(inside)]
    found = [_write_part(builder, part, known) for part in shown_parts(message)]
    if not any(found):
        found += [_write_part(builder, part, known) for inside in packed for part in shown_parts(inside)]
    found += [_attach(builder, part, options, known, depth) for part in files[:MAX_ATTACHMENTS]]
    if not any(found):
        raise ParseError("the message has no text. Add its attachments as separate files")


def _write_part(builder: Builder, part: EmailMessage, known: Known) -> bool:
    """Add a text part, and return whether it has any text."""
    text = text_of(part)
    if part.get_content_subtype() == "html":
        return bool(text.strip()) and _write_html(builder, text, known)
    reply = split_reply(text)
    _write_reply(builder, plain_text.parse(reply.own), reply, known)
    return bool(text.strip())


def _write_html(builder: Builder, text: str, known: Known) -> bool:
    """Add an HTML part, and return whether it has any text."""
    try:
        parsed = html_document.parse_whole(text.encode("utf-8", "replace"), "utf-8")
    except ParseError:
        return False
    blocks = split_blocks(parsed)
    own, quoted, signature = ("\n".join(parsed.text[one.start : one.end] for one in part) for part in blocks)
    _write_reply(builder, replace(parsed, blocks=blocks.own), Reply(own, quoted, signature), known)
    return bool(parsed.blocks)


def _write_reply(builder: Builder, own: ParsedDocument, reply: Reply, known: Known) -> None:
    """Add the sender's own words, then what is not known of the quotations and the signature."""
    builder.include(own, 2)
    known.add(reply.own)
    quoted = known.unknown(reply.quoted)
    if any(_WORD.search(line) and not line.rstrip().endswith(":") for line in quoted.split("\n")):
        builder.add("quote", f"Quoted from an earlier mail:\n{quoted}")
        known.add(quoted)
    builder.add("paragraph", known.unknown(reply.signature))
    known.add(reply.signature)


def _is_packed(part: EmailMessage) -> bool:
    """Return whether Outlook packed attachments into this one."""
    return part.get_content_type() == "application/ms-tnef" or (part.get_filename() or "").lower() == "winmail.dat"


def _unpacked(builder: Builder, part: EmailMessage, depth: int) -> EmailMessage | None:
    try:
        return tnef.message_of(payload_of(part), MAX_DEPTH - depth)
    except ParseError as error:
        builder.warn(f"attachment {part.get_filename() or part.get_content_type()} left out: {error}")
        return None


def _attach(builder: Builder, part: EmailMessage, options: ParseOptions, known: Known, depth: int) -> bool:
    """Add an attachment under a heading, and return whether it could be read. A warning names one that could not."""
    name = part.get_filename() or ""
    try:
        if part.get_content_type() == "message/rfc822":
            inner = part.get_content()
            builder.heading(2, f"Attached mail: {header(inner, 'Subject') or name or '(no subject)'}")
            if depth >= MAX_DEPTH:
                raise ParseError("it is attached too deep. Add it as a file of its own")
            write(builder, inner, options, known, depth + 1)
            return True
        return _attach_file(builder, part, name, options)
    except ParseError as error:
        builder.warn(f"attachment {name or part.get_content_type()} left out: {error}")
    except (KeyError, ValueError, LookupError, TypeError, AttributeError):
        builder.warn(f"attachment {name or part.get_content_type()} left out: it is damaged. Add it as a file")
    return False


def _attach_file(builder: Builder, part: EmailMessage, name: str, options: ParseOptions) -> bool:
    from knowledge.parsing import parsers

    data = payload_of(part)
    kind = part.get_content_type()
    if kind == "text/calendar":
        builder.add("paragraph", calendar_events.describe(text_of(part)))
        return True
    charset = charset_of(part)
    parsed = parsers.parse(data, name, f'{kind}; charset="{charset}"' if charset else kind, options)
    builder.heading(2, f"Attachment: {name or kind}")
    for warning in parsed.warnings:
        builder.warn(f"{name or kind}: {warning}")
    builder.include(parsed, 3)
    return True
