"""Embedders that show the vector of every token beside that of the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from knowledge.ports import EncodeKind, Vectors

Signs = npt.NDArray[np.uint8]
"""Shape ``(tokens, dimensions / 8)``: one bit a dimension, set where the token's vector is positive there."""


Sentences = npt.NDArray[np.int8]
"""Shape ``(sentences, dimensions)``: the direction of each sentence's vector, its largest value at 127."""


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """A text as the model saw it, special tokens left out.

    ``pooled`` is the vector of the text, ``tokens`` those of its tokens: of a passage only ``signs`` are kept.
    ``sentences`` are those of a passage, each the mean of its tokens as they were read in the whole; None of a
    question, and of a model whose text vector is no mean of its tokens.
    """

    pooled: npt.NDArray[np.float32]
    tokens: Vectors
    signs: Signs
    sentences: Sentences | None = None


def sentence_vectors(
    tokens: Vectors, offsets: npt.NDArray[np.int64], windows: Sequence[tuple[int, int]]
) -> Sentences | None:
    """The mean vector of the tokens that begin in each window, where there are any.

    ``offsets`` are the first and last character of each token, ``windows`` spans of the same text in order, the first
    reaching to its beginning. None where there is no token.
    """
    if not len(tokens) or not windows:
        return None
    starts = np.array([start for start, _ in windows[1:]])
    owner = np.searchsorted(starts, offsets[:, 0], side="right")
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    means: Vectors = np.add.reduceat(tokens, first, axis=0)
    largest = np.maximum(np.abs(means).max(axis=1, keepdims=True), 1e-9)
    rounded: Sentences = np.rint(means * (127 / largest)).astype(np.int8)
    return rounded


def sentence_cosines(query: npt.NDArray[np.float32], sentences: Sequence[Sentences]) -> list[tuple[float, ...]]:
    """For each passage the cosine of the unit vector ``query`` to each of its sentences."""
    if not sentences:
        return []
    stacked = np.concatenate(sentences).astype(np.float32)
    cosines = stacked @ query / np.maximum(np.linalg.norm(stacked, axis=1), 1e-9)
    ends = np.cumsum([len(rows) for rows in sentences])
    return [tuple(part.tolist()) for part in np.split(cosines, ends[:-1])]


@runtime_checkable
class TokenEmbedder(Protocol):
    """An embedder that shows its token vectors."""

    async def encode_tokens(self, texts: Sequence[str], kind: EncodeKind) -> list[TokenVectors]:
        """Raises EmbeddingError."""
