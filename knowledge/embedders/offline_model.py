"""Computes the offline embedding model, all-MiniLM-L6-v2, with torch alone.

sentence-transformers and transformers take four seconds of processor time to import, for which each ``parley ask`` and
each start would wait. The vectors are those of sentence-transformers; a test compares them. The model is a BERT encoder
(Devlin et al., 2019) whose vectors are the mean of its token vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Encoding, Tokenizer
from torch.nn import functional

LAYERS, HEADS, DIMENSIONS, EPSILON = 6, 12, 384, 1e-12
MAX_TOKENS = 256
"""Tokens of a text that the model reads, with the two special ones around it."""


class Features(dict[str, torch.Tensor]):
    """A batch of texts: ``input_ids`` and ``attention_mask``, and in ``encodings`` the places of the tokens."""

    encodings: list[Encoding]


@lru_cache(maxsize=2)
def _weights(folder: Path, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Return the weights by name. The models of a process share them."""
    stored = load_file(folder / "model.safetensors")
    return {name: tensor.to(dtype) for name, tensor in stored.items() if tensor.is_floating_point()}


class OfflineTokenizer:
    """Splits texts into tokens: to encode them, cut and padded, or to count them, as they are."""

    def __init__(self, folder: Path) -> None:
        self.backend_tokenizer, self._counting = (Tokenizer.from_file(str(folder / "tokenizer.json")) for _ in range(2))
        self.backend_tokenizer.enable_truncation(MAX_TOKENS)
        self.backend_tokenizer.enable_padding()
        self._counting.no_truncation()
        self._counting.no_padding()
        names = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
        ids = self._counting.get_vocab()
        self.all_special_ids = [ids[name] for name in names]

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Return the tokens of each text with the special ones, as many for each as the longest text has."""
        return self.backend_tokenizer.encode_batch([*texts])

    def __call__(self, texts: Sequence[str] | str, **_: bool) -> dict[str, list[list[int]]]:
        """Return the ids of every token of the texts, without the special ones."""
        batch = [texts] if isinstance(texts, str) else [*texts]
        return {"input_ids": [one.ids for one in self._counting.encode_batch(batch, add_special_tokens=False)]}


class OfflineModel:
    """The part of a SentenceTransformer that the embedder uses, for the offline model.

    ``truncate_dim`` is the number of dimensions to keep; None keeps all.
    """

    pooling_mode = "mean"

    def __init__(self, folder: Path, dtype: torch.dtype, *, truncate_dim: int | None = None) -> None:
        self.truncate_dim = truncate_dim
        self.tokenizer = OfflineTokenizer(folder)
        self._weights = _weights(folder, dtype)

    def get_embedding_dimension(self) -> int:
        return min(self.truncate_dim or DIMENSIONS, DIMENSIONS)

    def get_max_seq_length(self) -> int:
        return MAX_TOKENS

    def parameters(self) -> Iterator[torch.Tensor]:
        yield from self._weights.values()

    def __iter__(self) -> Iterator[OfflineModel]:
        """Yield the modules, as a SentenceTransformer does: this one alone."""
        yield self

    def preprocess(self, texts: Sequence[str]) -> Features:
        """Return the token ids, which of them are read, and where the tokens are."""
        encodings = self.tokenizer.encode(texts)
        features = Features(
            input_ids=torch.tensor([one.ids for one in encodings]),
            attention_mask=torch.tensor([one.attention_mask for one in encodings]),
        )
        features.encodings = encodings
        return features

    def __call__(self, features: Features) -> dict[str, torch.Tensor]:
        """Return the vector of each text, of length 1, and those of its tokens."""
        attended = features["attention_mask"]
        mask = None if bool(attended.all()) else attended[:, None, None, :].bool()
        tokens = self._embedded(features["input_ids"])
        for layer in range(LAYERS):
            tokens = self._encoded(tokens, mask, f"encoder.layer.{layer}")
        read = attended.unsqueeze(-1).to(tokens.dtype)
        # Summed in float32, as sentence-transformers does: the mean of bf16 vectors would lose three decimals.
        mean = (tokens * read).sum(1, dtype=torch.float32) / read.sum(1, dtype=torch.float32)
        return {"sentence_embedding": functional.normalize(mean.to(tokens.dtype), dim=-1), "token_embeddings": tokens}

    def _embedded(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the vectors of the tokens before the first layer."""
        words, kinds, places = (
            self._weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "token_type", "position")
        )
        return self._normalized(words[ids] + kinds[0] + places[: ids.shape[1]], "embeddings.LayerNorm")

    def _encoded(self, tokens: torch.Tensor, mask: torch.Tensor | None, layer: str) -> torch.Tensor:
        """Return the vectors of the tokens after a layer."""
        query, key, value = (
            self._linear(tokens, f"{layer}.attention.self.{name}").view(*tokens.shape[:2], HEADS, -1).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)
        tokens = self._normalized(
            self._linear(seen, f"{layer}.attention.output.dense") + tokens, f"{layer}.attention.output.LayerNorm"
        )
        inner = functional.gelu(self._linear(tokens, f"{layer}.intermediate.dense"))
        return self._normalized(self._linear(inner, f"{layer}.output.dense") + tokens, f"{layer}.output.LayerNorm")

    def _linear(self, vectors: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(vectors, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _normalized(self, vectors: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return functional.layer_norm(vectors, (DIMENSIONS,), weight, bias, EPSILON)
