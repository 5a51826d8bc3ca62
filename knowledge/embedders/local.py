"""Embeds texts with the packaged models and sentence-transformers models on the local CPU.

Torch is imported at the first use, in a thread.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from knowledge.embedders.batching import BatchingWorker, utf8_bytes
from knowledge.embedders.cpu_threads import share_the_processor
from knowledge.embedders.model_files import PackagedModel, locate, packaged_model, verified_weights
from knowledge.embedders.model_hub import HUB, log_once
from knowledge.embedders.prefixes import prefix
from knowledge.embedders.stored_vector_names import stored_name
from knowledge.embedders.token_vectors import TokenVectors, sentence_vectors
from knowledge.errors import EmbeddingError
from knowledge.packaged_models import MULTILINGUAL_MODEL, OFFLINE_MODEL
from knowledge.ports import Encoded, EncodeKind
from knowledge.text.plain_letters import plain_letters
from knowledge.text.sentence_splitter import sentence_windows

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from knowledge.embedders.bert_model import BertModel

__all__ = ["MULTILINGUAL_MODEL", "OFFLINE_MODEL", "SentenceTransformerEmbedder"]

PASS_TEXTS = 8
PASS_BYTES = 6 * 1024
"""Limits of one pass through the model. Short texts need the larger number: each pass costs as much as some of them.

A pass with more bytes is slower, because its vectors no longer fit into the caches of the processor.
"""
BATCH_BYTES = 32 * 1024
"""Texts that are sorted by length together. A question waits until they are encoded."""

ONE_LOADS = threading.Lock()
"""Allows only one model to load at a time. While a model loads, torch's default dtype is changed for the whole process.

If two models load at once, one of them gets weights of both dtypes and cannot be used.
"""


class SentenceTransformerEmbedder:
    """Encodes texts with a sentence-transformers model, given by name or folder.

    ``dimensions`` shortens its vectors, for models that were trained for it (Matryoshka). The properties ``dimensions``
    and ``max_tokens`` load the model. One thread encodes: texts that arrive together form a batch, and queries go
    before passages. Uses bf16 if the processor computes in it, for queries and passages alike. Raises EmbeddingError if
    the model cannot be loaded.
    """

    billed = False

    def __init__(self, model: str = OFFLINE_MODEL, *, dimensions: int | None = None, batch: int = 32) -> None:
        self.model = stored_name(model, dimensions)
        self._name = model
        self._shorten = dimensions
        self._worker = BatchingWorker[TokenVectors](self._forward, batch=batch, batch_bytes=BATCH_BYTES)
        self._lock = threading.Lock()
        self._loaded: SentenceTransformer | BertModel | None = None
        self._counting: Any = None
        self._background: ThreadPoolExecutor | None = None

    @property
    def dimensions(self) -> int:
        return int(self._ready().get_embedding_dimension() or 0)

    @property
    def max_tokens(self) -> int:
        return int(self._ready().get_max_seq_length() or 512) - 2

    def warm(self) -> None:
        """Start to load the model in the background. If this fails, the first call that encodes raises the error."""
        if self._background is None:
            self._background = ThreadPoolExecutor(1, thread_name_prefix="embedder-load")
            self._background.submit(self._ready)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, without special tokens."""
        if not texts:
            return []
        encoded = self._counting_tokenizer()(
            list(texts), add_special_tokens=False, truncation=False, padding=False, verbose=False
        )
        return [len(ids) for ids in encoded["input_ids"]]

    def _counting_tokenizer(self) -> Any:
        """Return a tokenizer for counting only.

        A tokenizer of sentence-transformers stores its truncation and padding settings. Counting with the model's own
        tokenizer, in another thread, would change these settings for the texts that are being encoded.
        """
        model = self._ready()
        if packaged_model(self._name):
            return model.tokenizer
        with self._lock:
            if self._counting is None:
                self._counting = copy.deepcopy(model.tokenizer)
                self._counting("", truncation=False, padding=False)
            return self._counting

    async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
        """Encode texts as unit vectors. Raises EmbeddingError."""
        rows = await self.encode_tokens(texts, kind)
        vectors = np.stack([row.pooled for row in rows]) if rows else np.zeros((0, 0), np.float32)
        return Encoded(vectors, sum(len(row.signs) for row in rows))

    async def encode_tokens(self, texts: Sequence[str], kind: EncodeKind) -> list[TokenVectors]:
        """Encode each text with the vectors of its tokens in one pass through the model. Raises EmbeddingError."""
        return await self._worker.run(texts, kind)

    async def aclose(self) -> None:
        await self._worker.aclose()
        if self._background is not None:
            self._background.shutdown(wait=False, cancel_futures=True)

    def loaded(self) -> SentenceTransformer | BertModel:
        """Return the model, loading it first if necessary. Raises EmbeddingError."""
        return self._ready()

    def _ready(self) -> SentenceTransformer | BertModel:
        with self._lock:
            if self._loaded is None:
                packaged = packaged_model(self._name)
                self._loaded = load_packaged(packaged, self._shorten) if packaged else load(self._name, self._shorten)
            return self._loaded

    def _forward(self, texts: Sequence[str], kind: EncodeKind) -> list[TokenVectors]:
        model = self._ready()
        model_prefix = prefix(self._name, kind)
        prefixed = [model_prefix + text for text in texts]
        rows: dict[int, TokenVectors] = {}
        for indexes in _passes([utf8_bytes(text) for text in texts], self._padded_lengths(prefixed)):
            batch = [prefixed[i] for i in indexes]
            rows.update(zip(indexes, _encode_batch(model, batch, kind, len(model_prefix)), strict=True))
        return [rows[index] for index in range(len(texts))]

    def _padded_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the tokens that a packaged model pads each text to; 0 for other models, which pad to the longest."""
        if not packaged_model(self._name):
            return [0] * len(texts)
        lengths: list[int] = self._ready().tokenizer.padded_lengths([plain_letters(text) for text in texts])
        return lengths


def load(model: str, dimensions: int | None = None) -> SentenceTransformer:
    """Load a model in the best precision of the processor. Raises EmbeddingError, whose message says what to do."""
    loaded = _load(model, dimensions)
    _require_dimensions(model, loaded.get_embedding_dimension(), dimensions)
    return loaded


def load_packaged(model: PackagedModel, dimensions: int | None = None) -> BertModel:
    """Load a packaged model like ``load``, without sentence-transformers. Raises EmbeddingError."""
    weights = verified_weights(model)
    share_the_processor()
    import torch

    from knowledge.embedders.bert_model import DIMENSIONS
    from knowledge.embedders.minilm_model import open_minilm
    from knowledge.embedders.multilingual_model import open_multilingual

    _require_dimensions(model.name, DIMENSIONS, dimensions)
    dtype = torch.bfloat16 if computes_bf16() else torch.float32
    with ONE_LOADS:  # The models share the weights of the first.
        if model.name == MULTILINGUAL_MODEL:
            return open_multilingual(weights, dtype, truncate_dim=dimensions)
        return open_minilm(weights.parent, dtype, truncate_dim=dimensions)


def _require_dimensions(model: str, available: int | None, wanted: int | None) -> None:
    if wanted and available and available < wanted:
        raise EmbeddingError(
            f"The vectors of {model} have {available} dimensions. Set PARLEY_EMBEDDING_DIMENSIONS to fewer or unset it."
        )


def _load(model: str, dimensions: int | None) -> SentenceTransformer:
    folder = locate(model)
    share_the_processor()
    log_once()
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]

    def build(local_files_only: bool) -> SentenceTransformer:
        return SentenceTransformer(
            folder,
            device="cpu",
            truncate_dim=dimensions,
            local_files_only=local_files_only,
            model_kwargs={"dtype": torch.bfloat16 if computes_bf16() else torch.float32},
        ).eval()

    cure = (
        "Correct PARLEY_EMBEDDING_MODEL, let this machine reach the model hub once, or unset it for the offline "
        f"{OFFLINE_MODEL}."
    )
    with ONE_LOADS:
        return HUB.load(folder, build, label="embedding model", cure=cure)


def computes_bf16() -> bool:
    """Return whether the processor multiplies in bfloat16; on others it is emulated and slower than fp32."""
    share_the_processor()
    import torch

    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def _passes(sizes: Sequence[int], padded_lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the indexes of the texts that pass through the model together, by the sizes of all texts in bytes.

    A pass takes texts of one padded length, so that the vectors of a text do not depend on the texts beside it: at most
    ``PASS_TEXTS``, or more if they have no more than ``PASS_BYTES`` with their padding.
    """
    indexes: list[int] = []
    for index in sorted(range(len(sizes)), key=lambda one: (padded_lengths[one], sizes[one])):
        is_full = len(indexes) >= PASS_TEXTS and (len(indexes) + 1) * sizes[index] > PASS_BYTES
        if is_full or (indexes and padded_lengths[indexes[0]] != padded_lengths[index]):
            yield indexes
            indexes = []
        indexes.append(index)
    if indexes:
        yield indexes


def _encode_batch(
    model: SentenceTransformer | BertModel, texts: Sequence[str], kind: EncodeKind, prefix_chars: int
) -> list[TokenVectors]:
    """Encode texts in one pass through the model; the first ``prefix_chars`` characters of each are the prefix.

    The model reads plain letters, because its tokenizer knows no ligatures.
    """
    import torch

    with torch.inference_mode():
        features: Any = model.preprocess([plain_letters(text) for text in texts])
        ids, attended = features["input_ids"].numpy(), features["attention_mask"].numpy()
        out = model(features)
        dimensions = model.truncate_dim
        pooled = torch.nn.functional.normalize(out["sentence_embedding"].float()[:, :dimensions], dim=-1).numpy()
        vectors = out["token_embeddings"].float()[:, :, :dimensions].numpy()
    real = (attended == 1) & ~np.isin(ids, np.asarray(model.tokenizer.all_special_ids))
    center = getattr(model, "token_centers", {}).get(kind)
    centered = vectors if center is None else vectors - center[:dimensions]
    signs = np.packbits(centered > 0, axis=2)
    if kind == "query":
        tokens = centered / np.maximum(np.linalg.norm(centered, axis=-1, keepdims=True), 1e-12)
        return [TokenVectors(pooled[row], tokens[row][real[row]], signs[row][real[row]]) for row in range(len(texts))]
    no_tokens = vectors[0, :0].copy()
    offsets = _token_offsets(model, features)
    rows = []
    for row, text in enumerate(texts):
        is_real = real[row]
        sentences = None
        if offsets is not None:
            windows = _windows(text, prefix_chars)
            sentences = sentence_vectors(vectors[row][is_real], offsets[row][is_real], windows)
        rows.append(TokenVectors(pooled[row], no_tokens, signs[row][is_real], sentences))
    return rows


def _windows(text: str, prefix_chars: int) -> list[tuple[int, int]]:
    """Return the sentence windows of the text after its prefix, as offsets in the whole text in plain letters."""
    windows = [(start + prefix_chars, end + prefix_chars) for start, end in sentence_windows(text[prefix_chars:])]
    if plain_letters(text) == text:
        return windows
    return [(len(plain_letters(text[:start])), len(plain_letters(text[:end]))) for start, end in windows]


def _token_offsets(model: SentenceTransformer | BertModel, features: Any) -> list[npt.NDArray[np.int64]] | None:
    """Return the start and end of each token in its text.

    Returns None if the tokenizer does not provide them, or if the model was not trained to average its tokens.
    """
    averages = any(getattr(module, "pooling_mode", None) in ("mean", ("mean",), ["mean"]) for module in model)
    encodings = getattr(features, "encodings", None)
    return [np.array(encoding.offsets) for encoding in encodings] if averages and encodings else None
