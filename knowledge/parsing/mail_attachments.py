"""Parses a mail or mailbox together with what is attached to it: each attached file and mail is a document of its own.

A warning names each file that cannot be read, and each mail that is nested too deep.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from knowledge.errors import ParseError
from knowledge.metadata import ATTACHED_TO, AUTHOR, DATE
from knowledge.parsing.isolation.worker_protocol import MAX_WARNINGS
from knowledge.text.counted_nouns import counted
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched

MAX_DEPTH = 5
"""Levels of files that are attached to attached mails."""
MAX_DOCUMENTS = 5_000
"""Attached documents of one file, at all levels together."""
_INHERITED = (AUTHOR, DATE)
"""Metadata that an attached file gets from the mail unless it has its own."""


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file and the document that was read from it."""

    fetched: Fetched
    document: Document


@dataclass(frozen=True, slots=True)
class AttachmentLimits:
    """Where reading stops, for a caller who shows only a part of what is attached.

    ``documents`` counts attached documents, at all levels together. ``chars`` counts characters of the file and of its
    attachments. After ``seconds``, no further attachment is begun. ``warns``: a warning counts the others.
    """

    documents: float = math.inf
    chars: float = math.inf
    seconds: float = math.inf
    warns: bool = False


NO_LIMITS = AttachmentLimits()


async def parse_with_attachments(
    parse: Callable[[Fetched], Awaitable[Document]], fetched: Fetched, limits: AttachmentLimits = NO_LIMITS
) -> tuple[Document, Sequence[ReadFile]]:
    """Parse a file, and then what is attached to it, at all levels. Raises ParseError if the file cannot be read."""
    return await _parse(parse, fetched, MAX_DEPTH, _Progress(limits))


async def parse_all(
    parse: Callable[[Fetched], Awaitable[Document]], fetched: Fetched, limits: AttachmentLimits = NO_LIMITS
) -> list[Document]:
    """Return the document of a file, then those of what is attached to it. Raises ParseError as above."""
    document, attached = await parse_with_attachments(parse, fetched, limits)
    return [document, *(one.document for one in attached)]


def left_out(name: str, reason: str) -> str:
    """Return the warning about an attachment that could not be read. ``reason`` says what to do."""
    return f"attachment {name} left out: {reason}"


def with_left_out(document: Document, warnings: Sequence[str]) -> Document:
    """Return a document with warnings about its attachments. One sentence counts those over ``MAX_WARNINGS``."""
    shown, room = list(warnings), max(1, MAX_WARNINGS - len(document.warnings))
    if len(shown) > room:
        more = counted(len(shown) - room + 1, "more attachment")
        shown[room - 1 :] = [f"{more} left out. Add them as files to see why"]
    return replace(document, warnings=(*document.warnings, *shown))


def attached_file(fetched: Fetched, name: str, data: bytes, content_type: str) -> Fetched:
    """Return a file attached to ``fetched``, named below it.

    The address of a page stays one: the name of the file comes behind ``#``.
    """
    title = name.rpartition("/")[2]
    separator, shown = ("#", quote(name)) if "://" in fetched.uri and "#" not in fetched.uri else ("/", name)
    return Fetched(
        f"{fetched.uri}{separator}{shown}",
        data,
        title="" if content_type == "message/rfc822" else title,
        name=title,
        content_type=content_type,
        metadata={ATTACHED_TO: fetched.uri},
        private_chats=fetched.private_chats,
    )


@dataclass(slots=True)
class _Progress:
    limits: AttachmentLimits
    documents: int = 0
    chars: int = 0
    began: float = field(default_factory=time.monotonic)

    def is_enough(self) -> bool:
        limits = self.limits
        return (
            self.documents >= limits.documents
            or self.chars >= limits.chars
            or time.monotonic() - self.began >= limits.seconds
        )


async def _parse(
    parse: Callable[[Fetched], Awaitable[Document]], fetched: Fetched, depth: int, progress: _Progress
) -> tuple[Document, list[ReadFile]]:
    document = await parse(fetched)
    progress.chars += len(document.text)
    found: list[ReadFile] = []
    unread: list[str] = []
    beyond: list[str] = []
    for number, file in enumerate(document.attached):
        if progress.is_enough():
            if progress.limits.warns:
                more = counted(len(document.attached) - number, "more attachment")
                unread.append(f"{more} left out. Attach them as files")
            break
        if not depth or progress.documents >= MAX_DOCUMENTS:
            beyond.append(file.name)
            continue
        progress.documents += 1
        try:
            inside, below = await _parse(parse, file, depth - 1, progress)
        except ParseError as error:
            unread.append(left_out(file.name, str(error)))
            continue
        inherited = {key: document.metadata[key] for key in _INHERITED if key in document.metadata}
        found += [ReadFile(file, replace(inside, metadata={**inherited, **inside.metadata})), *below]
    return with_left_out(replace(document, attached=()), [*_beyond_limits(beyond), *unread]), found


def _beyond_limits(names: Sequence[str]) -> list[str]:
    if len(names) > 1:
        reason = "they are attached too deep, or after too many others. Add them as files"
        return [f"{len(names)} attachments left out: {reason}"]
    return [left_out(name, "it is attached too deep, or after too many others. Add it as a file") for name in names]
