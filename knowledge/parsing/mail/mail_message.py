"""Reads raw e-mails as mail programs do: headers that are not ASCII, unquoted boundaries, and the parts to be shown."""

from __future__ import annotations

import base64
import email
import email.policy
import re
from collections.abc import Iterator
from email.message import EmailMessage

from knowledge.parsing import plain_text

_BOUNDARY = re.compile(rb'(?im)^((?:Content-Type:[^\r\n]*|[ \t]+[^\r\n]*)\bboundary=)([^"\s;][^\s;]*)')
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_RAW_WORDS = re.compile(
    r'[^\s<>@"(),;:]*[^\x00-\x7f][^\s<>@"(),;:]*(?:[ \t]+[^\s<>@"(),;:]*[^\x00-\x7f][^\s<>@"(),;:]*)*'
)
"""Words with characters beyond ASCII, one after the other."""
_TAG = re.compile(r"<(style|script|head)\b.*?</\1>|<[^>]*>", re.S | re.I)
MAX_STUB = 300
"""Characters of a plain text that may only say where the HTML can be read."""
STUB_FACTOR = 1.2
"""How many times the words of the plain text the HTML has, if the plain text is such a stub."""


def parse_message(data: bytes) -> EmailMessage:
    """Parse the headers and parts of a raw message."""
    end = _HEADER_END.search(data)
    head, body = (data[: end.start()], data[end.start() :]) if end else (data, b"")
    if not head.isascii():
        head = _RAW_WORDS.sub(_encoded_words, plain_text.decode(head)).encode("ascii", "replace")
    body = _BOUNDARY.sub(rb'\1"\2"', body)
    return email.message_from_bytes(_BOUNDARY.sub(rb'\1"\2"', head) + body, policy=email.policy.default)


def header(message: EmailMessage, name: str) -> str:
    """Return a header on one line; empty if there is none or its value is broken."""
    try:
        return " ".join(str(message.get(name, "")).split())
    except (ValueError, IndexError, AttributeError, TypeError):
        return ""


def shown_parts(message: EmailMessage) -> Iterator[EmailMessage]:
    """Yield the text parts that a mail program shows, in order: of alternatives the plain text, if it says anything."""
    kind = message.get_content_type()
    if is_attachment(message):
        return
    if kind == "multipart/alternative":
        yield from _alternative([part for part in message.iter_parts() if isinstance(part, EmailMessage)])
    elif message.is_multipart() and message.get_content_maintype() == "multipart":
        for part in message.iter_parts():
            if isinstance(part, EmailMessage):
                yield from shown_parts(part)
    elif kind in ("text/plain", "text/html"):
        yield message


def attached_parts(message: EmailMessage) -> Iterator[EmailMessage]:
    """Yield the attached files and mails, also from inside nested multiparts."""
    if is_attachment(message):
        yield message
    elif message.get_content_maintype() == "multipart":
        for part in message.iter_parts():
            if isinstance(part, EmailMessage):
                yield from attached_parts(part)


def is_attachment(part: EmailMessage) -> bool:
    """Return whether a part is a file or a mail of its own. A picture that the HTML shows is none."""
    maintype = part.get_content_maintype()
    if maintype == "multipart":
        return False
    if maintype == "text" and part.get_content_subtype() in ("plain", "html"):
        return part.get_content_disposition() == "attachment" or bool(part.get_filename())
    return not (maintype == "image" and part.get("Content-ID") and part.get_content_disposition() != "attachment")


def payload_of(part: EmailMessage) -> bytes:
    """Return the decoded bytes of a part; empty if it has parts of its own."""
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def charset_of(part: EmailMessage) -> str:
    """Return the charset that a part declares; empty if it declares none.

    So it is for ``us-ascii`` with bytes beyond ASCII: that is what programs write that do not know the charset.
    """
    charset = part.get_content_charset() or ""
    return "" if charset in ("us-ascii", "ascii") and not payload_of(part).isascii() else charset


def text_of(part: EmailMessage) -> str:
    """Return the text of a part in the charset that it declares; if that does not fit, in a detected one."""
    text = plain_text.decode(payload_of(part), charset_of(part))
    return _unflowed(text, part) if part.get_param("format") == "flowed" else text


def _alternative(parts: list[EmailMessage]) -> list[EmailMessage]:
    shown = [found for part in parts if (found := list(shown_parts(part)))]
    plain = next((f for f in shown if all(p.get_content_subtype() == "plain" for p in f)), None)
    rich = next((f for f in reversed(shown) if f is not plain), None)
    if plain is None or rich is None:
        return plain or rich or []
    text = " ".join(text_of(part) for part in plain).strip()
    words = len(_TAG.sub(" ", " ".join(text_of(part) for part in rich)).split())
    is_stub = len(text) <= MAX_STUB and words > STUB_FACTOR * len(text.split())
    return rich if not text or is_stub else plain


def _unflowed(text: str, part: EmailMessage) -> str:
    """Join the lines of one paragraph (RFC 3676): a line that ends in a space goes on in the next one."""
    delete_space = str(part.get_param("delsp", "")).lower() == "yes"
    lines: list[str] = []
    open_depth: int | None = None
    for line in text.split("\n"):
        depth = len(line) - len(line.lstrip(">"))
        content = line[depth:].removeprefix(" ")
        flows = content.endswith(" ") and content != "-- "
        shown = content[:-1] if flows and delete_space else content
        if open_depth == depth and content != "-- ":
            lines[-1] += shown
        else:
            lines.append((">" * depth + " " if depth else "") + shown)
        open_depth = depth if flows else None
    return "\n".join(lines)


def _encoded_words(found: re.Match[str]) -> str:
    return f"=?utf-8?b?{base64.b64encode(found.group().encode()).decode()}?="
