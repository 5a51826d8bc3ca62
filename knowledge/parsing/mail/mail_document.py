"""Parses email messages (.eml): the headers From, To, Cc, Date and Subject, the sender's words, quotes, attached files.

The text names the attached files and mails. Each of them is a document of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from email.message import EmailMessage

from knowledge.errors import ParseError
from knowledge.metadata import AUTHOR, DATE
from knowledge.parsing import plain_text
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.parsing.html import html_document
from knowledge.parsing.mail import attached_files, calendar_events, tnef
from knowledge.parsing.mail.mail_message import (
    attached_parts,
    header,
    parse_message,
    payload_of,
    shown_parts,
    text_of,
)
from knowledge.parsing.mail.mail_replies import Known, Reply, split_blocks, split_reply
from knowledge.parsing.mail_attachments import left_out
from knowledge.parsing.parse_options import NO_OPTIONS, ParseOptions

MAX_DEPTH = 5
"""Levels of mails that Outlook packs into mails."""
MAX_ATTACHMENTS = 200
"""Attachments of one mail."""
_SHOWN_HEADERS = ("From", "To", "Cc", "Date")
_WORD = re.compile(r"\w")


def parse(data: bytes, options: ParseOptions = NO_OPTIONS) -> ParsedDocument:
    """Parse a message. Raises ParseError if it has neither text nor attachments.

    What it quotes of ``options.earlier_mails`` is left out.
    """
    known = Known()
    for earlier in options.earlier_mails:
        for part in shown_parts(parse_message(earlier)):
            _write_part(Builder(), part, known)
    return document_of(parse_message(data), known)


def document_of(message: EmailMessage, known: Known | None = None) -> ParsedDocument:
    """Return a message as a document. Raises ParseError if it has neither text nor attachments.

    Quotations whose words are in ``known`` are left out.
    """
    subject = header(message, "Subject")
    builder = Builder()
    if subject:
        builder.heading(1, subject)
    write(builder, message, known)
    metadata = {AUTHOR: header(message, "From"), DATE: header(message, "Date")}
    return replace(builder.build(subject), metadata={key: value for key, value in metadata.items() if value})


def write(builder: Builder, message: EmailMessage, known: Known | None = None, *, folder: str = "") -> None:
    """Add the message below the current heading. Raises ParseError if it has neither text nor attachments.

    Quotations and signatures whose lines are in ``known`` are left out; the message's lines are added to it.
    ``folder`` is put before the names of attached files, which otherwise only need to differ within the message.
    """
    known = known or Known()
    headers = ((name, header(message, name)) for name in _SHOWN_HEADERS)
    builder.add("paragraph", "\n".join(f"{name}: {value}" for name, value in headers if value))
    attached = [*attached_parts(message)]
    packed = [inside for part in attached if _is_packed(part) if (inside := _unpacked(builder, part))]
    files = [part for part in attached if not _is_packed(part)]
    files += [part for inside in packed for part in attached_parts(inside)]
    found = [_write_part(builder, part, known) for part in shown_parts(message)]
    if not any(found):
        found += [_write_part(builder, part, known) for inside in packed for part in shown_parts(inside)]
    if not any(found) and not files:
        raise ParseError("the message has no text. Check that you chose the right file")
    _write_attachments(builder, files, folder)


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


def _unpacked(builder: Builder, part: EmailMessage) -> EmailMessage | None:
    try:
        return tnef.message_of(payload_of(part), MAX_DEPTH)
    except ParseError as error:
        builder.warn(left_out(part.get_filename() or part.get_content_type(), str(error)))
        return None


def _write_attachments(builder: Builder, parts: Sequence[EmailMessage], folder: str) -> None:
    """Add invitations to the text, attach the other files and name them. A warning tells what could not be attached."""
    names = []
    for part in parts[:MAX_ATTACHMENTS]:
        if part.get_content_type() == "text/calendar":
            builder.add("paragraph", calendar_events.describe(text_of(part)))
            continue
        name = attached_files.name_of(part)
        try:
            names.append(builder.attach(attached_files.read(part, f"{folder}/{name}" if folder else name)))
        except (KeyError, ValueError, LookupError, TypeError, AttributeError):
            builder.warn(left_out(name, "it is damaged. Add it as a file"))
    if len(parts) > MAX_ATTACHMENTS:
        builder.warn(f"only {MAX_ATTACHMENTS} of {len(parts)} attachments are read. Add the others as files")
    builder.add("list", "\n".join(("Attached:", *(f"- {name}" for name in names))) if names else "")
