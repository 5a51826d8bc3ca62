"""Evaluates the answer cache: hits, false hits (the answer to another question) and recall.

The data is JSONL: two questions ``a`` and ``b``, and ``same``, whether one answer serves both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bot.engine.cache.matching import is_hit, same_wording
from bot.errors import UsageError
from bot.evals import jsonl
from knowledge.ports import Embedder

BATCH = 128


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions; ``same`` says whether one answer is right for both."""

    a: str
    b: str
    same: bool


def read(path: Path) -> list[Pair]:
    """Return the pairs of a file. Raises UsageError with the number of the invalid line."""
    pairs = jsonl.read(path, _pair, of="pairs")
    if not pairs:
        raise UsageError(f"{path} has no pairs. Each line must be a JSON object with a, b and same.")
    return pairs


def _pair(row: Mapping[str, Any], where: str) -> Pair:
    a, b = jsonl.text(row, "a", where), jsonl.text(row, "b", where)
    return Pair(a, b, jsonl.boolean(row, "same", where))


async def evaluate(pairs: Sequence[Pair], embedder: Embedder) -> dict[str, Any]:
    """Return the number of hits and false hits, and the share of ``same`` pairs that were hits. Closes the embedder.

    Only pairs whose wording allows a hit are encoded. Raises EmbeddingError.
    """
    candidates = [pair for pair in pairs if same_wording(pair.a, pair.b)]
    async with aclosing(embedder):
        similar = await _similarities(candidates, embedder)
    hits = [pair for pair, cosine in zip(candidates, similar, strict=True) if is_hit(pair.a, pair.b, cosine)]
    false_hits = sum(not pair.same for pair in hits)
    same = sum(pair.same for pair in pairs)
    return {
        "pairs": len(pairs),
        "hits": len(hits),
        "false_hits": false_hits,
        "false_hit_rate": round(false_hits / len(hits), 4) if hits else 0.0,
        "recall": round((len(hits) - false_hits) / same, 4) if same else 0.0,
    }


async def _similarities(pairs: Sequence[Pair], embedder: Embedder) -> list[float]:
    texts = sorted({text for pair in pairs for text in (pair.a, pair.b)}, key=lambda text: (len(text), text))
    vectors: dict[str, np.ndarray[Any, np.dtype[np.float32]]] = {}
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        vectors |= dict(zip(batch, (await embedder.encode(batch, "query")).vectors, strict=True))
    return [float(vectors[pair.a] @ vectors[pair.b]) for pair in pairs]


def table(document: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str | float, ...]]]:
    """Return the result as a table."""
    names = ("pairs", "hits", "false_hits", "false_hit_rate", "recall")
    return names, [tuple(float(document[name]) for name in names)]
