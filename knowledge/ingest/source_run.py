"""The state of one ingestion: its totals over all sources, and the run of the current source."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from knowledge.chunking import Chunking
from knowledge.ports import Embedder, OnProgress, Source
from knowledge.store.message_erasure import CHAT_KINDS
from knowledge.store.serving_model import Serving
from knowledge.text.counted_nouns import counted
from knowledge.types.ingest_reports import DocumentWarning, Progress
from knowledge.types.scope import TENANT_AUDIENCE
from knowledge.types.source_items import NOTHING_KNOWN, Failure, Known

log = logging.getLogger(__name__)


@dataclass(slots=True)
class IngestTotals:
    """Counts over all sources of one ingestion."""

    documents: int = 0
    chunks: int = 0
    unchanged: int = 0
    deleted: int = 0
    tokens: int = 0
    failed: list[Failure] = field(default_factory=list)
    warnings: list[DocumentWarning] = field(default_factory=list)

    def add(self, other: IngestTotals) -> None:
        """Add the counts of one source."""
        self.documents += other.documents
        self.chunks += other.chunks
        self.unchanged += other.unchanged
        self.deleted += other.deleted
        self.tokens += other.tokens
        self.failed += other.failed
        self.warnings += other.warnings


@dataclass(slots=True)
class SourceRun:
    """One run over one source: its settings, the documents stored before, and the names read so far.

    ``embedders`` are the models for which every chunk needs a vector. ``seen`` has the names of all documents that are
    still in the source, including failed ones. ``read_at`` is the knowledge version before the source was read if an
    erasure of a person's data concerns the source, else None. ``stored`` is the number of documents with text before
    the reading. ``accept_removals``: a reading that removes many documents is not held back.
    ``keep_gone`` is the time after which a document that no longer exists is removed. ``kept_pages`` is the number of
    pages that keep their earlier text, because they show a notice or a sign-in now. ``attached`` has the names of the
    stored documents that are attached to a mail, by the name of the mail. ``pictures_without_text`` counts the pictures
    that were read and have no text.
    """

    source: Source
    source_id: uuid.UUID
    tenant_id: str
    audience: str
    chunking: Chunking
    include_hidden: bool
    recipe: str
    serving: Serving
    embedders: Sequence[Embedder]
    totals: IngestTotals
    on_progress: OnProgress | None
    known: Known = NOTHING_KNOWN
    pictures_without_text: int = 0
    attached: Mapping[str, Sequence[str]] = field(default_factory=dict)
    read_at: int | None = None
    stored: int = 0
    accept_removals: bool = False
    keep_gone: timedelta = timedelta(days=7)
    kept_pages: int = 0
    mark: str = ""
    done: int = 0
    failed: int = 0
    seen: list[str] = field(default_factory=list)

    @property
    def keep_vectors(self) -> bool:
        """Whether the vectors of deleted texts are kept, in case they come back. Deleted messages must not return."""
        return self.source.kind not in CHAT_KINDS

    @property
    def private_chats(self) -> bool:
        """Whether private channels of chat exports may be read: only the members of one channel find the documents."""
        return self.audience != TENANT_AUDIENCE

    @property
    def models(self) -> list[str]:
        """The names of the models for which every chunk needs a vector."""
        return [embedder.model for embedder in self.embedders]

    def count_stored(self, uri: str, chunks: int, warnings: Sequence[str] = ()) -> None:
        """Count a document that was stored, with what was left out of it, and report progress."""
        if warnings:
            self.totals.warnings.append(DocumentWarning(uri, "; ".join(warnings)))
        self.totals.documents += 1
        self.totals.chunks += chunks
        for warning in warnings:
            log.warning("%s: %s", uri, warning)
        self.seen.append(uri)
        self._report(uri)

    def warn(self, text: str) -> None:
        """Record what the source left out."""
        log.warning("%s: %s", self.source.uri, text)
        self.totals.warnings.append(DocumentWarning(self.source.uri, text))

    def warn_about_pictures(self) -> None:
        """Record how many pictures of the source have no text."""
        if self.pictures_without_text:
            self.warn(f"{counted(self.pictures_without_text, 'picture')} without text left out")

    def count_picture_without_text(self, uri: str) -> None:
        """Count a picture that an earlier run read, and that is still in the source."""
        self.seen.append(uri)
        self.pictures_without_text += 1

    def count_unchanged(self, uri: str, chunks: int) -> None:
        """Count a document that has not changed since it was stored, and report progress."""
        self.totals.unchanged += 1
        self.count_stored(uri, chunks)

    def count_failed(self, failure: Failure) -> None:
        """Count a document that could not be ingested, and report progress."""
        self.totals.failed.append(failure)
        self.failed += 1
        self._report(failure.source)

    def _report(self, current: str) -> None:
        self.done += 1
        if self.on_progress is not None:
            source, found = self.source, self.source.count()
            # Failures of the source itself, or of one day of a chat export, are no documents that it counts.
            total = None if found is None else max(found, self.done)
            self.on_progress(Progress(source.uri, self.done, total, self.failed, current, source.kind))
