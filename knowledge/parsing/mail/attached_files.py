"""Extracts the files and mails attached to a mail, with the names that they get as documents."""

from __future__ import annotations

import mimetypes
from email.message import EmailMessage
from pathlib import PurePosixPath

from knowledge.parsing.document_builder import AttachedFile
from knowledge.parsing.mail.mail_message import charset_of, header, payload_of
from knowledge.text.storable_text import storable

MAX_NAME_CHARS = 120
"""Characters that are kept of the name of a file. Its extension is kept."""
_MAIL = "message/rfc822"


def read(part: EmailMessage, name: str) -> AttachedFile:
    """Return an attached file or mail.

    Raises KeyError, ValueError, LookupError, TypeError or AttributeError if the declaration of the part is damaged.
    """
    kind = part.get_content_type()
    if kind == _MAIL:
        inner = part.get_content()
        # Headers that are not changed keep their bytes, also those that no standard allows.
        return AttachedFile(name, inner.as_bytes(policy=inner.policy.clone(refold_source="none")), _MAIL)
    charset = charset_of(part)
    return AttachedFile(name, payload_of(part), f'{kind}; charset="{charset}"' if charset else kind)


def name_of(part: EmailMessage) -> str:
    """Return the name of an attached file without its folder; of one without a name, what says most about it.

    A mail is named by its subject, another part by its media type.
    """
    kind = part.get_content_type()
    given = PurePosixPath((part.get_filename() or "").replace("\\", "/")).name
    if given:
        return one_name(given)
    if kind == _MAIL:
        return one_name(f"{_subject(part) or 'mail'}.eml")
    return one_name(f"attachment{mimetypes.guess_extension(kind) or ''}")


def one_name(text: str) -> str:
    """Return text as one part of the name of a document: on one line, without slashes, not too long, and no ``..``."""
    line = " ".join(storable(text).replace("/", "_").split())
    if line in (".", ".."):
        return "attachment"
    if len(line) <= MAX_NAME_CHARS:
        return line or "attachment"
    extension = PurePosixPath(line).suffix[:10]
    return line[: MAX_NAME_CHARS - len(extension)].rstrip() + extension


def _subject(part: EmailMessage) -> str:
    try:
        inner = part.get_content()
    except (KeyError, ValueError, LookupError, TypeError, AttributeError):
        return ""
    return header(inner, "Subject")
