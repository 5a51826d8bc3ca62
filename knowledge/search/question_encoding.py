"""Encodes a question for the dense search, and caches vectors that were computed before the search."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from knowledge.embedders.token_vectors import TokenEmbedder, TokenVectors
from knowledge.ports import Embedder
from knowledge.search.followup_queries import ExpandedQuery
from knowledge.store.chunk_vectors import Vector

MAX_ENCODED_AHEAD = 64
"""Maximum number of encoded questions kept for a later search. A question answered from the cache is never searched."""


@dataclass(frozen=True, slots=True)
class EncodedQuestion:
    """A question, its vector, its number of tokens, and its token vectors if late interaction needs them."""

    question: str
    vector: Vector
    tokens: int
    token_vectors: TokenVectors | None = None


class QuestionEncoder:
    """Encodes questions with one embedder; ``with_tokens`` keeps token vectors if the embedder provides them.

    Raises EmbeddingError if a question cannot be encoded.
    """

    def __init__(self, embedder: Embedder, *, with_tokens: bool) -> None:
        self._embedder = embedder
        self._with_tokens = with_tokens
        self._ahead: dict[str, EncodedQuestion] = {}

    async def encode_ahead(self, question: str) -> Vector:
        """Return the question's vector, and keep it for the search that follows."""
        encoded = self._ahead[question] = self._ahead.get(question) or await self._encode(question)
        while len(self._ahead) > MAX_ENCODED_AHEAD:
            del self._ahead[next(iter(self._ahead))]
        return encoded.vector

    async def encode(self, question: str) -> EncodedQuestion:
        """Encode the question without words of earlier questions, or take what was encoded ahead."""
        return self._ahead.pop(question, None) or await self._encode(question)

    async def expand(self, alone: EncodedQuestion, query: ExpandedQuery) -> EncodedQuestion:
        """Encode the question with the words of earlier questions, if the query has any.

        The vector is the mean of the vectors with and without these words. The reranker reads only the question itself.
        """
        if not query.words:
            return alone
        expanded = await self._encode(query.text)
        middle = np.asarray(alone.vector, np.float32) + np.asarray(expanded.vector, np.float32)
        vector = middle / (float(np.linalg.norm(middle)) or 1.0)
        return replace(alone, vector=vector, tokens=alone.tokens + expanded.tokens)

    async def _encode(self, question: str) -> EncodedQuestion:
        if self._with_tokens and isinstance(self._embedder, TokenEmbedder):
            row = (await self._embedder.encode_tokens([question], "query"))[0]
            return EncodedQuestion(question, row.pooled, len(row.signs), row)
        encoded = await self._embedder.encode([question], "query")
        return EncodedQuestion(question, encoded.vectors[0], encoded.tokens)
