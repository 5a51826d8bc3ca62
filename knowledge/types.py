"""The data types of the knowledge layer: frozen values that use the standard library only.

Offsets count characters of ``Document.text`` and are half open: ``text[start:end]``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, get_args

from knowledge.text.secret_redaction import redact

TENANT_AUDIENCE = "tenant"
"""The audience of a document that every user of the tenant may read."""

BlockKind = Literal["heading", "paragraph", "list", "table", "code", "quote", "message", "running_lines"]
"""``running_lines`` are headers and footers that repeat on the pages. They are part of the text, but not searched."""
SourceKind = Literal["file", "folder", "upload", "url", "crawl", "sitemap", "git", "slack", "discord"]
SOURCE_KINDS: tuple[str, ...] = get_args(SourceKind)
DocumentState = Literal["ready", "failed", "no text"]
"""``no text``: a picture in which no text was recognized, which nobody needs to mend."""
Order = Literal["source", "title", "age", "state", "size"]
ORDERS: tuple[str, ...] = get_args(Order)
"""Orders of documents: ``age`` begins with the newest, ``state`` with the failed, ``size`` with the longest."""
ChunkingMethod = Literal["fixed", "sentence-window", "semantic", "packed"]


def place(title: str, heading: tuple[str, ...], page: int | None = None) -> str:
    """Return the place of a part of a document, for display: title, headings and page."""
    path = heading[1:] if heading[:1] == (title,) else heading
    return " › ".join((title, *path)) + (f", page {page}" if page else "")


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions on the documents that are searched. A document passes if it meets every condition that is set.

    ``sources``: the name of the document or of its source starts with one of these; an empty tuple lets none pass.
    ``kinds`` of source (``folder``, ``url``), ``formats`` (``pdf``, ``markdown``), ``languages`` (``de``) and
    ``authors`` match in full, ignoring case. ``since`` includes its date, ``until`` excludes it.
    """

    sources: tuple[str, ...] | None = None
    kinds: tuple[str, ...] | None = None
    formats: tuple[str, ...] | None = None
    languages: tuple[str, ...] | None = None
    authors: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __and__(self, other: Filter) -> Filter:
        """Return the filter that passes the documents that pass both filters."""
        return Filter(
            _prefixes(self.sources, other.sources),
            _same(self.kinds, other.kinds),
            _same(self.formats, other.formats),
            _same(self.languages, other.languages),
            _same(self.authors, other.authors),
            max(filter(None, (self.since, other.since)), default=None),
            min(filter(None, (self.until, other.until)), default=None),
        )


def _prefixes(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the prefixes of names that match both tuples: from each pair, the longer if it starts with the shorter."""
    if one is None or other is None:
        return other if one is None else one
    pairs = ((a, b) if len(a) >= len(b) else (b, a) for a in one for b in other)
    return tuple(dict.fromkeys(long for long, short in pairs if long.startswith(short)))


def _same(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    allowed = {value.casefold() for value in other}
    return tuple(value for value in one if value.casefold() in allowed)


EVERYTHING = Filter()


def audiences(channel_id: str | None, *, tenant_wide: bool) -> tuple[str, ...]:
    """Return the audiences of documents that everybody in a channel may read.

    ``tenant_wide``: everybody in the channel may read the documents of the whole tenant.
    """
    return ((TENANT_AUDIENCE,) if tenant_wide else ()) + ((channel_id,) if channel_id else ())


@dataclass(frozen=True, slots=True)
class Scope:
    """The documents that a search may use.

    These are the documents of the tenant whose audience is one of ``audiences`` and that pass ``filter``.
    """

    tenant_id: str
    audiences: tuple[str, ...] = (TENANT_AUDIENCE,)
    filter: Filter = EVERYTHING

    def narrowed(self, more: Filter) -> Scope:
        """Return the same scope, limited by another filter as well."""
        return replace(self, filter=self.filter & more)

    @classmethod
    def of_channel(cls, tenant_id: str, channel_id: str | None, *, tenant_wide: bool) -> Scope:
        """Return what everybody in the channel may read: its documents and, if ``tenant_wide``, those of the tenant."""
        return cls(tenant_id, audiences(channel_id, tenant_wide=tenant_wide))


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
class Legs:
    """The score of a passage in each stage of the search; None if a stage did not score it."""

    dense: float | None = None
    sparse: float | None = None
    fused: float | None = None
    rerank: float | None = None


@dataclass(frozen=True, slots=True)
class Sentence:
    """The characters ``start:end`` of a document, and the cosine of their vector to the question's."""

    start: int
    end: int
    cosine: float


@dataclass(frozen=True, slots=True)
class TextPlace:
    """The headings and the page that hold from the offset ``start`` of a document on. ``heading`` None is unknown.

    ``page_label`` is the number that the page bears, such as ``iv``; empty if it is unknown.
    """

    start: int
    heading: tuple[str, ...] | None = None
    page: int | None = None
    page_label: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document that was found for a question: ``document.text[start:end] == text``."""

    chunk_id: int
    document_id: str
    text: str
    source: str
    title: str
    heading: tuple[str, ...]
    start: int
    end: int
    page: int | None
    score: float
    legs: Legs = Legs()
    window: tuple[int, int] | None = None
    """The start and end of the text to read in its place, if that is larger."""
    sentences: tuple[Sentence, ...] = ()
    """Its sentences in order, if their vectors are stored."""
    places: tuple[TextPlace, ...] = ()
    """The places in it, in order, if they are stored."""
    note: str = ""
    """What its title says at its end about the state of the document, such as “gone since 2026-03-01”."""
    superseded: bool = False
    """Its document says that it is no longer in force, and the question does not ask for what was valid earlier."""
    embedding_model: str = ""
    """The model of the vectors of ``sentences``; empty without sentences."""

    @property
    def indexed_title(self) -> str:
        """The title that was embedded with the text: the one that is shown, without the note."""
        return self.title.removesuffix(f" ({self.note})") if self.note else self.title

    def place_at(self, offset: int) -> TextPlace:
        """Return the heading and the page at an offset of the document, those of the passage if no others are known."""
        found = TextPlace(self.start, self.heading, self.page)
        for place in self.places:
            if place.start > offset:
                break
            heading = self.heading if place.heading is None else place.heading
            found = TextPlace(place.start, heading, place.page, place.page_label)
        return found

    @property
    def place(self) -> str:
        """Where the passage is, for display."""
        return place(self.title or self.source, self.heading, self.page)


StandbyUse = Literal["none", "used", "behind", "away", "promoted"]
"""Whether a standby of the database served a search; ``none`` if there is none. Otherwise why the primary served it:
the standby did not have the tenant's newest documents yet, did not answer, or is a primary itself.
"""


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search, best passage first.

    ``confidence``, 0 to 1, says how likely the passages contain the answer.
    ``knowledge_version`` grows with every change of the tenant's documents.
    ``embedding_model`` and ``embedding_tokens`` are for the cost of encoding the query.
    ``searched`` is the text that was searched for: the question and the words added from the thread.
    """

    passages: tuple[Passage, ...]
    timings_ms: Mapping[str, float]
    confidence: float
    knowledge_version: int
    embedding_model: str = ""
    embedding_tokens: int = 0
    searched: str = ""
    decline_below: float = 0.1
    """Below this confidence, the passages do not contain the answer."""
    weak_below: float = 0.0
    """Below this confidence, the passages probably do not contain the answer."""
    documents: int = 0
    """The number of documents searched; counted only if the passages do not contain the answer."""
    standby: StandbyUse = "none"
    """Whether a standby of the database served the search, or why it did not."""
    part_passages: tuple[tuple[Passage, ...], ...] = ()
    """What each part of the question found on its own, if it has parts."""


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


@dataclass(frozen=True, slots=True)
class DocumentWarning:
    """What was left out of a document that was stored, in words for users."""

    source: str
    warning: str


Item = Fetched | Unchanged | Failure | Mark | SourceWarning
"""What a source yields."""


@dataclass(frozen=True, slots=True)
class IngestReport:
    """The result of an ingestion. ``documents`` counts the stored documents, including the ``unchanged`` ones.

    ``stopped`` is true if a user asked to stop the ingestion; documents stored until then stay. ``warnings`` are about
    documents that were read anew, one for each.
    """

    documents: int
    chunks: int
    unchanged: int
    failed: tuple[Failure, ...]
    seconds: float
    deleted: int = 0
    embedding_model: str = ""
    embedding_tokens: int = 0
    stopped: bool = False
    warnings: tuple[DocumentWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of an ingestion. ``total`` counts the documents found so far; None while it is unknown."""

    source: str
    done: int
    total: int | None
    failed: int
    current: str = ""
    kind: str = ""


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
