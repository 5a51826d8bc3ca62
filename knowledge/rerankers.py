"""Rerankers: a cross-encoder, or late interaction with the token vectors of the embedder itself."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from knowledge.chunking import indexed_text
from knowledge.cpu_threads import share_the_processor
from knowledge.embedders.local import ONE_LOADS, computes_bf16
from knowledge.embedders.token_vectors import Signs, TokenEmbedder, TokenVectors
from knowledge.errors import EmbeddingError
from knowledge.ports import Embedder, Reranker, Vectors
from knowledge.types import Passage

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

CROSS_ENCODER = "cross-encoder/ms-marco-MiniLM-L-6-v2"
LATE_INTERACTION = "late-interaction"


class LateInteraction:
    """For each token of the question its best match among the passage's tokens, averaged (MaxSim).

    The passages' tokens are signs alone, 48 bytes a token of a 384-dimensional model: they are stored with the chunk,
    so that nothing but the question is encoded.
    """

    name = LATE_INTERACTION

    def __init__(self, embedder: TokenEmbedder) -> None:
        self._embedder = embedder

    async def score(self, query: str, passages: Sequence[Passage]) -> list[float]:
        """Between -1 and 1. Raises EmbeddingError."""
        if not passages:
            return []
        asked = await self._embedder.encode_tokens([query], "query")
        return await self.score_stored(asked[0], passages, {})

    async def score_stored(
        self, asked: TokenVectors, passages: Sequence[Passage], stored: Mapping[int, Signs]
    ) -> list[float]:
        """The same for a question that is encoded already; passages not among ``stored`` are encoded."""
        missing = [passage for passage in passages if passage.chunk_id not in stored]
        texts = [indexed_text(p.title, p.heading, p.text) for p in missing]
        rows = await self._embedder.encode_tokens(texts, "passage")
        made = iter([row.signs for row in rows])
        known = [stored[p.chunk_id] if p.chunk_id in stored else next(made) for p in passages]
        return max_sim(asked.tokens, known)

    async def aclose(self) -> None:
        """The embedder belongs to whoever made it."""


def max_sim(query: Vectors, passages: Sequence[Signs]) -> list[float]:
    """For each passage the mean over the query's tokens of the highest cosine to any of its tokens.

    A token of the passage counts as the unit vector of its signs.
    """
    dimensions = query.shape[1] if len(query) else 1
    scores = []
    for signs in passages:
        if not len(query) or not len(signs):
            scores.append(0.0)
            continue
        # q . (2b - 1) = 2 (q . b) - sum(q)
        on = query @ np.unpackbits(signs, axis=1, count=dimensions).T.astype(np.float32)
        cosines = (2 * on - query.sum(axis=1, keepdims=True)) / np.sqrt(dimensions)
        scores.append(float(cosines.max(axis=1).mean()))
    return scores


class CrossEncoderReranker:
    """A ``sentence_transformers.CrossEncoder``, loaded with the first use, on a thread of its own."""

    def __init__(self, model: str = CROSS_ENCODER) -> None:
        self.name = model
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reranker")
        self._lock = threading.Lock()
        self._loaded: CrossEncoder | None = None

    async def score(self, query: str, passages: Sequence[Passage]) -> list[float]:
        """The model's own scale. Raises EmbeddingError where it cannot be loaded."""
        if not passages:
            return []
        pairs = [(query, indexed_text(p.title, p.heading, p.text)) for p in passages]
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._predict, pairs)

    async def aclose(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _predict(self, pairs: list[tuple[str, str]]) -> list[float]:
        scores = self._ready().predict(pairs, batch_size=16, show_progress_bar=False, convert_to_numpy=True)
        return [float(score) for score in np.asarray(scores, dtype=np.float32).reshape(len(pairs), -1)[:, -1]]

    def _ready(self) -> CrossEncoder:
        with self._lock:
            if self._loaded is None:
                self._loaded = _load(self.name)
            return self._loaded


def _load(model: str) -> CrossEncoder:
    share_the_processor()
    import torch
    from sentence_transformers import CrossEncoder

    try:
        with ONE_LOADS:
            loaded: CrossEncoder = CrossEncoder(
                model,
                device="cpu",
                local_files_only=bool(os.environ.get("HF_HUB_OFFLINE")),
                model_kwargs={"dtype": torch.bfloat16 if computes_bf16() else torch.float32},
            )
        return loaded
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise EmbeddingError(
            f"The reranker {model} cannot be loaded ({reason}). Correct PARLEY_RERANKER, "
            f"or set it to {LATE_INTERACTION}, none or auto."
        ) from error


def build_reranker(name: str, embedder: Embedder) -> Reranker | None:
    """``auto``: the standard cross-encoder where its weights are on this machine, else late interaction where the
    embedder shows its tokens, else none. ``none``, ``late-interaction``, or a cross-encoder by name or folder.

    Raises EmbeddingError where late interaction is asked of an embedder that cannot.
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
            f"The embedding model {embedder.model} shows no token vectors; "
            "set PARLEY_RERANKER to auto, none or a model."
        )
    return CrossEncoderReranker(name)


def _is_cached(model: str) -> bool:
    """Whether the weights lie in the local cache; nothing is downloaded to find out."""
    if importlib.util.find_spec("huggingface_hub") is None:
        return False
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(model, "config.json"), str) and any(
        isinstance(try_to_load_from_cache(model, name), str) for name in ("model.safetensors", "pytorch_model.bin")
    )
