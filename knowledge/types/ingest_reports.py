"""The progress and the result of an ingestion."""

from __future__ import annotations

from dataclasses import dataclass

from knowledge.types.source_items import Failure


@dataclass(frozen=True, slots=True)
class DocumentWarning:
    """What was left out of a document that was stored, in words for users."""

    source: str
    warning: str


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
