"""Computes BERT embedding models with torch alone.

sentence-transformers and transformers take four seconds of processor time to import, for which each ``parley ask`` and
each start would wait. The vectors are those of sentence-transformers; a test compares them. The encoder is that of
Devlin et al. (2019). The vector of a text is the mean of its token vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Encoding, Tokenizer
from torch.nn import functional

from knowledge.ports import EncodeKind, Vectors

HEADS, DIMENSIONS, EPSILON = 12, 384, 1e-12
"""The shape that both offline models have."""
PADDED_TO = 16
"""Texts are padded to a multiple of this many tokens.

In bf16, the vectors of a text depend on how many tokens are computed, padding included, but not on the other texts.
"""


class Features(dict[str, torch.Tensor]):
    """A batch of texts: ``input_ids`` and ``attention_mask``, and in ``encodings`` the places of the tokens."""

    encodings: list[Encoding]


class BertTokenizer:
    """Splits texts into tokens: to encode them, cut to ``max_tokens`` and padded, or to count them, as they are.

    ``special`` are the names of the tokens that are not part of a text, ``padding`` is one of them. Threads may share
    it, since it keeps no settings between calls.
    """

    def __init__(self, tokenizer: Tokenizer, *, special: Sequence[str], padding: str, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        ids = tokenizer.get_vocab()
        self._padding = ids[padding], padding
        self.all_special_ids = [ids[name] for name in special]
        self.max_tokens = max_tokens

    def padded_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens that ``encode`` pads each text to if it is alone."""
        longest = self.max_tokens - self._around
        counted = self._tokenizer.encode_batch([*texts], add_special_tokens=False)
        return [_padded(min(len(one), longest) + self._around) for one in counted]

    @property
    def _around(self) -> int:
        return self._tokenizer.num_special_tokens_to_add(is_pair=False)

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Return the tokens of each text with the special ones, as many for each as the longest text is padded to."""
        encodings = []
        for one in self._tokenizer.encode_batch([*texts], add_special_tokens=False):
            one.truncate(self.max_tokens - self._around)
            encodings.append(self._tokenizer.post_process(one))
        longest = _padded(max((len(one) for one in encodings), default=0))
        pad_id, pad_token = self._padding
        for one in encodings:
            one.pad(longest, pad_id=pad_id, pad_token=pad_token)
        return encodings

    def __call__(self, texts: Sequence[str] | str, **_: bool) -> dict[str, list[list[int]]]:
        """Return the ids of every token of the texts, without the special ones."""
        batch = [texts] if isinstance(texts, str) else [*texts]
        return {"input_ids": [one.ids for one in self._tokenizer.encode_batch(batch, add_special_tokens=False)]}


def _padded(tokens: int) -> int:
    """Return the number of tokens with padding."""
    return -(-tokens // PADDED_TO) * PADDED_TO


Affine = tuple[torch.Tensor, torch.Tensor]
"""The weight and the bias of a linear layer or of a normalization."""


@dataclass(frozen=True, slots=True)
class BertLayer:
    """The weights of a layer. ``attention`` computes queries, keys and values in one product."""

    attention: Affine
    attended: Affine
    attended_norm: Affine
    inner: Affine
    outer: Affine
    outer_norm: Affine


@dataclass(frozen=True, slots=True)
class BertWeights:
    """The weights of a model. ``words`` returns the vectors of token ids, of shape ``(*ids.shape, DIMENSIONS)``.

    ``kind`` is the vector that all tokens share, and ``places`` has a vector for each position of a token. They have
    the type that the model computes in.
    """

    words: Callable[[torch.Tensor], torch.Tensor]
    kind: torch.Tensor
    places: torch.Tensor
    norm: Affine
    layers: tuple[BertLayer, ...]

    def tensors(self) -> Iterator[torch.Tensor]:
        yield self.kind
        yield self.places
        yield from self.norm
        for layer in self.layers:
            for one in (layer.attention, layer.attended, layer.attended_norm, layer.inner, layer.outer):
                yield from one
            yield from layer.outer_norm


def layer_of(named: Mapping[str, torch.Tensor], names: Mapping[str, str], number: int) -> BertLayer:
    """Return a layer from weights by name. ``names`` has the format of the name of each part, ``{}`` the number."""

    def affine(part: str) -> Affine:
        name = names[part].format(number)
        return named[f"{name}{names['weight']}"], named[f"{name}{names['bias']}"]

    parts = [affine(part) for part in ("query", "key", "value")]
    attention = torch.cat([weight for weight, _ in parts]), torch.cat([bias for _, bias in parts])
    others = (affine(part) for part in ("attended", "attended_norm", "inner", "outer", "outer_norm"))
    return BertLayer(attention, *others)


class BertModel:
    """The part of a SentenceTransformer that the embedder uses.

    ``truncate_dim`` is the number of dimensions to keep; None keeps all. ``token_centers`` is what the token vectors of
    a kind of text have in common, for models whose vectors do not spread around 0.
    """

    pooling_mode = "mean"

    def __init__(
        self,
        weights: BertWeights,
        tokenizer: BertTokenizer,
        *,
        truncate_dim: int | None = None,
        token_centers: Mapping[EncodeKind, Vectors] | None = None,
    ) -> None:
        self.truncate_dim = truncate_dim
        self.token_centers = token_centers or {}
        self.tokenizer = tokenizer
        self._weights = weights

    def get_embedding_dimension(self) -> int:
        return min(self.truncate_dim or DIMENSIONS, DIMENSIONS)

    def get_max_seq_length(self) -> int:
        return self.tokenizer.max_tokens

    def parameters(self) -> Iterator[torch.Tensor]:
        yield from self._weights.tensors()

    def __iter__(self) -> Iterator[BertModel]:
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
        attended, ids = features["attention_mask"], features["input_ids"]
        mask = None if bool(attended.all()) else attended[:, None, None, :].bool()
        weights = self._weights
        # In this order, in which bf16 is rounded as in sentence-transformers.
        tokens = weights.words(ids) + weights.kind + weights.places[: ids.shape[1]]
        tokens = _normalized(tokens, weights.norm)
        for layer in weights.layers:
            tokens = _encoded(tokens, mask, layer)
        read = attended.unsqueeze(-1).to(tokens.dtype)
        # Summed in float32, as sentence-transformers does: the mean of bf16 vectors would lose three decimals.
        mean = (tokens * read).sum(1, dtype=torch.float32) / read.sum(1, dtype=torch.float32)
        return {"sentence_embedding": functional.normalize(mean.to(tokens.dtype), dim=-1), "token_embeddings": tokens}


def _encoded(tokens: torch.Tensor, mask: torch.Tensor | None, layer: BertLayer) -> torch.Tensor:
    """Return the vectors of the tokens after a layer."""
    query, key, value = (
        part.view(*tokens.shape[:2], HEADS, -1).transpose(1, 2)
        for part in functional.linear(tokens, *layer.attention).chunk(3, dim=-1)
    )
    seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)
    tokens = _normalized(functional.linear(seen, *layer.attended) + tokens, layer.attended_norm)
    inner = functional.gelu(functional.linear(tokens, *layer.inner))
    return _normalized(functional.linear(inner, *layer.outer) + tokens, layer.outer_norm)


def _normalized(vectors: torch.Tensor, norm: Affine) -> torch.Tensor:
    return functional.layer_norm(vectors, (DIMENSIONS,), *norm, EPSILON)
