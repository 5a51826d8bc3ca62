"""Reads the default offline model, all-MiniLM-L6-v2: its weights in fp32 and its tokenizer."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from knowledge.embedders.bert_model import BertModel, BertTokenizer, BertWeights, layer_of

LAYERS = 6
MAX_TOKENS = 256
"""Tokens of a text that the model reads, with the two special ones around it."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

_NAMES = {
    "query": "encoder.layer.{}.attention.self.query",
    "key": "encoder.layer.{}.attention.self.key",
    "value": "encoder.layer.{}.attention.self.value",
    "attended": "encoder.layer.{}.attention.output.dense",
    "attended_norm": "encoder.layer.{}.attention.output.LayerNorm",
    "inner": "encoder.layer.{}.intermediate.dense",
    "outer": "encoder.layer.{}.output.dense",
    "outer_norm": "encoder.layer.{}.output.LayerNorm",
    "weight": ".weight",
    "bias": ".bias",
}


def open_minilm(folder: Path, dtype: torch.dtype, *, truncate_dim: int | None = None) -> BertModel:
    """Return the model of a folder. The models of a process share their weights."""
    read = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer = BertTokenizer(read, special=SPECIAL, padding="[PAD]", max_tokens=MAX_TOKENS)
    return BertModel(_weights(folder, dtype), tokenizer, truncate_dim=truncate_dim)


@lru_cache(maxsize=2)
def _weights(folder: Path, dtype: torch.dtype) -> BertWeights:
    stored = load_file(folder / "model.safetensors")
    named = {name: tensor.to(dtype) for name, tensor in stored.items() if tensor.is_floating_point()}
    words = named["embeddings.word_embeddings.weight"]
    return BertWeights(
        words=lambda ids: words[ids],
        kind=named["embeddings.token_type_embeddings.weight"][0],
        places=named["embeddings.position_embeddings.weight"],
        norm=(named["embeddings.LayerNorm.weight"], named["embeddings.LayerNorm.bias"]),
        layers=tuple(layer_of(named, _NAMES, number) for number in range(LAYERS)),
    )
