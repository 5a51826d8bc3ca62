"""Documents, blocks and chunks. Offsets count characters of ``Document.text``: ``text[start:end]``, half open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

from knowledge.types.source_items import Fetched

BlockKind = Literal["heading", "paragraph", "list", "table", "code", "quote", "message", "running_lines"]
"""``running_lines`` are headers and footers that repeat on the pages. They are part of the text, but not searched."""
DocumentState = Literal["ready", "failed", "no text"]
"""``no text``: a picture in which no text was recognized, which is no error."""
Order = Literal["source", "title", "age", "state", "size"]
ORDERS: tuple[str, ...] = get_args(Order)
"""Orders of documents: ``age`` begins with the newest, ``state`` with the failed, ``size`` with the longest."""
ChunkingMethod = Literal["fixed", "sentence-window", "semantic", "packed"]


def place(title: str, heading: tuple[str, ...], page: int | None = None) -> str:
    """Return the place of a part of a document, for display: title, headings and page."""
    path = heading[1:] if heading[:1] == (title,) else heading
    return " › ".join((title, *path)) + (f", page {page}" if page else "")


@dataclass(frozen=True, slots=True)
class Block:
    """A coherent part of a document, such as a paragraph or table: ``document.text[start:end]``.

    ``heading`` is the path of headings above it, outermost first. ``page`` counts from 1.
    """

    kind: BlockKind
    start: int
    end: int
    heading: tuple[str, ...] = ()
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document. ``blocks`` are in order and do not overlap.

    ``warnings`` say what was left out of the text, in a sentence for users each. ``attached`` are the files attached to
    a mail, which are documents of their own: see ``knowledge.parsing.mail_attachments``.
    """

    uri: str
    title: str
    text: str
    blocks: tuple[Block, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    attached: tuple[Fetched, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document as it is indexed: ``document.text[start:end] == text``.

    ``window`` is the start and end of the text that is read in its place, if that is larger.
    """

    position: int
    text: str
    start: int
    end: int
    heading: tuple[str, ...] = ()
    page: int | None = None
    window: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A stored document as the list of documents shows it."""

    id: str
    source: str
    title: str
    chunks: int
    audience: str
    fetched_at: datetime
    state: DocumentState
    error: str = ""
    short_id: str = ""
    """The first 8 characters of the id; the whole id if another document of the tenant begins like it."""
    warnings: Sequence[str] = ()
    """What was left out of the text."""
