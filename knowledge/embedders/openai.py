"""Embeds texts with OpenAI, or a server with an OpenAI-compatible API. The tokens are billed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from knowledge.embedders.prefixes import prefix
from knowledge.embedders.stored_vector_names import stored_name
from knowledge.errors import EmbeddingError
from knowledge.ports import Encoded, EncodeKind

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
_BATCH = 128


class OpenAIEmbedder:
    """A model of an OpenAI-compatible server. ``count_tokens`` estimates, because only the server has the tokenizer."""

    billed = True
    max_tokens = 8000

    def __init__(self, model: str, *, api_key: str, base_url: str | None = None, dimensions: int | None = None) -> None:
        self.model = stored_name(model if model in _DIMENSIONS else f"openai:{model}", dimensions)
        self._name = model
        self.dimensions = dimensions or _DIMENSIONS.get(model, 0)
        self._shorten = dimensions
        self._api_key = api_key
        self._base_url = base_url
        self._client: AsyncOpenAI | None = None

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [(len(text.encode()) + 3) // 4 for text in texts]

    async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
        """Encode texts in requests of ``_BATCH`` texts. Raises EmbeddingError."""
        model_prefix = prefix(self._name, kind)
        rows: list[list[float]] = []
        tokens = 0
        for start in range(0, len(texts), _BATCH):
            vectors, used = await self._request([model_prefix + text for text in texts[start : start + _BATCH]])
            rows += vectors
            tokens += used
        matrix = np.array(rows, dtype=np.float32).reshape(len(rows), -1)
        if len(rows):
            matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
            self.dimensions = matrix.shape[1]
        return Encoded(matrix, tokens)

    def warm(self) -> None:
        """Do nothing: there is no model to load."""

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _request(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        from openai import AsyncOpenAI, OpenAIError, omit

        if self._client is None:
            self._client = AsyncOpenAI(api_key=self._api_key, base_url=self._base_url, timeout=60.0, max_retries=2)
        try:
            answer = await self._client.embeddings.create(
                model=self._name,
                input=list(texts),
                encoding_format="float",
                dimensions=self._shorten if self._shorten else omit,
            )
        except OpenAIError as error:
            raise EmbeddingError(
                f"The embedding model {self.model} did not answer ({type(error).__name__}). "
                "Check OPENAI_API_KEY, OPENAI_BASE_URL and the network."
            ) from error
        # Some servers answer with an error in place of the vectors, and with the status of a success.
        returned = len(answer.data) if isinstance(answer.data, list) else 0
        if returned != len(texts):
            raise EmbeddingError(f"The embedding model {self.model} returned {returned} of {len(texts)} vectors.")
        rows = sorted(answer.data, key=lambda row: row.index)
        return [row.embedding for row in rows], answer.usage.total_tokens if answer.usage else 0
