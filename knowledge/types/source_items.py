"""What a source yields, and what it is told of its last reading."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

from knowledge.text.secret_redaction import redact

SourceKind = Literal["file", "folder", "upload", "url", "crawl", "sitemap", "git", "slack", "discord"]
SOURCE_KINDS: tuple[str, ...] = get_args(SourceKind)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes of one document as a source read them, before they are parsed.

    ``uri`` names the document for people and is its identity within the tenant.
    ``content_type`` is only a hint; the content decides the format. ``metadata`` is stored with the document, and so
    is ``memo``, which only the source itself receives again. ``private_chats`` is as in ``Known``.
    ``earlier_mails`` are the beginnings of mails of its thread, oldest first, whose words it may quote. ``name`` is the
    name of the file, if ``uri`` does not end in it. ``picture``: it was found among documents, so it may have no text.
    """

    uri: str
    data: bytes
    title: str = ""
    content_type: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    memo: str = ""
    private_chats: bool = False
    earlier_mails: tuple[bytes, ...] = ()
    name: str = ""
    picture: bool = False

    @property
    def size(self) -> int:
        """The number of bytes that are held in memory."""
        return len(self.data) + sum(map(len, self.earlier_mails))


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A known document that has not changed since it was read last.

    ``metadata`` is merged into the stored metadata if it is given; the text stays.
    """

    uri: str
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A bookmark that the source receives again at its next run.

    The source yields it last. It is stored only if every document could be ingested.
    """

    memo: str


@dataclass(frozen=True, slots=True)
class SourceWarning:
    """What the source left out, in a sentence for users."""

    text: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """The time when a document was last read, and the metadata that the source provided."""

    fetched_at: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)


async def _no_memo(_: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Known:
    """The stored state of a source: its complete documents, by name. Only these may be reported as Unchanged.

    ``outdated`` are other documents with a text or memo, which must be read again: parsed by other rules, failed, or
    with erased messages. ``memo`` returns the ``Fetched.memo`` of a document of both. ``last_mark`` is the last Mark.
    ``mark`` is the same, but empty if any document of the source is missing from ``documents``. ``private_chats``:
    private channels of a chat export may be read, because only the members of one channel will find the documents.
    ``pictures_without_text`` were read, but are no documents. They too may be reported as Unchanged.
    """

    documents: Mapping[str, Earlier] = field(default_factory=dict)
    outdated: Mapping[str, Earlier] = field(default_factory=dict)
    memo: Callable[[str], Awaitable[str]] = _no_memo
    mark: str = ""
    last_mark: str = ""
    private_chats: bool = False
    pictures_without_text: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all documents that have a text or memo."""
        return (*self.documents, *self.outdated)

    @property
    def read_at(self) -> datetime | None:
        """The earliest of the times at which the documents were last read; None if there are none."""
        earlier = (*self.documents.values(), *self.outdated.values())
        return min((one.fetched_at for one in earlier), default=None)


NOTHING_KNOWN = Known()


@dataclass(frozen=True, slots=True)
class Failure:
    """A document that could not be ingested, and the reason for users. ``private``: nothing stored of it may stay.

    ``gone``: it no longer exists, in contrast to one that cannot be read for now. ``replaced``: its place has something
    else now, such as a sign-in or a notice, so that the text of the last reading is kept.
    """

    source: str
    error: str
    private: bool = False
    gone: bool = False
    replaced: bool = False

    def __post_init__(self) -> None:
        """Remove secrets, which a server may have repeated in its error."""
        object.__setattr__(self, "error", redact(self.error))


Item = Fetched | Unchanged | Failure | Mark | SourceWarning
"""What a source yields."""
