"""Protocols that the knowledge layer depends on: sessions, embedder, reranker, parser and source."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.types.documents import Document
from knowledge.types.ingest_reports import Progress
from knowledge.types.search_results import Passage
from knowledge.types.source_items import NOTHING_KNOWN, Fetched, Item, Known

Vectors = npt.NDArray[np.float32]
"""Unit vectors, shape ``(texts, dimensions)``."""

EncodeKind = Literal["query", "passage"]

OnProgress = Callable[[Progress], None]


class Sessions(Protocol):
    """Opens a transaction of one tenant; commits it at the end, or rolls it back on an error."""

    def __call__(self, tenant_id: str) -> AbstractAsyncContextManager[AsyncSession]: ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """Vectors of shape ``(texts, dimensions)``, and the number of tokens that the model read."""

    vectors: Vectors
    tokens: int


class Embedder(Protocol):
    """Encodes text as unit vectors without blocking the event loop.

    ``model`` names the vector space; vectors of different names are never compared.
    ``billed`` says whether a provider charges for the tokens.
    """

    model: str
    billed: bool

    @property
    def dimensions(self) -> int: ...

    @property
    def max_tokens(self) -> int: ...

    def warm(self) -> None:
        """Start to load the model in the background, if it must be loaded."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the length of each text in the model's tokens, without special tokens."""

    async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
        """Encode queries or passages. Raises EmbeddingError."""

    async def aclose(self) -> None: ...


class Reranker(Protocol):
    """Scores passages for a query. Higher is better; the scale depends on the reranker."""

    name: str

    async def score(self, query: str, passages: Sequence[Passage]) -> list[float]: ...

    async def aclose(self) -> None: ...


class Parses(Protocol):
    """Parses fetched bytes into a document. Raises ParseError with a message that continues the document's name."""

    async def parse(self, fetched: Fetched, *, include_hidden: bool = False) -> Document: ...

    async def aclose(self) -> None: ...


class Source(Protocol):
    """A place that documents come from. ``uri`` names the source and is its identity within the tenant.

    ``fetch`` yields every document that it can read, and a Failure for each that it cannot. For a document in
    ``known.documents`` it may yield Unchanged instead, if it can tell without reading the document that nothing
    changed. It raises SourceError only if the source as a whole cannot be read, or cannot be read to its end. The
    documents yielded before the error are ingested, and no document is deleted.

    ``count`` returns the number of documents found so far, or None if it is unknown. It is called before ``fetch``, in
    a thread because it may walk through a folder, and again while ``fetch`` runs, when the number may have grown.
    """

    uri: str
    kind: str

    def count(self) -> int | None: ...

    def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Item]: ...
