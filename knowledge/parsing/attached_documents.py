"""Parses a mail or mailbox together with what is attached to it: each attached file and mail is a document of its own.

A warning names each file that cannot be read, and each mail that is nested too deep.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from knowledge.errors import ParseError
from knowledge.metadata import ATTACHED_TO, AUTHOR, DATE
from knowledge.types import Document, Fetched

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


async def parse_with_attachments(
    parse: Callable[[Fetched], Awaitable[Document]], fetched: Fetched
) -> tuple[Document, Sequence[ReadFile]]:
    """Parse a file, and then what is attached to it, at all levels. Raises ParseError if the file cannot be read."""
    return await _parse(parse, fetched, MAX_DEPTH, _Left(MAX_DOCUMENTS))


async def parse_all(parse: Callable[[Fetched], Awaitable[Document]], fetched: Fetched) -> list[Document]:
    """Return the document of a file, then those of what is attached to it. Raises ParseError as above."""
    document, attached = await parse_with_attachments(parse, fetched)
    return [document, *(one.document for one in attached)]


def left_out(name: str, reason: str) -> str:
    """Return the warning about an attachment that could not be read. ``reason`` says what to do."""
    return f"attachment {name} left out: {reason}"


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
class _Left:
    documents: int


async def _parse(
    parse: Callable[[Fetched], Awaitable[Document]], fetched: Fetched, depth: int, left: _Left
) -> tuple[Document, list[ReadFile]]:
    document = await parse(fetched)
    found: list[ReadFile] = []
    warnings = list(document.warnings)
    for file in document.attached:
        if not depth or not left.documents:
            warnings.append(left_out(file.name, "it is attached too deep, or after too many others. Add it as a file"))
            continue
        left.documents -= 1
        try:
            inside, below = await _parse(parse, file, depth - 1, left)
        except ParseError as error:
            warnings.append(left_out(file.name, str(error)))
            continue
        inherited = {key: document.metadata[key] for key in _INHERITED if key in document.metadata}
        found += [ReadFile(file, replace(inside, metadata={**inherited, **inside.metadata})), *below]
    return replace(document, attached=(), warnings=tuple(warnings)), found
