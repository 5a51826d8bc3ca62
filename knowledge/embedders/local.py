"""sentence-transformers on this machine's processor. Torch is imported with the first use, in a thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from knowledge.embedders.batching import BatchingWorker
from knowledge.embedders.prefixes import prefix
from knowledge.embedders.weights import OFFLINE_MODEL, locate
from knowledge.errors import EmbeddingError
from knowledge.ports import Encoded, EncodeKind, Vectors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["OFFLINE_MODEL", "SentenceTransformerEmbedder", "TokenVectors"]


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """A text as the model saw it: its vector, and one for each token with the token's place in the text.

    ``spans`` has shape ``(tokens, 2)``: start and end characters, special tokens left out. ``ids`` are token ids.
    """

    pooled: npt.NDArray[np.float32]
    tokens: Vectors
    spans: npt.NDArray[np.int32]
    ids: npt.NDArray[np.int32]


class SentenceTransformerEmbedder:
    """Any sentence-transformers model, by name or folder. ``dimensions`` and ``max_tokens`` load it.

    One thread encodes; what arrives together is encoded together, questions before passages. Uses bf16 where the
    processor computes in it, for questions and passages alike. Raises EmbeddingError where the model is not there.
    """

    billed = False

    def __init__(self, model: str = OFFLINE_MODEL, *, batch: int = 32) -> None:
        self.model = model
        self._worker = BatchingWorker[TokenVectors](self._forward, batch=batch)
        self._lock = threading.Lock()
        self._loaded: SentenceTransformer | None = None
        self._background: ThreadPoolExecutor | None = None

    @property
    def dimensions(self) -> int:
        return int(self._ready().get_embedding_dimension() or 0)

    @property
    def max_tokens(self) -> int:
        return int(self._ready().get_max_seq_length() or 512) - 2

    def warm(self) -> None:
        """Begin to load in the background; a failure is told to whoever encodes first."""
        if self._background is None:
            self._background = ThreadPoolExecutor(1, thread_name_prefix="embedder-load")
            self._background.submit(self._ready)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        encoded = self._ready().tokenizer(
            list(texts), add_special_tokens=False, truncation=False, padding=False, verbose=False
        )
        return [len(ids) for ids in encoded["input_ids"]]

    async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
        rows = await self.encode_tokens(texts, kind)
        vectors = np.stack([row.pooled for row in rows]) if rows else np.zeros((0, 0), np.float32)
        return Encoded(vectors, sum(len(row.ids) for row in rows))

    async def encode_tokens(self, texts: Sequence[str], kind: EncodeKind) -> list[TokenVectors]:
        """Each text with the vectors of its tokens, from the same pass through the model. Raises EmbeddingError."""
        front = prefix(self.model, kind)
        return await self._worker.run([front + text for text in texts] if front else texts, kind)

    async def aclose(self) -> None:
        await self._worker.aclose()
        if self._background is not None:
            self._background.shutdown(wait=False, cancel_futures=True)

    def _ready(self) -> SentenceTransformer:
        with self._lock:
            if self._loaded is None:
                self._loaded = load(self.model)
            return self._loaded

    def _forward(self, texts: Sequence[str]) -> list[TokenVectors]:
        model = self._ready()
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        rows: list[TokenVectors | None] = [None] * len(texts)
        for start in range(0, len(order), 16):
            places = order[start : start + 16]
            for place, row in zip(places, _pass(model, [texts[i] for i in places]), strict=True):
                rows[place] = row
        return [row for row in rows if row is not None]


def load(model: str) -> SentenceTransformer:
    """Load a model in the processor's best precision. Raises EmbeddingError with the cure."""
    folder = locate(model)
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return SentenceTransformer(
            folder,
            device="cpu",
            local_files_only=bool(os.environ.get("HF_HUB_OFFLINE")),
            model_kwargs={"dtype": torch.bfloat16 if computes_bf16() else torch.float32},
        ).eval()
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise EmbeddingError(
            f"The embedding model {model} cannot be loaded ({reason}). Correct PARLEY_EMBEDDING_MODEL, "
            f"let this machine reach huggingface.co once, or unset it for the offline {OFFLINE_MODEL}."
        ) from error


def computes_bf16() -> bool:
    """Whether the processor multiplies in bfloat16; elsewhere it is emulated and slower than fp32."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def _pass(model: SentenceTransformer, texts: Sequence[str]) -> list[TokenVectors]:
    import torch

    with torch.inference_mode():
        features: dict[str, Any] = model.preprocess(list(texts))
        ids = features["input_ids"].numpy()
        out = model(features)
        pooled = torch.nn.functional.normalize(out["sentence_embedding"].float(), dim=-1).numpy()
        tokens = torch.nn.functional.normalize(out["token_embeddings"].float(), dim=-1).numpy()
    marks = model.tokenizer(
        list(texts),
        truncation=True,
        max_length=ids.shape[1],
        padding=False,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        verbose=False,
    )
    rows = []
    for row, (offsets, special) in enumerate(zip(marks["offset_mapping"], marks["special_tokens_mask"], strict=True)):
        real = np.flatnonzero(np.array(special) == 0)
        spans = np.array(offsets, dtype=np.int32)[real]
        place = real + _left_padding(model, ids[row], len(special))
        rows.append(TokenVectors(pooled[row], tokens[row][place], spans, ids[row][place].astype(np.int32)))
    return rows


def _left_padding(model: SentenceTransformer, ids: npt.NDArray[np.int64], length: int) -> int:
    return len(ids) - length if model.tokenizer.padding_side == "left" else 0
