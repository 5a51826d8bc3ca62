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


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """A text as the model saw it, special tokens left out.

    ``pooled`` is the vector of the text, ``tokens`` those of its tokens: of a passage only ``signs`` are kept.
    """

    pooled: npt.NDArray[np.float32]
    tokens: Vectors
    signs: Signs


@runtime_checkable
class TokenEmbedder(Protocol):
    """An embedder that shows its token vectors."""

    async def encode_tokens(self, texts: Sequence[str], kind: EncodeKind) -> list[TokenVectors]:
        """Raises EmbeddingError."""
