"""Makes texts and vectors up, for benchmarks of large tenants. The same seed gives the same ones.

Word frequencies are those of an encyclopedia. The vectors are clustered around centers, as for texts on a few subjects.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

DIMENSIONS = 384
CENTRES = 500
SPREAD = 0.06
TERMS = 70
"""Mean length of a text in words, without stop words."""
FREQUENCIES = (
    (1, 5.1e-3), (10, 2.9e-3), (50, 1.4e-3), (200, 7.4e-4), (1000, 2.2e-4), (5000, 2.55e-5), (20_000, 1.7e-6),
    (500_000, 2e-9),
)  # fmt: skip
"""Rank of a word and its share of all words, counted over 8,371 passages of an encyclopedia; the last one is a
guess."""

LETTERS = str.maketrans("0123456789", "bcdfghjklm")

Floats = npt.NDArray[np.float64]


class Language:
    """Draws words by their frequency."""

    def __init__(self) -> None:
        ranks = np.arange(1, FREQUENCIES[-1][0] + 1)
        known, shares = zip(*FREQUENCIES, strict=True)
        frequency = np.exp(np.interp(np.log(ranks), np.log(known), np.log(shares)))
        self._up_to = np.cumsum(frequency) / frequency.sum()

    def words(self, random: np.random.Generator, number: int) -> list[str]:
        drawn = np.searchsorted(self._up_to, random.random(number)).tolist()
        return [str(rank).translate(LETTERS) for rank in drawn]

    def texts(self, random: np.random.Generator, number: int) -> list[list[str]]:
        lengths = random.integers(TERMS // 2, TERMS * 3 // 2, size=number).tolist()
        words = self.words(random, sum(lengths))
        ends = np.cumsum(lengths).tolist()
        return [words[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def cluster_centers() -> Floats:
    drawn = np.random.default_rng(1).normal(size=(CENTRES, DIMENSIONS))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def clustered_vectors(centers: Floats, random: np.random.Generator, number: int) -> npt.NDArray[np.float32]:
    """Return unit vectors, shape ``(number, DIMENSIONS)``."""
    drawn = centers[random.integers(len(centers), size=number)] + random.normal(size=(number, DIMENSIONS)) * SPREAD
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), dtype=np.float32)
