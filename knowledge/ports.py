"""What the knowledge layer needs from outside: small protocols, each so narrow that a fake fits on a screen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.types import NOTHING_KNOWN, Document, Fetched, Item, Known, Passage, Progress

Vectors = npt.NDArray[np.float32]
"""Unit vectors, shape ``(texts, dimensions)``."""

EncodeKind = Literal["query", "passage"]

OnProgress = Callable[[Progress], None]


class Sessions(Protocol):
    """Opens a transaction bound to one tenant; commits at the end, rolls back on an error."""

    def __call__(self, tenant_id: str) -> AbstractAsyncContextManager[AsyncSession]: ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """``vectors`` of shape ``(texts, dimensions)``; ``tokens`` were read by the model."""

    vectors: Vectors
    tokens: int


class Embedder(Protocol):
    """Turns text into unit vectors without blocking the event loop.

    ``model`` names the vector space: vectors of different names are never compared.
    ``billed`` says whether the tokens cost money at a provider.
    """

    model: str
    billed: bool

    @property
    def dimensions(self) -> int: ...

    @property
    def max_tokens(self) -> int: ...

    def warm(self) -> None:
        """Begin to load in the background, where there is something to load."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The length of each text in the model's own tokens, special tokens left out."""

    async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
        """Raises EmbeddingError."""

    async def aclose(self) -> None: ...


class Reranker(Protocol):
    """Scores passages against a query; higher is better, the scale is the reranker's own."""

    name: str

    async def score(self, query: str, passages: Sequence[Passage]) -> list[float]: ...

    async def aclose(self) -> None: ...


class Parses(Protocol):
    """Turns fetched bytes into a document. Raises ParseError, in words that follow the document's name."""

    async def parse(self, fetched: Fetched) -> Document: ...

    async def aclose(self) -> None: ...


class Source(Protocol):
    """Where documents come from. ``uri`` names the source and is its identity inside the tenant.

    ``fetch`` yields every document it can read and a Failure for each it cannot. Of a document among
    ``known.documents`` it may yield Unchanged instead, where it learned without reading it that nothing changed. It
    raises SourceError only where the source as a whole cannot be read, or not to its end: what it brought before is
    taken in, and nothing is held to have vanished.

    ``count`` is the number of documents found so far, or None where that is not known. It is asked before ``fetch``,
    in a thread of its own as it may look through a folder, and again while ``fetch`` runs, when it may have grown.
    """

    uri: str
    kind: str

    def count(self) -> int | None: ...

    def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Item]: ...
