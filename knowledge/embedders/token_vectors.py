"""Vectors of tokens and sentences: their types, their computation and comparison, and the protocol of embedders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from knowledge.ports import EncodeKind, Vectors

Signs = npt.NDArray[np.uint8]
"""Shape ``(tokens, dimensions / 8)``: one bit per dimension, set if the token's vector is positive there."""


Sentences = npt.NDArray[np.int8]
"""Shape ``(sentences, dimensions)``: each sentence's token vectors summed, and scaled to int8."""


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """The vectors of a text, without those of special tokens.

    ``pooled`` is the vector of the text, and ``tokens`` has those of its tokens; for a passage ``tokens`` is empty, and
    only ``signs`` are kept. ``sentences`` has a vector for each of a passage's sentences: the sum of its token vectors,
    as encoded in the whole passage, scaled to int8. It is None for a query, and for a model whose text vector is not
    the mean of its token vectors.
    """

    pooled: npt.NDArray[np.float32]
    tokens: Vectors
    signs: Signs
    sentences: Sentences | None = None


def sentence_vectors(
    tokens: Vectors, offsets: npt.NDArray[np.int64], windows: Sequence[tuple[int, int]]
) -> Sentences | None:
    """Return, for each window with tokens, the sum of the vectors of the tokens that start in it, scaled to int8.

    ``offsets`` are the start and end of each token in the text. ``windows`` are ordered spans of the same text; the
    first one reaches back to its beginning. Returns None if there are no tokens or no windows.
    """
    if not len(tokens) or not windows:
        return None
    starts = np.array([start for start, _ in windows[1:]])
    window_of_token = np.searchsorted(starts, offsets[:, 0], side="right")
    first_tokens = np.flatnonzero(np.diff(window_of_token, prepend=-1))
    sums: Vectors = np.add.reduceat(tokens, first_tokens, axis=0)
    largest = np.maximum(np.abs(sums).max(axis=1, keepdims=True), 1e-9)
    rounded: Sentences = np.rint(sums * (127 / largest)).astype(np.int8)
    return rounded


def sentence_cosines(query: npt.NDArray[np.float32], sentences: Sequence[Sentences]) -> list[tuple[float, ...]]:
    """Return, for each passage, the cosine of the unit vector ``query`` to each of its sentences."""
    if not sentences:
        return []
    stacked = np.concatenate(sentences).astype(np.float32)
    cosines = stacked @ query / np.maximum(np.linalg.norm(stacked, axis=1), 1e-9)
    ends = np.cumsum([len(rows) for rows in sentences])
    return [tuple(part.tolist()) for part in np.split(cosines, ends[:-1])]


def sign_cosines(query: Vectors, signs: Signs) -> Vectors:
    """Return the cosines of the query's token vectors to the unit vectors of the signs, shape ``(query, signs)``."""
    dimensions = query.shape[1]
    # For bits b, the dot product of q with the signs is q . (2b - 1) = 2 (q . b) - sum(q).
    dot = query @ np.unpackbits(signs, axis=1, count=dimensions).T.astype(np.float32)
    cosines: Vectors = (2 * dot - query.sum(axis=1, keepdims=True)) / np.sqrt(dimensions)
    return cosines


@runtime_checkable
class TokenEmbedder(Protocol):
    """An embedder that also returns the vectors of tokens."""

    async def encode_tokens(self, texts: Sequence[str], kind: EncodeKind) -> list[TokenVectors]:
        """Encode each text with the vectors of its tokens. Raises EmbeddingError."""
