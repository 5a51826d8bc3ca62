"""Rerankers: a cross-encoder, or late interaction (MaxSim) with the token vectors of the embedder."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from knowledge.chunking import indexed_text
from knowledge.embedders.cpu_threads import share_the_processor
from knowledge.embedders.local import ONE_LOADS, computes_bf16
from knowledge.embedders.model_hub import HUB, log_once
from knowledge.embedders.token_vectors import Signs, TokenEmbedder, TokenVectors, sign_cosines
from knowledge.errors import EmbeddingError
from knowledge.ports import Embedder, Reranker, Vectors
from knowledge.types.search_results import Passage

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

CROSS_ENCODER = "cross-encoder/ms-marco-MiniLM-L-6-v2"
LATE_INTERACTION = "late-interaction"


class LateInteraction:
    """Scores a passage by the best match of each token of the question among the passage's tokens, averaged (MaxSim).

    Only the signs of a passage's token vectors are used: 48 bytes per token for a 384-dimensional model. They are
    stored with the chunk, so only the question must be encoded.
    """

    name = LATE_INTERACTION

    def __init__(self, embedder: TokenEmbedder) -> None:
        self._embedder = embedder

    async def score(self, query: str, passages: Sequence[Passage]) -> list[float]:
        """Return scores between -1 and 1. Raises EmbeddingError."""
        if not passages:
            return []
        encoded = await self._embedder.encode_tokens([query], "query")
        return await self.score_stored(encoded[0], passages, {})

    async def score_stored(
        self, question: TokenVectors, passages: Sequence[Passage], stored: Mapping[int, Signs]
    ) -> list[float]:
        """Return the scores for an encoded question; passages without stored signs are encoded first."""
        missing = [passage for passage in passages if passage.chunk_id not in stored]
        texts = [indexed_text(p.indexed_title, p.heading, p.text) for p in missing]
        rows = await self._embedder.encode_tokens(texts, "passage")
        computed = iter([row.signs for row in rows])
        signs = [stored[p.chunk_id] if p.chunk_id in stored else next(computed) for p in passages]
        return max_sim(question.tokens, signs)

    async def aclose(self) -> None:
        """Do nothing: the caller closes the embedder."""


def max_sim(query: Vectors, passages: Sequence[Signs]) -> list[float]:
    """Return for each passage the mean over the query's tokens of the highest cosine to any of its tokens.

    Each passage token is represented by the unit vector of its signs.
    """
    scores = []
    for signs in passages:
        if not len(query) or not len(signs):
            scores.append(0.0)
            continue
        scores.append(float(sign_cosines(query, signs).max(axis=1).mean()))
    return scores


class CrossEncoderReranker:
    """Scores with a ``sentence_transformers.CrossEncoder`` in one thread; loads the model at the first use."""

    def __init__(self, model: str = CROSS_ENCODER) -> None:
        self.name = model
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reranker")
        self._lock = threading.Lock()
        self._loaded: CrossEncoder | None = None

    async def score(self, query: str, passages: Sequence[Passage]) -> list[float]:
        """Return scores on the model's own scale. Raises EmbeddingError if the model cannot be loaded."""
        if not passages:
            return []
        pairs = [(query, indexed_text(p.indexed_title, p.heading, p.text)) for p in passages]
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._predict, pairs)

    async def load(self) -> None:
        """Load the model. Raises EmbeddingError if it cannot be loaded."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._model)

    async def aclose(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _predict(self, pairs: list[tuple[str, str]]) -> list[float]:
        scores = self._model().predict(pairs, batch_size=16, show_progress_bar=False, convert_to_numpy=True)
        return [float(score) for score in np.asarray(scores, dtype=np.float32).reshape(len(pairs), -1)[:, -1]]

    def _model(self) -> CrossEncoder:
        with self._lock:
            if self._loaded is None:
                self._loaded = _load(self.name)
            return self._loaded


def _load(model: str) -> CrossEncoder:
    share_the_processor()
    log_once()
    import torch
    from sentence_transformers import CrossEncoder

    def build(local_files_only: bool) -> CrossEncoder:
        loaded: CrossEncoder = CrossEncoder(
            model,
            device="cpu",
            local_files_only=local_files_only,
            model_kwargs={"dtype": torch.bfloat16 if computes_bf16() else torch.float32},
        )
        return loaded

    cure = f"Correct PARLEY_RERANKER, or set it to {LATE_INTERACTION}, none or auto."
    with ONE_LOADS:
        return HUB.load(model, build, label="reranker", cure=cure)


def build_reranker(name: str, embedder: Embedder) -> Reranker | None:
    """Build the reranker of the setting.

    ``auto`` chooses the standard cross-encoder if its weights are on this machine, else late interaction if the
    embedder has token vectors, else none. Other values are ``none``, ``late-interaction``, and the name or folder of a
    cross-encoder. Raises EmbeddingError if late interaction is set and the embedder has no token vectors.
    """
    if name == "none":
        return None
    if name == "auto" and _is_cached(CROSS_ENCODER):
        return CrossEncoderReranker()
    if name in ("auto", LATE_INTERACTION):
        if isinstance(embedder, TokenEmbedder):
            return LateInteraction(embedder)
        if name == "auto":
            return None
        raise EmbeddingError(
            f"The embedding model {embedder.model} has no token vectors. Set PARLEY_RERANKER to auto, none or a model."
        )
    return CrossEncoderReranker(name)


def _is_cached(model: str) -> bool:
    """Return whether the weights are in the local cache, without downloading anything."""
    if importlib.util.find_spec("huggingface_hub") is None:
        return False
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(model, "config.json"), str) and any(
        isinstance(try_to_load_from_cache(model, name), str) for name in ("model.safetensors", "pytorch_model.bin")
    )
