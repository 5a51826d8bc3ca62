"""The result of a search. Offsets count characters of a document's text and are half open: ``text[start:end]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from knowledge.types.documents import place


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
        for known in self.places:
            if known.start > offset:
                break
            heading = self.heading if known.heading is None else known.heading
            found = TextPlace(known.start, heading, known.page, known.page_label)
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
