"""The nouns of the knowledge layer: frozen values, standard library only.

Offsets are counted in characters of ``Document.text`` and are half open: ``text[start:end]``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

TENANT_AUDIENCE = "tenant"
"""The audience of a document that everybody of the tenant may read."""

BlockKind = Literal["heading", "paragraph", "list", "table", "code", "quote", "message"]
DocumentState = Literal["ready", "failed"]
ChunkingMethod = Literal["fixed", "sentence-window", "semantic", "packed"]


def place(title: str, heading: tuple[str, ...], page: int | None = None) -> str:
    """Where a piece of a document stands, for a person: title, headings, page."""
    path = heading[1:] if heading[:1] == (title,) else heading
    return " › ".join((title, *path)) + (f", page {page}" if page else "")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which documents are looked through: those for which every condition holds that is given.

    ``sources``: the name of the document, or of the source that brought it, begins with one of these; an empty tuple
    lets none pass. ``kinds`` of source (``folder``, ``url``), ``formats`` (``pdf``, ``markdown``), ``languages``
    (``de``) and ``authors`` in full, whatever their case. ``since`` and ``until``: not before, and before these dates.
    """

    sources: tuple[str, ...] | None = None
    kinds: tuple[str, ...] | None = None
    formats: tuple[str, ...] | None = None
    languages: tuple[str, ...] | None = None
    authors: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __and__(self, other: Filter) -> Filter:
        """What passes both."""
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
    """What begins with one of both: the longer of each pair where it begins with the shorter."""
    if one is None or other is None:
        return other if one is None else one
    pairs = ((a, b) if len(a) >= len(b) else (b, a) for a in one for b in other)
    return tuple(dict.fromkeys(long for long, short in pairs if long.startswith(short)))


def _same(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    known = {value.casefold() for value in other}
    return tuple(value for value in one if value.casefold() in known)


EVERYTHING = Filter()


@dataclass(frozen=True, slots=True)
class Scope:
    """Who asks, and where to look: documents of this tenant whose audience is one of ``audiences`` may be seen, and of
    them those that pass ``filter`` are looked through."""

    tenant_id: str
    audiences: tuple[str, ...] = (TENANT_AUDIENCE,)
    filter: Filter = EVERYTHING

    def narrowed(self, more: Filter) -> Scope:
        """The same scope, with this to pass as well."""
        return replace(self, filter=self.filter & more)

    @classmethod
    def of_channel(cls, tenant_id: str, channel_id: str | None) -> Scope:
        """What everybody in the channel may read: tenant-wide documents and the channel's own."""
        return cls(tenant_id, (TENANT_AUDIENCE, channel_id) if channel_id else (TENANT_AUDIENCE,))


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a source brought: the bytes of one document, before anything is known of its form.

    ``uri`` names the document for people and is its identity inside the tenant.
    ``content_type`` is a hint only; the type is decided by the content. ``metadata`` is kept with the document, and so
    is ``memo``, which only the source itself gets to see again.
    """

    uri: str
    data: bytes
    title: str = ""
    content_type: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    memo: str = ""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Not modified: the document ``uri``, which is known, is at its source as it was read last.

    ``metadata``, where it is given, takes the place of what was kept; the text stays.
    """

    uri: str
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """What a source wants to know of this reading at the next one. It comes last, and is kept only where every document
    could be taken in."""

    memo: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """A document as it was read before: when, and what the source gave with it."""

    fetched_at: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)


async def _no_memo(_: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored of a source, by the names of its documents: those that are whole, so that only a document among
    them may be told to be Unchanged.

    ``memo`` gives what came with a document as ``Fetched.memo``. ``mark`` is the last Mark; it is empty where any
    document of the source is not among ``documents``.
    """

    documents: Mapping[str, Earlier] = field(default_factory=dict)
    memo: Callable[[str], Awaitable[str]] = _no_memo
    mark: str = ""


NOTHING_KNOWN = Known()


@dataclass(frozen=True, slots=True)
class Block:
    """A run of text that belongs together: ``document.text[start:end]``.

    ``heading`` is the path of headings above it, outermost first. ``page`` counts from 1.
    """

    kind: BlockKind
    start: int
    end: int
    heading: tuple[str, ...] = ()
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document. ``blocks`` lie in order and do not overlap."""

    uri: str
    title: str
    text: str
    blocks: tuple[Block, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document as it is indexed: ``document.text[start:end] == text``.

    ``window``: from where to where it is read, where that is more than itself.
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
    """The score that each stage gave; ``None`` where the stage did not see the passage."""

    dense: float | None = None
    sparse: float | None = None
    fused: float | None = None
    rerank: float | None = None


@dataclass(frozen=True, slots=True)
class Sentence:
    """The characters ``start:end`` of a document, and the cosine of their vector to that of the question."""

    start: int
    end: int
    cosine: float


@dataclass(frozen=True, slots=True)
class Passage:
    """A found piece of a document, ready to be quoted: ``document.text[start:end] == text``."""

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
    """From where to where it is to be read, where that is more than itself."""
    sentences: tuple[Sentence, ...] = ()
    """Its sentences in order, where their vectors are stored."""

    @property
    def place(self) -> str:
        """Where it stands, for a person."""
        return place(self.title or self.source, self.heading, self.page)


@dataclass(frozen=True, slots=True)
class Found:
    """The answer of a search, best passage first.

    ``confidence`` in 0..1 says how likely the passages hold the answer at all.
    ``knowledge_version`` grows with every change of the tenant's documents.
    ``embedding_model`` and ``embedding_tokens`` say what the query cost to encode.
    ``searched`` is what was looked for: the question, and the words that it took from the thread.
    """

    passages: tuple[Passage, ...]
    timings_ms: Mapping[str, float]
    confidence: float
    knowledge_version: int
    embedding_model: str = ""
    embedding_tokens: int = 0
    searched: str = ""
    decline_below: float = 0.1
    """A confidence below this says that the passages do not hold the answer."""
    weak_below: float = 0.0
    """A confidence below this says that they may well not."""
    documents: int = 0
    """How many documents were searched; counted only where the passages do not hold the answer."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One document that could not be taken in, and why, in words for a person."""

    source: str
    error: str


Item = Fetched | Unchanged | Failure | Mark
"""What a source brings, one after the other."""


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What one ingestion did. ``documents`` counts those stored or found unchanged. ``stopped``: it was told to end
    before everything was read; what it had taken in stays.
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


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an ingestion stands; ``total`` are the documents found so far, ``None`` while none are counted."""

    source: str
    done: int
    total: int | None
    failed: int
    current: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A stored document as the document list shows it."""

    id: str
    source: str
    title: str
    chunks: int
    audience: str
    fetched_at: datetime
    state: DocumentState
    error: str = ""
